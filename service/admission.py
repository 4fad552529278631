"""Taking a new job in: once for each Idempotency-Key, within the owner's quota, and told to the workers."""

import hashlib
from collections.abc import Callable

import orjson
from flask import Response, request
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.answers.job_json import describe
from service.crashpoints import crash_point
from service.db import reading, writing
from service.errors import Fault, InvalidInput, QuotaExceeded
from service.models import Job
from service.store import jobs
from service.store.idempotency import find_answer, remember_answer
from service.store.keys import lock_owner
from service.web import Caller, Web

HEADERS = {"Location": "Path of the job.", "Idempotent-Replayed": "true for a repeated answer."}
REQUEST_HEADERS = {"Idempotency-Key": "1 to 255 characters; repeats get the first answer while the job exists."}


def digest_of(wish: object) -> str:
    """Return what makes two requests for a job the same."""
    return hashlib.sha256(orjson.dumps(wish, option=orjson.OPT_SORT_KEYS)).hexdigest()


def replay(web: Web, caller: Caller, digest: str) -> Response | None:
    """Return the first answer to a request that was made before, None for a new one; raise Conflict."""
    key = _idempotency_key()
    if key is None:
        return None
    with reading(web.engine) as session:
        first = find_answer(session, caller.owner_id, key, digest)
    return None if first is None else _created(first.answer, first.job_id, {"Idempotent-Replayed": "true"})


def admit_job(web: Web, caller: Caller, digest: str, create: Callable[[Session], Job]) -> Response:
    """Store the job that `create` makes and answer 201, or give the first answer again."""
    key = _idempotency_key()
    try:
        response = _create_or_replay(web, caller, digest, key, create)
    except (IntegrityError, QuotaExceeded):
        if not key:
            raise
        # Two requests with one key came at once and the other has committed: now its answer is found, if it was that
        # which took the last free place.
        response = _create_or_replay(web, caller, digest, key, create)
    crash_point("submit.committed")
    web.wakeups.announce()
    return response


def _create_or_replay(
    web: Web, caller: Caller, digest: str, key: str | None, create: Callable[[Session], Job]
) -> Response:
    with writing(web.engine) as session:
        first = find_answer(session, caller.owner_id, key, digest) if key else None
        if first is not None:
            return _created(first.answer, first.job_id, {"Idempotent-Replayed": "true"})
        _check_quota(session, web, caller)
        job = create(session)
        answer = describe(session, job).model_dump_json().encode()
        if key:
            remember_answer(
                session, owner_id=caller.owner_id, key=key, request_sha256=digest, job_id=job.id, answer=answer
            )
    return _created(answer, job.id, {})


def _created(answer: bytes, job_id: str, headers: dict[str, str]) -> Response:
    return Response(answer, 201, {"Location": f"/jobs/{job_id}"} | headers, mimetype="application/json")


def _idempotency_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and (not 1 <= len(key) <= 255 or not key.isprintable()):
        raise InvalidInput([Fault("Idempotency-Key", "bad_length", "must be 1 to 255 printable characters")])
    return key


def _check_quota(session: Session, web: Web, caller: Caller) -> None:
    lock_owner(session, caller.owner_id)
    limit = web.settings.max_live_jobs
    if jobs.count_live(session, caller.owner_id) >= limit:
        raise QuotaExceeded(f"You have {limit} jobs that have not ended, which is the limit.")
