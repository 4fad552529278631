"""Answers kept for requests with an Idempotency-Key, so that a repeated request gets the first answer again."""

from sqlalchemy import bindparam, delete, select
from sqlalchemy.orm import Session

from service.clock import now
from service.errors import Conflict
from service.models import IdempotencyKey

# Made once: to make it takes as long as to carry it out.
_FIRST = select(IdempotencyKey).where(
    IdempotencyKey.owner_id == bindparam("owner"), IdempotencyKey.key == bindparam("key")
)


def find_answer(session: Session, owner_id: str, key: str, request_sha256: str) -> IdempotencyKey | None:
    """Return the first answer to this request; raise Conflict when the key came with another body."""
    found = session.scalars(_FIRST, {"owner": owner_id, "key": key}).one_or_none()
    if found is not None and found.request_sha256 != request_sha256:
        raise Conflict("idempotency_key_reused", "This Idempotency-Key was used before with another body.")
    return found


def remember_answer(
    session: Session, *, owner_id: str, key: str, request_sha256: str, about: str, answer: bytes
) -> None:
    """Keep an answer about a new job or sweep.

    Of two requests at once the second breaks on the primary key, then finds the first's answer.
    """
    session.add(
        IdempotencyKey(
            owner_id=owner_id,
            key=key,
            request_sha256=request_sha256,
            job_id=about,
            answer=answer,
            created_at=now(),
        )
    )
    session.flush()


def forget_answers(session: Session, about: str) -> None:
    """Drop the answers about a job or a sweep that is deleted.

    They live as long as it does and not for some hours, for that would be told by a clock: a process whose clock is a
    day ahead would forget them all, and a repeated request would make a second job.
    """
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.job_id == about))
