"""What happened to a job, as rows and as text."""

from flask import Response, request
from pydantic import Field

from service.answers.job import EventAnswer, EventPage
from service.answers.writing import page_answer
from service.api import Reply, Routes
from service.binding import PageQuery, Query
from service.clock import rfc3339
from service.db import reading
from service.models import Event
from service.routes.jobs import IF_NONE_MATCH, NOT_MODIFIED, PAGED, JobPath
from service.store.events import list_events
from service.store.jobs import get_job
from service.web import Caller, Web

routes = Routes("events", "What happened to a job.")

MOST_LINES = 10_000


class EventsQuery(PageQuery):
    """Which events."""

    after: int = Field(0, ge=0, le=2**53, description="Only events after this sequence number.")


class LogQuery(Query):
    """Which lines."""

    after: int = Field(0, ge=0, le=2**53, description="Only lines after this number.")


@routes.add(
    "GET",
    "/jobs/<job_id>/events",
    replies={200: Reply("A page of events.", EventPage, headers=PAGED), 304: NOT_MODIFIED},
    request_headers=IF_NONE_MATCH,
)
def list_job_events(web: Web, caller: Caller, path: JobPath, query: EventsQuery) -> Response:
    """List every transition and notable fact of a job, in order."""
    with reading(web.engine) as session:
        job = get_job(session, caller.owner_id, path.job_id)
        page = list_events(session, job.id, after=query.after, limit=query.limit, cursor=query.cursor)
        data = [EventAnswer.of(event) for event in page.data]
    return page_answer(EventPage, data, page, request)


@routes.add(
    "GET",
    "/jobs/<job_id>/log",
    replies={200: Reply("One line an event: number, time, attempt, type, message.", media_types=("text/plain",))},
)
def show_job_log(web: Web, caller: Caller, path: JobPath, query: LogQuery) -> Response:
    """Show the log of a job as text, at most 10,000 lines at once."""
    with reading(web.engine) as session:
        job = get_job(session, caller.owner_id, path.job_id)
        page = list_events(session, job.id, after=query.after, limit=MOST_LINES)
        text = "".join(_line(event) for event in page.data)
    return Response(text, mimetype="text/plain")


def _line(event: Event) -> str:
    message = " ".join(event.message.split())
    return f"{event.seq} {rfc3339(event.at)} attempt {event.attempt} {event.type}: {message}\n"
