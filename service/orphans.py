"""Blobs that no row shows and none ever will, found by comparing what is stored with what is recorded."""

from collections.abc import Iterator

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from service.blobs import BlobStore
from service.db import reading, writing
from service.errors import BlobMissing
from service.models import Checkpoint, Installation, Job, Sample, State
from service.store.doomed import doom, keys_of

_OWNER = ".database"  # the store's own note of the database that it belongs to


def belongs_to(blobs: BlobStore, engine: Engine) -> bool:
    """Tell whether a store belongs to this database; one that belongs to nobody does from now on.

    To a database that was put in front of another's store by mistake, every blob would be an orphan.
    """
    with reading(engine) as session:
        name = session.scalars(select(Installation.id)).one().encode()
    try:
        with blobs.open(_OWNER) as note:
            return note.read() == name
    except BlobMissing:
        blobs.put(_OWNER, name)
        return True


def list_stored_jobs(blobs: BlobStore) -> Iterator[str]:
    """Yield the ids of all jobs that have left anything in the store, deleted ones too."""
    return (name for name in blobs.list_directories() if name.startswith("job_"))


def sweep_orphans(engine: Engine, blobs: BlobStore, job_id: str) -> None:
    """Doom what the attempts of a job that are over have stored and no row shows; remove what they left unfinished.

    Any number may sweep at once, at any time, beside an attempt that runs and beside one that does not know that it
    is over.
    """
    # The files are listed before the rows are read. A key of an attempt that is over in these rows can be shown by
    # them alone, for nothing that the attempt still writes is accepted. Were the rows read first, an attempt could
    # store, show and end in between, and lose its last checkpoint here.
    stored = {
        attempt: list(blobs.list(f"{job_id}/{attempt}/"))
        for attempt in blobs.list_directories(f"{job_id}/")
        if attempt.isdecimal()
    }
    with reading(engine) as session:
        job = session.get(Job, job_id)
        shown = _shown(session, job_id)
    over = [attempt for attempt in stored if _is_over(job, int(attempt))]
    orphans = [key for attempt in over for key in stored[attempt] if key not in shown]
    if orphans:
        with writing(engine) as session:
            doom(session, orphans)
    for attempt in over:
        blobs.tidy(f"{job_id}/{attempt}/")
    if job is None or job.is_terminal:
        blobs.tidy(f"{job_id}/")


def _is_over(job: Job | None, attempt: int) -> bool:
    return job is None or attempt < job.attempt or (attempt == job.attempt and job.state != State.RUNNING)


def _shown(session: Session, job_id: str) -> set[str]:
    checkpoints = session.scalars(select(Checkpoint.files).where(Checkpoint.job_id == job_id))
    samples = session.scalars(select(Sample.files).where(Sample.job_id == job_id))
    return {key for files in (*checkpoints, *samples) for key in keys_of(files)}
