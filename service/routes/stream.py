"""The stream of a job: what happens, as it happens."""

from flask import Response, request
from pydantic import Field
from sqlalchemy.orm import Session

from service.answers.stream import EVENTS, FORMS, Form, snapshot
from service.api import Reply, Routes
from service.binding import Query
from service.db import reading
from service.errors import Fault, InvalidInput
from service.problems import Refused
from service.routes.jobs import JobPath
from service.store import jobs
from service.store.stream import Head, heads
from service.streams import Stream
from service.web import Caller, Web

routes = Routes("stream", "What happens to a job, as it happens.")

LAST_EVENT_ID = "Last-Event-ID"
MOST = 2**53


class StreamQuery(Query):
    """From where on."""

    after: int | None = Field(None, ge=0, le=MOST, description="Only messages after this id; 0 begins with the first.")


@routes.add(
    "GET",
    "/jobs/<job_id>/stream",
    replies={
        200: Reply(
            "Server-sent events, or a line of JSON {id, event, data} a message; the body ends with the connection.",
            media_types=tuple(FORMS),
            headers={"X-Accel-Buffering": "no, so that a proxy passes on each message at once."},
        ),
        204: Reply("The job has ended and nothing follows; an EventSource does not come back."),
    },
    request_headers={LAST_EVENT_ID: "The id of the last message the client has; it goes before `after`."},
)
def stream_job(web: Web, caller: Caller, path: JobPath, query: StreamQuery) -> Response:
    """Watch a job: every message once and in order, from any of them on.

    `id` counts from 1 without gaps. Whoever comes back with the last id they have, in `Last-Event-ID` or `after`,
    loses nothing and gets nothing twice. Without either the first message is a `snapshot`, which has no id: the job as
    `GET /jobs/{job_id}` shows it, with `seq`, the id that the next message follows.

    The data of every other message holds `at` and `attempt`:

    - `status`: `status`, with the `type` and `message` of the event
    - `losses`: `columns` and `nonfinite`, as `GET /jobs/{job_id}/losses` has them, of the steps that were recorded
      since the last; those that were taken back meanwhile are left out
    - `progress`: how far the job is, as the job has it
    - `rollback`: the steps after `to_step` are void and are taken again
    - `checkpoint`, `sample`, `quality`: `step`
    - `diagnosis`: `rule`, `state`, `step`

    `Accept: application/x-ndjson` asks for lines of JSON. Where nothing happens for 15 s, a comment is sent, or a
    space. The stream ends when the job has ended, and when the service stops.
    """
    form = FORMS[request.accept_mimetypes.best_match(FORMS, EVENTS.media_type)]
    if web.streams.are_full:
        raise Refused("too_many_watchers", "Too many clients watch at once. Try again soon.")
    with reading(web.engine) as session:
        job = jobs.glimpse(session, caller.owner_id, path.job_id)
        head = heads(session, [job.id])[job.id]
        after = _position(query, head)
        first = _snapshot(web, session, job, head, form) if after is None else b""
    if after == head.seq and head.has_ended:
        return _nothing_follows()
    if after is None:
        after = head.seq - head.has_ended  # its end is sent, so that who comes back after it has a position
    body = Stream(web.streams, job.id, after, form, caller.key_id, first)
    response = Response(body, mimetype=form.media_type, direct_passthrough=True)
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _position(query: StreamQuery, head: Head) -> int | None:
    """Return the id after which a stream begins, None without one; raise InvalidInput for one that was never given."""
    where, given = "after", query.after
    if text := request.headers.get(LAST_EVENT_ID, "").strip():
        where, given = LAST_EVENT_ID, int(text) if text.isascii() and text.isdigit() and len(text) <= 16 else -1
    if given is not None and not 0 <= given <= head.seq:
        allowed = {"minimum": 0, "maximum": head.seq}
        raise InvalidInput(
            [Fault(where, "out_of_range", "is no id of this stream", allowed=allowed, got=text or given)]
        )
    return given


def _snapshot(web: Web, session: Session, job: jobs.Glimpse, head: Head, form: Form) -> bytes:
    [answer] = web.job_json.of(session, [job], jobs.places_of(session, [job]))
    return form.write(snapshot(answer, head.seq))


def _nothing_follows() -> Response:
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response
