"""One attempt in a trainer: its training with all that is recorded, saved and measured of it, and how it ends."""

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog
import torch

from service.blobs import BlobStore, read_verified
from service.clock import monotonic_s
from service.crashpoints import crash_point
from service.db import make_engine
from service.errors import AttemptOver
from service.models import Desired
from service.settings import Settings
from worker.attempt import LastWords, Task
from worker.copies import Copies
from worker.endings import Ending, Why
from worker.exactness import difference, machine_facts
from worker.flusher import Flusher
from worker.gan.data.training_data import DatasetChanged
from worker.gan.diagnosis.checkup import CHECK_EVERY_STEPS, Examiner
from worker.gan.diagnosis.doctor import Doctor
from worker.gan.files import read_state
from worker.gan.training import Training
from worker.gan.whole_step import BuildFailed
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


@dataclass(frozen=True)
class Surroundings:
    """What the attempts of one trainer share."""

    settings: Settings
    device: torch.device
    blobs: BlobStore
    copies: Copies
    vigil: Vigil
    draining: StopSign


class Member:
    """One attempt. `leave` is told when there is nothing more to do, and what the supervisor should hear, if anything.

    What its thread writes down and what its owner orders does not wait for the others; the steps are taken together.
    """

    def __init__(self, task: Task, around: Surroundings, *, leave: Callable[[LastWords | None], None]) -> None:
        attempt, settings = task.attempt, around.settings
        self._attempt, self._plan, self._around = attempt, task.plan, around
        self._spec = attempt.spec
        self._machine = machine_facts(device=around.device, plan=task.plan)
        self._log = structlog.get_logger().bind(job=attempt.job_id, attempt=attempt.number)
        self._training: Training | None = None
        self._examiner: Examiner | None = None
        self._saved_at = 0.0
        self._saves_heard = 0  # the wishes for a checkpoint that one was taken for

        self._outbox = Outbox(attempt)
        self._flusher = Flusher(
            make_engine(settings.database, pool_size=1),
            self._outbox,
            around.vigil,
            attempt=attempt,
            settings=settings,
            leave=leave,
        )
        self._saver = Saver(
            around.blobs,
            self._outbox,
            around.vigil,
            attempt=attempt,
            machine=self._machine,
            stopping=around.draining,
        )
        self._measurer = Measurer(
            self._outbox,
            around.vigil,
            spec=self._spec,
            ref=attempt.dataset,
            cache=settings.home.absolute() / "cache" / "quality",
        )

    @property
    def has_ended(self) -> bool:
        """Whether the attempt has ended in the database."""
        return self._flusher.ended

    @property
    def is_full(self) -> bool:
        """Whether the loop has to wait for the database."""
        return self._outbox.is_full

    @property
    def training(self) -> Training:
        """The training; it must have been opened."""
        if self._training is None:
            raise TypeError("the attempt has not been opened")
        return self._training

    @property
    def opening_s(self) -> float:
        """How long the data may take to open."""
        facts = self._attempt.facts
        return _OPENING_DEADLINE_S + 4 * facts.count * math.prod(facts.shape) / _OPENED_BYTES_PER_S

    def start(self) -> None:
        """Begin to flush and beat."""
        self._flusher.start()

    def open(self) -> bool:
        """Bring the training to the step that it begins from; False when its data has changed, which ends it."""
        try:
            training, doctor = self._open()
        except DatasetChanged as error:
            self._end(Ending(Why.BAD_DATASET, f"{error}."))
            return False
        self._training, self._examiner = training, Examiner(training)
        self._outbox.follow(training, doctor)
        self._saved_at = monotonic_s()
        if self._attempt.plan != self._plan:
            self._outbox.add(plan_row(self._plan))
        return True

    def _open(self) -> tuple[Training, Doctor]:
        """Return the training and the doctor who has followed it so far."""
        around, attempt = self._around, self._attempt
        dtype = torch.float64 if self._spec.resources.precision == "float64" else torch.float32
        data = open_data(attempt.dataset, attempt.prepared, split_of(self._spec), around.copies)
        training = Training(self._spec, data, device=around.device, dtype=dtype, plan=self._plan)
        doctor = Doctor(self._spec, training.recorder.columns, has_held_out=data.held_out is not None)
        if attempt.diagnosis is not None:
            doctor.remember(attempt.diagnosis)  # all that is known where the checkpoint is of an older version
        if attempt.origin is not None:
            state = read_state(read_verified(around.blobs, attempt.origin.file))
            training.restore(state)
            if attempt.is_at_branch:
                training.merits.clear()  # of another job, by another metric perhaps, as what the doctor has seen
            else:
                doctor.restore(state)
            self._note(difference(state.facts.get("machine", {}), self._machine))
            crash_point("restore.done")
        training.rate_factor = attempt.rate_factor  # the checkpoint may be of before a rollback
        return training, doctor

    def follow_step(self) -> None:
        """Examine, save and measure what is due after a step; the loop waits for a save only where the next is due.

        Raises what could not be stored since the step before.
        """
        with suppress(GivenUp):  # before a wish to stop: the end hears of it again
            self._follow_step(self.training)

    def _follow_step(self, training: Training) -> None:
        checkpoints, samples, quality = self._spec.checkpoints, self._spec.samples, self._spec.quality
        step = training.step_number
        self._saver.raise_failure()
        if self._examiner is not None and _is_due(step, CHECK_EVERY_STEPS):
            self._outbox.examine(self._examiner.examine(training))

        # Each at its cadence. The checkpoint comes last: it stands for everything up to its step.
        if _is_due(step, samples.every_steps):
            self._saver.save_sample(training)
        is_measured = _is_due(step, quality.every_steps)
        if is_measured and step < self._flusher.orders.max_steps:
            self._measurer.measure(training)
        late = monotonic_s() - self._saved_at > self._around.settings.checkpoint_s
        wanted = is_measured and checkpoints.keep_best
        asked = self._hear_wishes()
        if late or wanted or asked or _is_due(step, checkpoints.every_steps, checkpoints.keep_every):
            self._saver.save_checkpoint(training, saves_heard=self._saves_heard)
            self._saved_at = monotonic_s()

    def _hear_wishes(self) -> bool:
        """Hear how often the owner has asked for a checkpoint so far; tell whether any wish is new."""
        before, self._saves_heard = self._saves_heard, max(self._saves_heard, self._flusher.orders.saves_asked)
        return self._saves_heard > before

    def reason_to_stop(self) -> Why | None:
        """Return why no further step is to be taken, if there is a reason."""
        orders = self._flusher.orders
        if self._outbox.verdict is not None:
            return self._outbox.verdict.why
        if orders.desired == Desired.CANCEL or self.has_ended:
            return Why.CANCEL  # an attempt that has ended under the loop saves nothing either
        if (why := self._reason_to_succeed(self.training)) is not None:
            return why
        if self._around.draining.is_set():
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

    def end(self, why: Why) -> bool:
        """Save what is to be saved, and end the attempt once that is stored; False: it goes on as ordered."""
        try:
            self._save_last(self.training, why)
            self._saver.finish()
        except GivenUp:
            why = Why.DRAIN
        return self._end(Ending(why))

    def give_up_building(self, error: BuildFailed) -> None:
        """End the attempt; the next continues where this one could last be saved, alone or, if it was alone, eagerly.

        Raises the error where the owner has asked for whole steps and this one was alone.
        """
        self._log.warning("steps could not be made one function", who=error.who, error=str(error))
        if not self._around.draining.is_set():  # whoever stops a worker may end its compiler, too
            self._plan_without(error)
        with suppress(GivenUp):
            self._saver.finish()
        self._end(Ending(Why.DRAIN))

    def _plan_without(self, error: BuildFailed) -> None:
        """Plan the next attempt without what has failed."""
        if self._plan.cohort is not None:
            self._note(f"As {error.who} failed, the job goes on without the others.")
            self._outbox.add(plan_row(replace(self._plan, cohort=None)))
        elif self._spec.resources.step == self._plan.step:
            raise error
        else:
            self._outbox.add(plan_row(replace(self._plan, step="eager", reason=f"{error.who} failed")))

    def _save_last(self, training: Training, why: Why) -> None:
        """Save what the next attempt or the owner needs: nothing of one that was cancelled or went wrong."""
        if why in (Why.MAX_STEPS, Why.MAX_SECONDS, Why.EARLY_STOP):
            self._saver.save_sample(training)
            self._measurer.measure_last(training)
        if why not in (Why.CANCEL, Why.DIVERGED, Why.UNHEALTHY):
            self._hear_wishes()  # one may have come with that to stop
            self._saver.save_checkpoint(training, saves_heard=self._saves_heard)
            self._saved_at = monotonic_s()

    def _end(self, ending: Ending) -> bool:
        try:
            return self._flusher.end(ending)
        except AttemptOver:
            self._log.warning("the attempt is over, leaving")
            return True

    def _note(self, message: str | None) -> None:
        if message is not None:
            self._outbox.note(message)


def _is_due(step: int, *cadences: int | None) -> bool:
    return any(every_steps and step % every_steps == 0 for every_steps in cadences)
