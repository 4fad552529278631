"""Which job a worker trains next: claimed in the database, each from its newest whole checkpoint, one at a time."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from service.blobs import BlobStore
from service.crashpoints import crash_point
from service.db import DATABASE_AWAY, reading, writing
from service.errors import AttemptOver
from service.models import Checkpoint, Dataset, Job
from service.orphans import belongs_to
from service.store import transitions
from service.store.checkpoints import newest_checkpoints
from service.store.events import add_event
from worker.origins import Choice, choose_origin

_CANDIDATES = 5  # claimable jobs to look at in one go


@dataclass(frozen=True)
class Claimed:
    """A job that is this worker's own by now, the checkpoint that it goes on from, and its data set if uploaded."""

    job: Job
    origin: Checkpoint | None
    dataset: Dataset | None


class Claims:
    """The claims of one worker, made by all its slots. What the database does not answer raises DATABASE_AWAY."""

    def __init__(self, engine: Engine, blobs: BlobStore, *, worker_id: str, devices: Sequence[str]) -> None:
        self._engine, self._blobs, self._worker_id, self._devices = engine, blobs, worker_id, devices
        self._claiming = threading.Lock()
        self._in_hand: set[str] = set()  # jobs whose checkpoints a slot reads
        self._in_doubt: list[tuple[str, int]] = []  # (job id, attempt): the answer to the commit of a claim was lost
        self._stopped = False
        self._log = structlog.get_logger().bind(worker=worker_id)

    def stop(self) -> None:
        """Claim nothing more. Safe in a signal handler: takes no lock."""
        self._stopped = True

    def settle_doubts(self) -> None:
        """Give back the jobs that this worker has claimed without learning of it; an outage charges nobody."""
        with self._claiming:
            self._release_doubtful()

    def claim_next(self) -> Claimed | None:
        """Claim the job that the database says is next, or the next one after it that can be had."""
        return next(self._claim_each(self._candidates()), None)

    def find_alike(self, job_id: str, *, limit: int) -> Sequence[Job]:
        """Return waiting jobs that may be trained together with one just claimed, none of which has begun."""
        with reading(self._engine) as session:
            job = session.get_one(Job, job_id)
            return transitions.next_alike(session, job, devices=self._devices, limit=limit)

    def claim_new(self, jobs: Iterable[Job]) -> Iterator[Claimed]:
        """Claim those of some jobs, none of which has begun, that still can be had."""
        return self._claim_each((job, ()) for job in jobs)

    def _claim_each(self, candidates: Iterable[tuple[Job, Sequence[Checkpoint]]]) -> Iterator[Claimed]:
        for job, checkpoints in candidates:
            if self._stopped:
                return
            if job.id in self._in_hand:
                continue  # another slot reads its checkpoint
            self._in_hand.add(job.id)
            try:
                claimed = self._claim_from_newest(job, checkpoints)
            finally:
                self._in_hand.discard(job.id)
            if claimed is not None:
                yield claimed

    def _candidates(self) -> Iterator[tuple[Job, Sequence[Checkpoint]]]:
        """Yield claimable jobs in order, with their checkpoints, until the caller has one or there are no more."""
        seen: set[str] = set()
        while True:
            with reading(self._engine) as session:
                limit = len(seen) + _CANDIDATES
                jobs = transitions.next_claimable(session, devices=self._devices, limit=limit)
                new = [(job, _checkpoints_of(session, job)) for job in jobs if job.id not in seen]
            if not new:
                return
            yield from new
            seen.update(job.id for job, _ in new)

    def _claim_from_newest(self, job: Job, checkpoints: Sequence[Checkpoint]) -> Claimed | None:
        """Claim a job from its newest whole checkpoint; one whose checkpoint cannot be read now waits until it can."""
        try:
            choice = choose_origin(self._blobs, checkpoints)
            # In a store that is not there, as a directory that is not mounted, all files seem to be lost for good.
            needs_store = bool(choice.unusable or job.dataset_id)
            is_there = not needs_store or belongs_to(self._blobs, self._engine)
        except OSError as error:
            self._log.error("checkpoint out of reach, job not claimed", job=job.id, error=repr(error))
            return None
        if not is_there:
            self._log.error("the blob store is not that of the database, job not claimed", job=job.id)
            return None
        return self._claim_one(job, choice)

    def _claim_one(self, seen: Job, choice: Choice) -> Claimed | None:
        # One slot after the other: what one of them has in doubt must not be what another has just claimed for good.
        with self._claiming:
            if self._stopped:
                return None
            self._release_doubtful()
            try:
                return self._commit(seen, choice)
            except DATABASE_AWAY:
                self._in_doubt.append((seen.id, seen.attempt + 1))
                raise

    def _commit(self, seen: Job, choice: Choice) -> Claimed | None:
        with writing(self._engine) as session:
            job = session.get(Job, seen.id)
            # The checkpoint was chosen, and its hash taken, for the job as it was seen.
            if job is None or job.attempt != seen.attempt:
                return None
            claimed = transitions.claim(session, job, worker=self._worker_id, resume_from=choice.origin)
            if not claimed:
                return None
            for step in choice.unusable:
                add_event(session, job, "note", f"The checkpoint at step {step} was damaged and is given up.")
            dataset = session.get(Dataset, job.dataset_id) if job.dataset_id else None
            crash_point("claim.before")
        crash_point("claim.committed")
        return Claimed(job, choice.origin, dataset)

    def _release_doubtful(self) -> None:
        while self._in_doubt:
            job_id, attempt = self._in_doubt[0]
            with writing(self._engine) as session, suppress(AttemptOver):
                # The lock waits for a commit that is still on its way.
                job = session.get(Job, job_id, with_for_update=True)
                if job is not None and job.worker == self._worker_id:
                    transitions.release(session, job_id, attempt)
            self._in_doubt.pop(0)


def _checkpoints_of(session: Session, job: Job) -> Sequence[Checkpoint]:
    return newest_checkpoints(session, job.id) if job.attempt > 0 or job.parent_id else ()
