"""Blobs that a lost attempt stored and no row shows."""

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from service.blobs import BlobStore
from service.db import writing
from service.models import Checkpoint, Sample
from service.store.doomed import doom, keys_of


def doom_orphans(engine: Engine, blobs: BlobStore, *, job_id: str, attempt: int) -> None:
    """Mark for removal what a lost attempt left behind. Its number is in the keys, so nothing of another is touched."""
    blobs.discard_unfinished(f"{job_id}/{attempt}/")
    stored = list(blobs.list(f"{job_id}/{attempt}/"))
    if not stored:
        return
    with writing(engine) as session:
        doom(session, set(stored) - _shown(session, job_id))


def _shown(session: Session, job_id: str) -> set[str]:
    checkpoints = session.scalars(select(Checkpoint.files).where(Checkpoint.job_id == job_id))
    samples = session.scalars(select(Sample.files).where(Sample.job_id == job_id))
    return {key for files in (*checkpoints, *samples) for key in keys_of(files)}
