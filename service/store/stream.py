"""The stream of a job as it is stored: its events and its flushes, in one sequence without gaps."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from sqlalchemy import BindParameter, bindparam, select
from sqlalchemy.orm import Session

from service.clock import now
from service.history.segments import SEGMENT_STEPS, Block
from service.models import TERMINAL, Event, Flush, Job
from service.store import history
from service.store.transitions import Progress

Entry: TypeAlias = Event | Flush

MOST_ENTRIES = 100  # of a batch
MOST_STEPS = 2 * SEGMENT_STEPS  # of a batch; in JSON some 1.4 MB


@dataclass(frozen=True)
class Head:
    """How far the sequence of a job has come. Of a job that has ended nothing follows, unless its owner renames it."""

    seq: int
    state: str

    @property
    def has_ended(self) -> bool:
        """Tell whether the job has ended."""
        return self.state in TERMINAL


@dataclass(frozen=True)
class Batch:
    """Entries that follow each other, with the losses of each flush by its seq."""

    entries: Sequence[Entry]
    columns: Sequence[str]
    losses: dict[int, Block]


_THESE: BindParameter[str] = bindparam("jobs", expanding=True)
_HEADS = select(Job.id, Job.event_seq, Job.state).where(Job.id.in_(_THESE))


def add_flush(session: Session, job: Job, *, first_step: int, last_step: int, progress: Progress) -> None:
    """Record steps that a flush has appended to the history. After an outage they are many, and take several rows."""
    for first in range(first_step, last_step + 1, SEGMENT_STEPS):
        last = min(first + SEGMENT_STEPS - 1, last_step)
        job.event_seq += 2
        session.add(
            Flush(
                job_id=job.id,
                seq=job.event_seq,
                at=now(),
                attempt=job.attempt,
                from_step=first,
                to_step=last,
                max_steps=job.max_steps,
                samples_seen=progress.samples_seen * last // progress.step,  # each step sees equally many
                steps_per_second=progress.steps_per_second,
            )
        )


def heads(session: Session, job_ids: Collection[str]) -> dict[str, Head]:
    """Return how far jobs have come, of those that are there."""
    rows = session.execute(_HEADS, {"jobs": list(job_ids)})
    return {row.id: Head(row.event_seq, row.state) for row in rows}


def read_batch(session: Session, job_id: str, after: int) -> Batch:
    """Return what follows a number, as much as is sent at once; steps that were rolled back since are left out.

    All in one state of the database: a resume that cuts the history tells of it in the same transaction.
    """
    entries = _read_entries(session, job_id, after)
    ranges = _kept_ranges(session, job_id, [entry for entry in entries if isinstance(entry, Flush)])
    recorded = [(first, last) for first, last in ranges.values() if first <= last]
    columns = history.columns_of(session, job_id) if recorded else ()
    rows = Block(1, np.empty((len(columns), 0), np.float32))
    if recorded:
        first, last = recorded[0][0], recorded[-1][1]
        rows = history.read_rows(session, job_id, columns=columns, first=first, last=last)
    return Batch(entries, columns, {seq: rows.cut(first, last) for seq, (first, last) in ranges.items()})


def _read_entries(session: Session, job_id: str, after: int) -> list[Entry]:
    found: list[Entry] = []
    for table in (Event, Flush):
        following = select(table).where(table.job_id == job_id, table.seq > after)
        found += session.scalars(following.order_by(table.seq).limit(MOST_ENTRIES))
    entries: list[Entry] = []
    steps = 0
    for entry in sorted(found, key=lambda entry: entry.seq)[:MOST_ENTRIES]:
        if isinstance(entry, Flush):
            steps += entry.to_step - entry.from_step + 1
        if entries and steps > MOST_STEPS:
            break
        entries.append(entry)
    return entries


def _kept_ranges(session: Session, job_id: str, flushes: Sequence[Flush]) -> dict[int, tuple[int, int]]:
    """Return by seq the first and the last step of flushes that are still those of the history."""
    if not flushes:
        return {}
    later = select(Event.seq, Event.data).where(Event.job_id == job_id, Event.type == "rollback")
    returns = [(row.seq, row.data["to_step"]) for row in session.execute(later.where(Event.seq > flushes[0].seq))]
    return {
        flush.seq: (flush.from_step, min([flush.to_step, *(step for seq, step in returns if seq > flush.seq)]))
        for flush in flushes
    }
