"""The process that carries out one attempt: it pulls steps from a training until it is done or told to stop."""

import math
import os
import signal
import sys
import time
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import NoReturn

import structlog
import torch

from service.blobs import BlobStore, make_blobs, read_verified
from service.clock import monotonic_s
from service.crashpoints import crash_point
from service.db import make_engine
from service.errors import AttemptOver
from service.logs import configure_logs
from service.models import Desired
from service.settings import Settings
from service.spec.plan import Plan
from worker.attempt import Attempt, LastWords
from worker.copies import Copies
from worker.endings import Ending, Why
from worker.exactness import compute_exactly, difference, machine_facts
from worker.flusher import Flusher
from worker.gan.compiled import remember_compiled
from worker.gan.data.training_data import DatasetChanged
from worker.gan.diagnosis.checkup import CHECK_EVERY_STEPS, Examiner
from worker.gan.diagnosis.doctor import Doctor
from worker.gan.files import read_state
from worker.gan.training import Training
from worker.gan.whole_step import BuildFailed
from worker.isolation import isolate, limit_memory
from worker.measurer import Measurer, split_of
from worker.opening import open_data
from worker.outbox import Outbox
from worker.patience import GivenUp
from worker.saver import Saver
from worker.stopsign import StopSign
from worker.treatment import plan_row
from worker.vigil import Vigil

_OPENING_DEADLINE_S = 600.0
_OPENED_BYTES_PER_S = 10 * 2**20  # at the least, beside that
_COMPILING_DEADLINE_S = 1_800.0
_MEMORY_SHARE = 1.5  # of the estimate that a job was accepted with, which may be this much too low


def train(attempt: Attempt, settings: Settings, *, device: str, plan: Plan, words: Connection) -> None:
    """Carry out an attempt in this process, which belongs to it alone."""
    torch.set_num_threads(plan.threads)
    isolate(attempt.title)
    configure_logs(settings)
    if device == "cpu":
        limit_memory(int(settings.job_memory_bytes * _MEMORY_SHARE))
    else:
        torch.cuda.set_device(device)  # graphs are captured, and seeds set, on the current one
    log = structlog.get_logger().bind(job=attempt.job_id, attempt=attempt.number)
    try:
        _Trainer(attempt, settings, device=torch.device(device), plan=plan, words=words).run()
    except AttemptOver:
        log.warning("the attempt is over, leaving")
    except Exception as error:  # the rim of the process: the supervisor hears what no one else can tell
        log.exception("attempt broke off")
        _leave(words, _describe(error))


class _Trainer:
    def __init__(
        self, attempt: Attempt, settings: Settings, *, device: torch.device, plan: Plan, words: Connection
    ) -> None:
        self._attempt, self._settings, self._device, self._plan = attempt, settings, device, plan
        self._spec = attempt.spec
        self._log = structlog.get_logger().bind(job=attempt.job_id, attempt=attempt.number)
        compute_exactly(device, tf32=self._spec.resources.precision == "tf32", route=plan.route)
        if plan.step == "compiled":
            remember_compiled(settings.home.absolute() / "cache" / "compiled")
        self._machine = machine_facts(device=device, plan=plan)
        self._draining = StopSign()
        signal.signal(signal.SIGTERM, lambda *_: self._draining.set())

        self._blobs: BlobStore = make_blobs(settings.blobs)
        self._copies = Copies(self._blobs, settings.home.absolute() / "cache", settings.cache_bytes)
        compiling_s = _COMPILING_DEADLINE_S if plan.step == "compiled" else 0.0  # any step may be one of a new kind
        self._vigil = Vigil(max(settings.step_deadline_s, compiling_s))
        self._outbox = Outbox(attempt)
        self._flusher = Flusher(
            make_engine(settings.database, pool_size=1),
            self._outbox,
            self._vigil,
            attempt=attempt,
            settings=settings,
            leave=lambda last_words: _leave(words, last_words),
        )
        self._saver = Saver(
            self._blobs,
            self._outbox,
            self._vigil,
            attempt=attempt,
            machine=self._machine,
            stopping=self._draining,
        )

        self._measurer = Measurer(
            self._outbox,
            self._vigil,
            spec=self._spec,
            ref=attempt.dataset,
            cache=settings.home.absolute() / "cache" / "quality",
        )

    def run(self) -> None:
        """Train until the attempt has ended in the database."""
        self._flusher.start()
        with self._copies:
            self._run()

    def _run(self) -> None:
        try:
            with self._vigil.phase("open the data and build the networks", self._opening_s):
                training, doctor = self._open()
        except DatasetChanged as error:
            self._flusher.end(Ending(Why.BAD_DATASET, f"{error}."))
            return
        self._outbox.follow(training, doctor)
        if self._attempt.plan != self._plan:
            self._outbox.add(plan_row(self._plan))
        while not self._flusher.ended:
            self._flusher.end(Ending(self._train(training)))

    @property
    def _opening_s(self) -> float:
        facts = self._attempt.facts
        return _OPENING_DEADLINE_S + 4 * facts.count * math.prod(facts.shape) / _OPENED_BYTES_PER_S

    def _open(self) -> tuple[Training, Doctor]:
        """Return the training at the step that this attempt begins from, and the doctor who has followed it so far."""
        dtype = torch.float64 if self._spec.resources.precision == "float64" else torch.float32
        data = open_data(self._attempt.dataset, self._attempt.prepared, split_of(self._spec), self._copies)
        training = Training(self._spec, data, device=self._device, dtype=dtype, plan=self._plan)
        doctor = Doctor(self._spec, training.recorder.columns, has_held_out=data.held_out is not None)
        if self._attempt.diagnosis is not None:
            doctor.remember(self._attempt.diagnosis)  # all that is known where the checkpoint is of an older version
        if self._attempt.origin is not None:
            state = read_state(read_verified(self._blobs, self._attempt.origin.file))
            training.restore(state)
            doctor.restore(state)
            self._note(difference(state.facts.get("machine", {}), self._machine))
            crash_point("restore.done")
        training.rate_factor = self._attempt.rate_factor  # the checkpoint may be of before a rollback
        return training, doctor

    def _train(self, training: Training) -> Why:
        """Train until there is a reason to stop, and return it once all that was saved is stored."""
        try:
            try:
                why = self._pull_steps(training)
                self._save_last(training, why)
            except BuildFailed as error:
                why = Why.DRAIN  # the next attempt continues where this one could last be saved
                self._give_up_building(error)
            self._saver.finish()
        except GivenUp:
            why = Why.DRAIN
        return why

    def _pull_steps(self, training: Training) -> Why:
        """Train until there is a reason to stop; the loop waits for a save only where the next one is due."""
        checkpoints, samples, quality = self._spec.checkpoints, self._spec.samples, self._spec.quality
        examiner = Examiner(training)
        saved_at = monotonic_s()
        while (why := self._reason_to_stop(training)) is None:
            self._wait_for_room()
            self._saver.raise_failure()

            # One step.
            self._vigil.step_begins()
            training.step()
            if _is_due(training.step_number, CHECK_EVERY_STEPS):
                self._outbox.examine(examiner.examine(training))

            # Each at its cadence. The checkpoint comes last: it stands for everything up to its step.
            if _is_due(training.step_number, samples.every_steps):
                self._saver.save_sample(training)
            is_measured = _is_due(training.step_number, quality.every_steps)
            if is_measured and training.step_number < self._flusher.orders.max_steps:
                self._measurer.measure(training)
            late = monotonic_s() - saved_at > self._settings.checkpoint_s
            wanted = is_measured and checkpoints.keep_best
            if late or wanted or _is_due(training.step_number, checkpoints.every_steps, checkpoints.keep_every):
                self._saver.save_checkpoint(training)
                saved_at = monotonic_s()
        return why

    def _give_up_building(self, error: BuildFailed) -> None:
        """Plan the next attempt eagerly; raise the error where the owner has asked for whole steps."""
        reason = f"{error.who} failed"
        self._log.warning(reason, error=str(error))
        if self._draining.is_set():
            return  # whoever stops a worker may end its compiler, too
        if self._spec.resources.step == self._plan.step:
            raise error
        self._outbox.add(plan_row(replace(self._plan, step="eager", reason=reason)))

    def _reason_to_stop(self, training: Training) -> Why | None:
        orders = self._flusher.orders
        if self._outbox.verdict is not None:
            return self._outbox.verdict.why
        if orders.desired == Desired.CANCEL:
            return Why.CANCEL
        if (why := self._reason_to_succeed(training)) is not None:
            return why
        if self._draining.is_set():
            return Why.DRAIN
        return Why.PAUSE if orders.desired == Desired.PAUSE else None

    def _reason_to_succeed(self, training: Training) -> Why | None:
        max_seconds = self._spec.loop.max_seconds
        if training.step_number >= self._flusher.orders.max_steps:
            return Why.MAX_STEPS
        if self._measurer.has_stalled(training):
            return Why.EARLY_STOP
        if max_seconds is not None and self._outbox.trained_s >= max_seconds:
            return Why.MAX_SECONDS
        return None

    def _save_last(self, training: Training, why: Why) -> None:
        """Save what the next attempt or the owner needs: nothing of one that was cancelled or went wrong."""
        if why in (Why.MAX_STEPS, Why.MAX_SECONDS, Why.EARLY_STOP):
            self._saver.save_sample(training)
            self._measurer.measure_last(training)
        if why not in (Why.CANCEL, Why.DIVERGED, Why.UNHEALTHY):
            self._saver.save_checkpoint(training)

    def _wait_for_room(self) -> None:
        """Let the loop rest while the database has been away for so long that memory would run out."""
        while self._outbox.is_full and not self._draining.is_set():
            with self._vigil.phase("reach the database", math.inf):
                time.sleep(self._settings.flush_s)

    def _note(self, message: str | None) -> None:
        if message is not None:
            self._outbox.note(message)


def _is_due(step: int, *cadences: int | None) -> bool:
    return any(every_steps and step % every_steps == 0 for every_steps in cadences)


def _describe(error: Exception) -> LastWords:
    """Return what the supervisor should hear of an exception that ends the attempt."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error):
        return LastWords("out_of_memory", f"The attempt ran out of memory: {error}")
    return LastWords("crashed", f"The attempt broke off with {type(error).__name__}: {error}")


def _leave(words: Connection, last_words: LastWords | None) -> NoReturn:
    """End this process at once, whatever its threads are doing."""
    if last_words is not None:
        last_words.send(words)
    sys.stdout.flush()
    os._exit(0 if last_words is None else 1)
