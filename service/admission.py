"""Taking new jobs in: once for each Idempotency-Key, within the owner's quota, and told to the workers."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import orjson
from flask import Response, request
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.answers.job_json import describe
from service.crashpoints import crash_point
from service.db import glancing, writing
from service.errors import Fault, GanymedeError, InvalidInput, QuotaExceeded
from service.models import IdempotencyKey, Job
from service.store import jobs
from service.store.idempotency import find_answer, remember_answer
from service.store.keys import lock_owner
from service.web import Caller, Web

HEADERS = {"Location": "Path of the job.", "Idempotent-Replayed": "true for a repeated answer."}
REQUEST_HEADERS = {"Idempotency-Key": "1 to 255 characters; repeats get the first answer while the job exists."}


@dataclass(frozen=True)
class Created:
    """What a request has created, a job or a sweep of them, and the JSON of the answer."""

    id: str
    answer: bytes


Create = Callable[[Session], Created]


def digest_of(wish: object) -> str:
    """Return what makes two requests for a job the same."""
    return hashlib.sha256(orjson.dumps(wish, option=orjson.OPT_SORT_KEYS)).hexdigest()


def replay(web: Web, caller: Caller, digest: str) -> Response | None:
    """Return the first answer to a request that was made before, None for a new one; raise Conflict."""
    key = _idempotency_key()
    if key is None:
        return None
    with glancing(web.engine) as session:
        first = find_answer(session, caller.owner_id, key, digest)
    return None if first is None else _replayed(first)


def admit_job(web: Web, caller: Caller, digest: str, create: Callable[[Session], Job]) -> Response:
    """Store the job that `create` makes and answer 201, or give the first answer again."""

    def create_and_tell(session: Session) -> Created:
        job = create(session)
        return Created(job.id, describe(session, job).model_dump_json().encode())

    return admit(web, caller, digest, create_and_tell, count=1)


def admit(web: Web, caller: Caller, digest: str, create: Create, *, count: int) -> Response:
    """Store what `create` makes, so many jobs in all, and answer 201, or give the first answer again.

    Whether there is one is asked before, by `replay`: while this writes, others wait.
    """
    try:
        response = _answer(_create(web, caller, digest, create, count), {})
    except (IntegrityError, GanymedeError):
        # Where two requests with one key came at once and the other has committed, now its answer is found: it may have
        # taken the last free place, and what it was made of may be gone since.
        if (first := replay(web, caller, digest)) is None:
            raise
        response = first
    crash_point("submit.committed")
    web.wakeups.announce()
    return response


def _create(web: Web, caller: Caller, digest: str, create: Create, count: int) -> Created:
    key = _idempotency_key()
    with writing(web.engine) as session:
        _check_quota(session, web, caller, count)
        created = create(session)
        if key:
            remember_answer(
                session,
                owner_id=caller.owner_id,
                key=key,
                request_sha256=digest,
                about=created.id,
                answer=created.answer,
            )
    return created


def _replayed(first: IdempotencyKey) -> Response:
    return _answer(Created(first.job_id, first.answer), {"Idempotent-Replayed": "true"})


def _answer(created: Created, headers: dict[str, str]) -> Response:
    location = {"Location": f"/{'sweeps' if created.id.startswith('swp_') else 'jobs'}/{created.id}"}
    return Response(created.answer, 201, location | headers, mimetype="application/json")


def _idempotency_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and (not 1 <= len(key) <= 255 or not key.isprintable()):
        raise InvalidInput([Fault("Idempotency-Key", "bad_length", "must be 1 to 255 printable characters")])
    return key


def _check_quota(session: Session, web: Web, caller: Caller, count: int) -> None:
    lock_owner(session, caller.owner_id)
    limit = web.settings.max_live_jobs
    live = jobs.count_live(session, caller.owner_id)
    if live + count > limit:
        more = "" if count == 1 else f"; {count} more are too many"
        raise QuotaExceeded(f"You have {live} jobs that have not ended, and the limit is {limit}{more}.")
