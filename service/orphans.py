"""Blobs that no row shows and none ever will, found by comparing what is stored with what is recorded."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from service.blobs import BlobStore
from service.db import reading, writing
from service.errors import BlobMissing
from service.models import Checkpoint, Dataset, DatasetState, Installation, Job, Order, Sample, State
from service.spec.uploads import ID_PREFIX
from service.store.doomed import doom, keys_of
from service.store.holds import held_of
from service.store.orders import ID_PREFIX as ORDER_PREFIX

_OWNER = ".database"  # the store's own note of the database that it belongs to
_ENOUGH = 20  # files of each kind that are looked for


def belongs_to(blobs: BlobStore, engine: Engine) -> bool:
    """Tell whether a store belongs to this database; one that belongs to nobody does from now on.

    To a database that was put in front of another's store by mistake, every blob would be an orphan. And in a store
    without a note that holds nothing of what the database shows, as in a directory that is not mounted, every file
    would seem lost.
    """
    with reading(engine) as session:
        name = session.scalars(select(Installation.id)).one().encode()
    try:
        with blobs.open(_OWNER) as note:
            return note.read().strip() == name
    except BlobMissing:
        shown = _some_shown(engine)
        if shown and not any(_is_there(blobs, key) for key in shown):
            return False
        blobs.put(_OWNER, name)
        return True


def _some_shown(engine: Engine) -> list[str]:
    with reading(engine) as session:
        return [
            key
            for table in (Checkpoint, Sample, Dataset)
            for files in session.scalars(select(table.files).limit(_ENOUGH))
            for key in keys_of(files)
        ]


def _is_there(blobs: BlobStore, key: str) -> bool:
    try:
        blobs.open(key).close()
    except BlobMissing:
        return False
    return True


def list_stored(blobs: BlobStore) -> Iterator[str]:
    """Yield the ids of all jobs, orders and data sets that have left anything in the store, deleted ones too."""
    return (name for name in blobs.list_directories() if name.startswith(("job_", ID_PREFIX, ORDER_PREFIX)))


def sweep_orphans(engine: Engine, blobs: BlobStore, owner: str) -> None:
    """Doom what attempts that are over have stored and no row shows; remove unfinished files.

    `owner` is the id of a job, an order or a data set.

    Any number may sweep at once, at any time, beside an attempt that runs and beside one that does not know that it
    is over.
    """
    # The files are listed before the rows are read. A key of an attempt that is over in these rows can be shown by
    # them alone, for nothing that the attempt still writes is accepted. Were the rows read first, an attempt could
    # store, show and end in between, and lose its last checkpoint here.
    stored = {
        attempt: list(blobs.list(f"{owner}/{attempt}/"))
        for attempt in blobs.list_directories(f"{owner}/")
        if attempt.isdecimal()
    }
    with reading(engine) as session:
        record = _record_of(session, owner)
    over = [attempt for attempt in stored if record.is_over(int(attempt))]
    orphans = [key for attempt in over for key in stored[attempt] if key not in record.shown]
    if orphans:
        with writing(engine) as session:
            doom(session, orphans)
    for attempt in over:
        blobs.tidy(f"{owner}/{attempt}/")
    if record.has_ended:
        blobs.tidy(f"{owner}/")


@dataclass(frozen=True)
class _Record:
    """What the database says of an owner of blobs: the keys it shows, its newest attempt and whether that goes on."""

    shown: set[str] = field(default_factory=set)
    attempt: int | None = None
    is_in_hand: bool = False
    has_ended: bool = True

    def is_over(self, attempt: int) -> bool:
        """Tell whether nothing that this attempt still writes is accepted."""
        return self.attempt is None or attempt < self.attempt or (attempt == self.attempt and not self.is_in_hand)


def _record_of(session: Session, owner: str) -> _Record:
    if owner.startswith((ID_PREFIX, ORDER_PREFIX)):
        row = session.get(Order, owner) if owner.startswith(ORDER_PREFIX) else session.get(Dataset, owner)
        if row is None:
            return _Record()
        # The bytes of a data set that has failed may just be coming again, for its next attempt.
        has_ended = row.is_settled and not (isinstance(row, Dataset) and row.state == DatasetState.FAILED)
        return _Record({*keys_of(row.files)}, row.attempt, row.is_in_hand, has_ended)
    job, held = session.get(Job, owner), held_of(session, owner)
    if job is None:
        return _Record(held)
    return _Record(held | _shown_by_job(session, owner), job.attempt, job.state == State.RUNNING, job.is_terminal)


def _shown_by_job(session: Session, job_id: str) -> set[str]:
    checkpoints = session.scalars(select(Checkpoint.files).where(Checkpoint.job_id == job_id))
    samples = session.scalars(select(Sample.files).where(Sample.job_id == job_id))
    return {key for files in (*checkpoints, *samples) for key in keys_of(files)}
