"""Deletion of blobs in two phases: a transaction dooms the keys it stops showing; the reconciler removes them later."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.clock import now
from service.models import Checkpoint, Dataset, DoomedBlob, Order, Sample
from service.store.holds import let_go


def keys_of(files: dict[str, Any]) -> list[str]:
    """Return the blob keys in the `files` of a checkpoint, sample, order or data set."""
    return [file["key"] for file in files.values()]


def doom(session: Session, keys: Iterable[str]) -> None:
    """Mark blobs for removal."""
    # Two may doom one blob at once, which a merge on PostgreSQL would answer with a violation of the key.
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    rows = [{"key": key, "doomed_at": now()} for key in keys]
    if rows:
        session.execute(insert(DoomedBlob).on_conflict_do_nothing(), rows)


def doom_rows(session: Session, rows: Iterable[Checkpoint | Dataset | Order | Sample]) -> None:
    """Delete rows that show blobs and mark their blobs for removal, but for those that another job holds."""
    for row in list(rows):
        keys = keys_of(row.files)
        doom(session, let_go(session, row.job_id, keys) if isinstance(row, Checkpoint) else keys)
        session.delete(row)
    session.flush()


def list_doomed(session: Session, *, limit: int = 100) -> Sequence[DoomedBlob]:
    """Return blobs that wait for removal, those doomed longest first."""
    return session.scalars(select(DoomedBlob).order_by(DoomedBlob.doomed_at, DoomedBlob.key).limit(limit)).all()


def forget_doomed(session: Session, keys: Sequence[str]) -> None:
    """Drop the marks of blobs that have been removed."""
    session.execute(delete(DoomedBlob).where(DoomedBlob.key.in_(keys)))
