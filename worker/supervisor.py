"""Claims jobs and watches over the processes that train them, one or several of a shape each. Loads no torch."""

import queue
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from math import ceil
from pathlib import Path

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from service.blobs import BlobStore
from service.broker import Wakeups
from service.clock import monotonic_s
from service.crashpoints import crash_point
from service.db import DATABASE_AWAY, reading, writing
from service.errors import AttemptOver
from service.leases import loss_limits
from service.models import Checkpoint, Dataset, Job
from service.orphans import sweep_orphans
from service.settings import Settings
from service.spec.estimate import estimate
from service.spec.plan import Plan, Seat, choose_plan, plan_to_follow
from service.store import transitions
from service.store.checkpoints import newest_checkpoints
from service.store.events import add_event
from worker.attempt import Attempt, LastWords, Task, carry_out
from worker.forkserver import ForkedProcess, ForkServer
from worker.machine import Machine
from worker.origins import Choice, choose_origin

_LOOK_S = 1.0  # between two looks at a trainer while nothing happens
_CANDIDATES = 5  # claimable jobs to look at in one go
_MOST_TOGETHER = 8  # jobs in one process; of more each step gains little, and one loss is one for each


class Supervisor:
    """The slots of one worker. `work` runs in as many threads as there are wake-ups; only slots bound the trainers."""

    def __init__(
        self,
        engine: Engine,
        blobs: BlobStore,
        wakeups: Wakeups,
        fork_server: ForkServer,
        *,
        settings: Settings,
        worker_id: str,
        machine: Machine,
    ) -> None:
        self._engine, self._blobs, self._wakeups, self._fork_server = engine, blobs, wakeups, fork_server
        self._settings, self._worker_id, self._machine = settings, worker_id, machine
        self._slots: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(settings.slots):
            self._slots.put(slot)
        self._trainers: set[ForkedProcess] = set()
        self._wanted = False
        self._claiming = threading.Lock()
        self._in_hand: set[str] = set()  # jobs whose checkpoints a slot reads
        self._in_doubt: list[tuple[str, int]] = []  # (job id, attempt): the answer to the commit of a claim was lost
        self._drain_until: float | None = None
        self._log = structlog.get_logger().bind(worker=worker_id)

    @property
    def free(self) -> int:
        """How many slots are free."""
        return self._slots.qsize()

    def work(self) -> None:
        """Train claimable jobs one after the other until there is none; return at once when no slot is free."""
        self._wanted = True  # whoever is about to give up a slot looks once more, so that no wake-up falls between
        while self._wanted and self._drain_until is None:
            try:
                slot = self._slots.get_nowait()
            except queue.Empty:
                return
            try:
                self._wanted = False
                while attempt := self._claim():
                    self._wakeups.announce()  # there may be more, for another slot or another worker
                    self._supervise(attempt, slot)
            finally:
                self._slots.put(slot)

    def drain(self) -> None:
        """Claim nothing more and ask all trainers to save and leave. Safe in a signal handler: takes no lock."""
        self._drain_until = self._drain_until or monotonic_s() + self._settings.drain_s
        for trainer in list(self._trainers):
            trainer.ask_to_stop()

    def join(self) -> None:
        """Wait until every slot is free and give back what is in doubt; call after `drain`."""
        for _ in range(self._settings.slots):
            self._slots.get()
        try:
            self._release_doubtful()
        except DATABASE_AWAY as error:
            self._log.warning("database away, a claim stays in doubt", error=str(error))

    def _claim(self) -> Attempt | None:
        """Begin the next attempt of the job that the database says is next."""
        try:
            with self._claiming:
                self._release_doubtful()  # one of them may be next
            self._fork_server.get_warm()
            return self._claim_first_possible()
        except DATABASE_AWAY as error:
            self._log.warning("database away, nothing claimed", error=str(error))
        except (OSError, EOFError) as error:
            self._log.error("no fork server, nothing claimed", error=repr(error))
        return None

    def _release_doubtful(self) -> None:
        """Give back the jobs that this worker has claimed without learning of it; an outage charges nobody."""
        while self._in_doubt:
            job_id, attempt = self._in_doubt[0]
            with writing(self._engine) as session, suppress(AttemptOver):
                # The lock waits for a commit that is still on its way.
                job = session.get(Job, job_id, with_for_update=True)
                if job is not None and job.worker == self._worker_id:
                    transitions.release(session, job_id, attempt)
            self._in_doubt.pop(0)

    def _claim_first_possible(self) -> Attempt | None:
        for job, checkpoints in self._candidates():
            if self._drain_until is not None:
                return None
            if job.id in self._in_hand:
                continue  # another slot reads its checkpoint
            self._in_hand.add(job.id)
            try:
                attempt = self._claim_from_newest(job, checkpoints)
            finally:
                self._in_hand.discard(job.id)
            if attempt is not None:
                return attempt
        return None

    def _candidates(self) -> Iterator[tuple[Job, Sequence[Checkpoint]]]:
        """Yield claimable jobs in order, with their checkpoints, until the caller has one or there are no more."""
        seen: set[str] = set()
        while True:
            with reading(self._engine) as session:
                limit = len(seen) + _CANDIDATES
                jobs = transitions.next_claimable(session, devices=self._machine.claimable, limit=limit)
                new = [(job, _checkpoints_of(session, job)) for job in jobs if job.id not in seen]
            if not new:
                return
            yield from new
            seen.update(job.id for job, _ in new)

    def _claim_from_newest(self, job: Job, checkpoints: Sequence[Checkpoint]) -> Attempt | None:
        """Claim a job from its newest whole checkpoint; one whose checkpoint cannot be read now waits until it can."""
        try:
            choice = choose_origin(self._blobs, checkpoints)
        except OSError as error:
            self._log.error("checkpoint out of reach, job not claimed", job=job.id, error=repr(error))
            return None
        claimed = self._claim_one(job, choice)
        return None if claimed is None else self._describe(*claimed, choice.origin)

    def _claim_one(self, seen: Job, choice: Choice) -> tuple[Job, Dataset | None] | None:
        # One slot after the other: what one of them has in doubt must not be what another has just claimed for good.
        with self._claiming:
            if self._drain_until is not None:
                return None
            self._release_doubtful()
            try:
                return self._commit_claim(seen, choice)
            except DATABASE_AWAY:
                self._in_doubt.append((seen.id, seen.attempt + 1))
                raise

    def _commit_claim(self, seen: Job, choice: Choice) -> tuple[Job, Dataset | None] | None:
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
        return job, dataset

    def _describe(self, job: Job, dataset: Dataset | None, origin: Checkpoint | None) -> Attempt | None:
        """Return the attempt at a job that was just claimed; None when it can make nothing of the job, and is lost."""
        try:
            return Attempt.of(job, origin, dataset)
        except Exception as error:  # noqa: BLE001 (a rim: nobody beats for the claim, and what is wrong is the job's own)
            self._settle(job.id, job.attempt, _not_begun(error))
        return None

    def _claim_alike(self, first: Attempt, plan: Plan) -> Iterator[Attempt]:
        """Claim jobs to be trained together with one just claimed, as many as the database lets."""
        try:
            for job in self._find_alike(first, plan):
                attempt = self._claim_from_newest(job, ())
                if attempt is not None:
                    yield attempt
        except DATABASE_AWAY as error:
            self._log.warning("database away, no more claimed", error=str(error))

    def _find_alike(self, first: Attempt, plan: Plan) -> Sequence[Job]:
        """Return which jobs to train with one just claimed: a slot's share of those that wait, none that has begun."""
        if plan.step != "compiled" or first.number > 1:
            return ()
        most = min(_MOST_TOGETHER, self._settings.job_memory_bytes // estimate(first.spec, first.facts).memory_bytes)
        slots, devices = self.free + 1, self._machine.claimable
        with reading(self._engine) as session:
            job = session.get_one(Job, first.job_id)
            alike = transitions.next_alike(session, job, devices=devices, limit=slots * _MOST_TOGETHER)
        share = ceil((1 + len(alike)) / slots)
        return alike[: max(0, min(most, share) - 1)]

    def _supervise(self, attempt: Attempt, slot: int) -> None:
        """Run a trainer to its end; attempts that have not ended themselves by then are lost."""
        attempts = [attempt]
        try:
            device = self._machine.device_of(slot, attempt.spec.resources.device)
            attempts += self._claim_alike(attempt, self._plan(attempt, device))
            trainer = self._start(attempts, device)
        except (OSError, EOFError) as error:  # the fork server has died since the claim
            self._settle_all(attempts, LastWords("worker_lost", f"No process could be started: {error!r}"))
            return
        except Exception as error:  # noqa: BLE001 (a rim, as above)
            self._settle_all(attempts, _not_begun(error))
            return
        kills_before = _out_of_memory_kills()
        self._trainers.add(trainer)
        for each in attempts:
            self._log.info("attempt started", job=each.job_id, attempt=each.number, pid=trainer.pid)
        while not trainer.wait(_LOOK_S):
            self._hurry(trainer)
        self._trainers.discard(trainer)
        code, words = trainer.end()
        starved = _out_of_memory_kills() > kills_before
        self._settle_all(attempts, LastWords.read(words) if words else explain(code, starved=starved))

    def _start(self, attempts: Sequence[Attempt], device: str) -> ForkedProcess:
        plans, size = [self._plan(attempt, device) for attempt in attempts], len(attempts)
        if size > 1:
            plans = [replace(plan, cohort=Seat(size, index)) for index, plan in enumerate(plans)]
        tasks = [Task(attempt, plan) for attempt, plan in zip(attempts, plans, strict=True)]
        return self._fork_server.fork(carry_out, tasks, self._settings, device=device)

    def _plan(self, attempt: Attempt, device: str) -> Plan:
        """Return the plan of the job, as far as this machine can follow it."""
        planned = choose_plan(
            attempt.spec,
            attempt.facts,
            device=device,
            can_compile=self._machine.can_compile,
            threads=self._settings.threads,
            share=self._share,
            route=self._machine.route,
        )
        return plan_to_follow(attempt.plan, planned, has_begun=attempt.has_begun)

    @property
    def _share(self) -> int:
        """How many cores there are for each slot."""
        return max(1, self._machine.cores // self._settings.slots)

    def _hurry(self, trainer: ForkedProcess) -> None:
        """While draining, ask again, for the first time may have come before the trainer could listen; then kill."""
        if self._has_drained:
            trainer.kill()
        elif self._drain_until is not None:
            trainer.ask_to_stop()

    def _settle_all(self, attempts: Sequence[Attempt], words: LastWords) -> None:
        for attempt in attempts:
            self._settle(attempt.job_id, attempt.number, words)

    def _settle(self, job_id: str, number: int, words: LastWords) -> None:
        """Record the end of an attempt whose trainer is gone, and clear away what it left; waits for the database."""
        while True:
            try:
                self._record_loss(job_id, number, words)
                sweep_orphans(self._engine, self._blobs, job_id)
            except DATABASE_AWAY as error:
                self._log.warning("database away", error=str(error))
                if self._has_drained:
                    return  # a reconciler will find that its beat has stopped
                time.sleep(_LOOK_S)
            except OSError as error:
                self._log.warning("orphans not swept", job=job_id, error=str(error))
                return  # a reconciler sweeps after all jobs now and then
            else:
                return

    def _record_loss(self, job_id: str, number: int, words: LastWords) -> None:
        """Count the attempt as lost, unless it has ended properly; one that drained too slowly is not to blame."""
        log, limits = self._log.bind(job=job_id, attempt=number), loss_limits(self._settings)
        try:
            with writing(self._engine) as session:
                if self._has_drained:
                    transitions.release(session, job_id, number)
                else:
                    transitions.lose(session, job_id, number, reason=words.reason, message=words.message, limits=limits)
        except AttemptOver:
            log.info("attempt ended")
        else:
            crash_point("loss.committed")
            log.warning("attempt lost", why=words.message)

    @property
    def _has_drained(self) -> bool:
        """Tell whether the time that trainers have for saving is over."""
        return self._drain_until is not None and monotonic_s() >= self._drain_until


def explain(code: int, *, starved: bool) -> LastWords:
    """Put the exit of a trainer that said nothing into words."""
    if code == -signal.SIGKILL and starved:
        return LastWords("out_of_memory", "The system ended the attempt because memory ran out.")
    if code < 0:
        return LastWords("crashed", f"The attempt was ended by {signal.Signals(-code).name}.")
    return LastWords("crashed", f"The attempt left with exit code {code}.")


def _not_begun(error: Exception) -> LastWords:
    """Tell of an attempt that was claimed and could not begin. It counts: another would hardly fare better."""
    return LastWords("crashed", f"The attempt could not begin: {type(error).__name__}: {error}")


def _checkpoints_of(session: Session, job: Job) -> Sequence[Checkpoint]:
    return newest_checkpoints(session, job.id) if job.attempt > 0 or job.parent_id else ()


def _out_of_memory_kills() -> int:
    """Return how many processes this system has ended for want of memory."""
    try:
        counters = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in counters if line.startswith("oom_kill ")), 0)
