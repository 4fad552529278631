"""Blobs that checkpoints of several jobs show: a fork begins from its parent's file, and needs it longer than that."""

from collections.abc import Iterable, Sequence

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.models import BlobHold


def hold(session: Session, keys: Iterable[str], job_ids: Sequence[str]) -> None:
    """Let jobs hold blobs together. The caller has locked the job that shows them, which cannot let go meanwhile."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    rows = [{"key": key, "job_id": job_id} for key in keys for job_id in job_ids]
    if rows:
        session.execute(insert(BlobHold).on_conflict_do_nothing(), rows)


def let_go(session: Session, job_id: str, keys: Sequence[str]) -> list[str]:
    """Give up a job's hold of blobs that it no longer shows; return those that nobody else holds."""
    # All holders' rows are locked: of two jobs that let go at once, the second sees that it is the last.
    query = select(BlobHold.key, BlobHold.job_id).where(BlobHold.key.in_(keys))
    holds = session.execute(query.order_by(BlobHold.key, BlobHold.job_id).with_for_update()).all()
    if not holds:
        return list(keys)
    session.execute(delete(BlobHold).where(BlobHold.key.in_(keys), BlobHold.job_id == job_id))
    held = {key for key, holder in holds if holder != job_id}
    return [key for key in keys if key not in held]


def held_of(session: Session, job_id: str) -> set[str]:
    """Return the blobs of a job's attempts that are held by any job, the job itself gone or not."""
    query = select(BlobHold.key).where(BlobHold.key.startswith(f"{job_id}/", autoescape=True))
    return set(session.scalars(query))
