"""The oracle: whether an installation that has come to rest after faults still keeps every promise, I1 to I9.

It asks the database, the ledger and the blobs, never the service. Each finding is a sentence that names its invariant.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from chaos.ledger import Entry, read_entries
from service.blobs import BlobStore, verify
from service.db import reading
from service.errors import BlobDamaged, BlobMissing
from service.models import TERMINAL, Checkpoint, Dataset, Event, Flush, Job, Sample, Segment, State
from service.spec.columns import recorded_columns
from service.spec.resolve import parse_spec
from service.store import history
from service.store.checkpoints import newest_checkpoints
from service.store.doomed import keys_of

LEGAL_MOVES = {
    (None, "queued"),
    ("queued", "running"),
    ("queued", "paused"),
    ("queued", "cancelled"),
    ("paused", "queued"),
    ("paused", "cancelled"),
    ("running", "queued"),
    ("running", "paused"),
    ("running", "succeeded"),
    ("running", "failed"),
    ("running", "cancelled"),
}
_EVERY_STEP = 10**9


@dataclass(frozen=True)
class Outcome:
    """What a job has come to, bit for bit: hashes of its whole history, clocks aside, and of its generator file."""

    steps: int
    history_sha256: str
    generator_sha256: str


@dataclass
class Promise:
    """What the service has acknowledged to a client about one job."""

    job_id: str
    recipe: str  # which of the known specs it was posted with
    key: str  # its Idempotency-Key
    cancel_accepted: bool = False  # 202
    deletion_asked: bool = False
    deletion_accepted: bool = False  # 204
    damaged: set[str] = field(default_factory=set)  # keys of files of it that were damaged on purpose


def outcome_of(engine: Engine, job_id: str) -> Outcome:
    """Return what a job that succeeded has come to."""
    with reading(engine) as session:
        job = session.get_one(Job, job_id)
        columns = [name for name in recorded_columns(parse_spec(job.resolved_spec)) if not is_clock(name)]
        block = history.read_rows(session, job_id, columns=columns, first=1, last=_EVERY_STEP)
        generator = newest_checkpoints(session, job_id)[0].files["generator"]["sha256"]
    return Outcome(block.values.shape[1], hashlib.sha256(block.values.tobytes()).hexdigest(), generator)


def judge(engine: Engine, blobs: BlobStore, promises: Sequence[Promise], expected: Mapping[str, Outcome]) -> list[str]:
    """Return every broken promise; `expected` has the undisturbed outcome of each recipe."""
    entries = read_entries(engine, [promise.job_id for promise in promises])
    with reading(engine) as session:
        findings = [*_judge_acknowledgements(session, promises), *_judge_blobs(session, blobs, promises)]
        for promise in promises:
            job = session.get(Job, promise.job_id)
            findings += _judge_moves(promise.job_id, entries[promise.job_id])
            findings += _judge_fences(promise.job_id, entries[promise.job_id])
            if job is not None:
                findings += _judge_job(job, promise)
                findings += _judge_events(session, job)
                findings += _judge_history(session, job)
    for promise in promises:
        findings += _judge_outcome(engine, promise, expected[promise.recipe])
    return findings


def _judge_moves(job_id: str, entries: Sequence[Entry]) -> Iterator[str]:
    """I1, I3: attempts grow by one with each claim and with nothing else; only legal moves; an end is for good."""
    state, attempt = None, 0
    for entry in (entry for entry in entries if entry.what == "jobs"):
        if (entry.before, entry.job_attempt if entry.before else 0) != (state, attempt):
            yield f"I3 {job_id}: moved from {entry.before} #{entry.job_attempt}, though it was {state} #{attempt}"
        if entry.before != entry.after and (entry.before, entry.after) not in LEGAL_MOVES:
            yield f"I3 {job_id}: moved from {entry.before} to {entry.after}"
        claimed = (entry.before, entry.after) == ("queued", "running")
        if entry.attempt != attempt + claimed:
            yield f"I1 {job_id}: attempt {attempt} became {entry.attempt} with {entry.before} -> {entry.after}"
        state, attempt = entry.after, entry.attempt


def _judge_fences(job_id: str, entries: Sequence[Entry]) -> Iterator[str]:
    """I2: nothing that an attempt writes is committed once the next one has claimed the job."""
    for entry in entries:
        if entry.what != "jobs" and entry.attempt != entry.job_attempt and not entry.is_cut:
            yield f"I2 {job_id}: attempt {entry.attempt} wrote {entry.what} under attempt {entry.job_attempt}"


def _judge_history(session: Session, job: Job) -> Iterator[str]:
    """I4: every step from 1 to the last stands exactly once."""
    spans = session.execute(
        select(Segment.first_step, Segment.last_step).where(Segment.job_id == job.id).order_by(Segment.first_step)
    ).all()
    next_step = 1
    for first, last in spans:
        if first != next_step:
            yield f"I4 {job.id}: a segment begins at step {first} where {next_step} follows"
        next_step = last + 1
    if next_step != job.step + 1:
        yield f"I4 {job.id}: the history ends at step {next_step - 1}, the job at {job.step}"


def _judge_blobs(session: Session, blobs: BlobStore, promises: Sequence[Promise]) -> Iterator[str]:
    """I5: every visible file verifies. I9: none is there that nobody shows."""
    damaged = {key for promise in promises for key in promise.damaged}
    for row in _shown(session):
        for file in (file for file in row.files.values() if file["key"] not in damaged):
            try:
                verify(blobs, file)
            except (BlobMissing, BlobDamaged) as error:
                yield f"I5 {error}"
    yield from (f"I9 {key} is an orphan" for key in sorted(orphans(session, blobs)))


def orphans(session: Session, blobs: BlobStore) -> set[str]:
    """Return the keys of blobs that no row shows."""
    stored = set(blobs.list())  # first: what is shown was stored before
    return stored - {key for row in _shown(session) for key in keys_of(row.files)}


def _shown(session: Session) -> list[Checkpoint | Dataset | Sample]:
    datasets = session.scalars(select(Dataset))
    return [*session.scalars(select(Checkpoint)), *datasets, *session.scalars(select(Sample))]


def _judge_acknowledgements(session: Session, promises: Sequence[Promise]) -> Iterator[str]:
    """I6: the acknowledged jobs are the stored jobs, one for each Idempotency-Key."""
    stored = set(session.scalars(select(Job.id)))
    kept = {promise.job_id for promise in promises if not promise.deletion_accepted}
    yield from (f"I6 {job_id} was acknowledged and is gone" for job_id in kept - stored)
    yield from (f"I6 {job_id} was stored and never acknowledged" for job_id in stored - kept)
    by_id = Counter(promise.job_id for promise in promises)
    yield from (f"I6 {job_id} answers to {count} keys" for job_id, count in by_id.items() if count > 1)


def _judge_job(job: Job, promise: Promise) -> Iterator[str]:
    """I6: nothing is stuck and nothing fails for a fault of the machine. I8: an accepted cancel ends in cancelled."""
    allowed = {State.CANCELLED} if promise.cancel_accepted else {State.SUCCEEDED}
    if job.state not in TERMINAL:
        yield f"I6 {job.id}: stuck as {job.status} at step {job.step} of attempt {job.attempt}"
    elif job.state not in allowed:
        number = "I8" if promise.cancel_accepted else "I6"
        yield f"{number} {job.id}: ended as {job.state}, {job.reason}: {job.error_message}"


def _judge_events(session: Session, job: Job) -> Iterator[str]:
    """I7: the stream has no gap, and one terminal event, which is the last of its transitions."""
    events = session.scalars(select(Event).where(Event.job_id == job.id).order_by(Event.seq)).all()
    flushes = session.scalars(select(Flush.seq).where(Flush.job_id == job.id)).all()
    numbers = sorted([*(event.seq for event in events), *flushes, *(seq - 1 for seq in flushes)])
    if numbers != list(range(1, job.event_seq + 1)):
        yield f"I7 {job.id}: its stream has gaps"
    ends = [event.seq for event in events if event.type in TERMINAL]
    if job.state in TERMINAL and ends != [events[-1].seq]:
        yield f"I7 {job.id}: its terminal events are {ends} of {len(events)}"
    attempts = [event.attempt for event in events]
    if attempts != sorted(attempts):
        yield f"I7 {job.id}: an event of an attempt follows one of a later attempt"


def _judge_outcome(engine: Engine, promise: Promise, expected: Outcome) -> Iterator[str]:
    """R6: what succeeded equals the undisturbed run to the last bit."""
    with reading(engine) as session:
        job = session.get(Job, promise.job_id)
    if job is None or job.state != State.SUCCEEDED:
        return
    outcome = outcome_of(engine, promise.job_id)
    if outcome != expected:
        yield f"R6 {promise.job_id}: {outcome} differs from {expected}, the undisturbed run"


def unfinished_files(root: Path) -> list[str]:
    """I9: return the temporary files in a directory of blobs."""
    # os.walk passes over directories that somebody removes meanwhile.
    found = [
        Path(directory, name) for directory, _, names in os.walk(root) for name in names if name.startswith(".tmp")
    ]
    return [f"I9 {path.relative_to(root)} is left" for path in found]


def is_clock(column: str) -> bool:
    """Tell whether a column may differ between two runs of one spec, as only clocks may."""
    return column.endswith(("_ms", "_s"))
