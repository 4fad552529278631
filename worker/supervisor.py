"""Claims jobs and watches over the processes that train them, one or several of a shape each. Loads no torch."""

import queue
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path

import structlog
from sqlalchemy import Engine

from service.blobs import BlobStore
from service.broker import Wakeups
from service.clock import monotonic_s
from service.crashpoints import crash_point
from service.db import DATABASE_AWAY, writing
from service.errors import AttemptOver
from service.leases import loss_limits
from service.models import Job
from service.orphans import sweep_orphans
from service.settings import Settings
from service.spec.estimate import estimate
from service.spec.plan import Plan, Seat, choose_plan, plan_to_follow
from service.store import transitions
from worker.attempt import Attempt, LastWords, Task, carry_out
from worker.claims import Claimed, Claims
from worker.forkserver import ForkedProcess, ForkServer
from worker.machine import Machine

_LOOK_S = 1.0  # between two looks at a trainer while nothing happens
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
        self._claims = Claims(engine, blobs, worker_id=worker_id, devices=machine.claimable)
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
        self._claims.stop()
        self._drain_until = self._drain_until or monotonic_s() + self._settings.drain_s
        for trainer in list(self._trainers):
            trainer.ask_to_stop()

    def join(self) -> None:
        """Wait until every slot is free and give back what is in doubt; call after `drain`."""
        for _ in range(self._settings.slots):
            self._slots.get()
        try:
            self._claims.settle_doubts()
        except DATABASE_AWAY as error:
            self._log.warning("database away, a claim stays in doubt", error=str(error))

    def _claim(self) -> Attempt | None:
        """Begin the next attempt of the job that the database says is next."""
        try:
            self._claims.settle_doubts()  # one of them may be next
            self._fork_server.get_warm()
            while claimed := self._claims.claim_next():
                if attempt := self._describe(claimed):
                    return attempt
        except DATABASE_AWAY as error:
            self._log.warning("database away, nothing claimed", error=str(error))
        except (OSError, EOFError) as error:
            self._log.error("no fork server, nothing claimed", error=repr(error))
        return None

    def _describe(self, claimed: Claimed) -> Attempt | None:
        """Return the attempt at a job that was just claimed; None when it can make nothing of the job, and is lost."""
        try:
            return Attempt.of(claimed.job, claimed.origin, claimed.dataset)
        except Exception as error:  # noqa: BLE001 (a rim: nobody beats for the claim, and what is wrong is the job's own)
            self._settle(claimed.job.id, claimed.job.attempt, _not_begun(error))
        return None

    def _claim_alike(self, first: Attempt, plan: Plan) -> Iterator[Attempt]:
        """Claim jobs to be trained together with one just claimed, as many as the database lets."""
        try:
            for claimed in self._claims.claim_new(self._find_alike(first, plan)):
                if attempt := self._describe(claimed):
                    yield attempt
        except DATABASE_AWAY as error:
            self._log.warning("database away, no more claimed", error=str(error))

    def _find_alike(self, first: Attempt, plan: Plan) -> Sequence[Job]:
        """Return which jobs to train with one just claimed: a slot's share of those that wait, none that has begun."""
        if plan.step != "compiled" or first.number > 1:
            return ()
        most = min(_MOST_TOGETHER, self._settings.job_memory_bytes // estimate(first.spec, first.facts).memory_bytes)
        slots = self.free + 1
        alike = self._claims.find_alike(first.job_id, limit=slots * _MOST_TOGETHER)
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


def _out_of_memory_kills() -> int:
    """Return how many processes this system has ended for want of memory."""
    try:
        counters = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in counters if line.startswith("oom_kill ")), 0)
