"""Checkpoints and samples: snapshots in the loop; in the writer their files, then the rows that show them."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Any

from sqlalchemy.orm import Session
from torch import Tensor

from service.blobs import BlobStore
from service.crashpoints import crash_point
from service.models import Checkpoint, Job, Sample
from service.spec.health import look_back_for
from service.spec.job import JobSpec
from service.store.checkpoints import add_checkpoint, retire_checkpoints
from service.store.samples import add_sample
from worker.attempt import Attempt
from worker.gan.files import generator_pieces, parts, state_pieces
from worker.gan.samples import Exporter, exporter_for
from worker.gan.state import TrainingState
from worker.gan.training import Training
from worker.outbox import Outbox
from worker.patience import PatientStore
from worker.snapshots import Snapshots
from worker.stopsign import StopSign
from worker.treatment import Row
from worker.vigil import Vigil
from worker.writer import Writer

_DEADLINE_S = 600.0
_FOR_EVER = float("inf")  # the writer has deadlines of its own


@dataclass(frozen=True)
class Moment:
    """What the row of a checkpoint says of the step that it is of."""

    step: int
    samples_seen: int
    trained_s: float
    losses: dict[str, Any]
    saves_heard: int


class Saver:
    """Saves for one attempt. The loop waits for the writer where a snapshot is due before the one before is stored."""

    def __init__(
        self,
        blobs: BlobStore,
        outbox: Outbox,
        vigil: Vigil,
        *,
        attempt: Attempt,
        machine: dict[str, Any],
        stopping: StopSign,
    ) -> None:
        self._saved_step = attempt.origin.step if attempt.origin else 0  # step 0 follows from the spec
        self._sampled_step: int | None = None
        self._outbox, self._vigil, self._writers_vigil = outbox, vigil, vigil.beside()
        self._machine, self._spec = machine, attempt.spec
        self._store = PatientStore(blobs, outbox, self._writers_vigil, attempt=attempt, stopping=stopping)
        self._writer = Writer()
        self._snapshots = Snapshots()
        self._is_stored = Event()  # the state that lies in the snapshots
        self._is_stored.set()

    def save_checkpoint(self, training: Training, *, saves_heard: int = 0) -> None:
        """Save the whole state at this step, unless it has diverged or stands there already.

        saves_heard is how many of the owner's wishes for a checkpoint it fulfils.
        """
        step = training.step_number
        losses = self._outbox.losses()
        if step == self._saved_step or self._outbox.verdict:
            return
        with self._vigil.phase("wait until the checkpoint before is stored", _FOR_EVER):
            self._is_stored.wait()
        with self._vigil.phase("take a snapshot", _DEADLINE_S):
            state = TrainingState(self._snapshots.take(training.tensors()), training.facts())
        moment = Moment(step, training.samples_seen, self._outbox.trained_s, losses or {}, saves_heard)
        health = self._outbox.health()
        self._outbox.record_health()
        self._is_stored = self._hand_over(lambda: self._store_checkpoint(state, health, moment))
        self._saved_step = step

    def save_sample(self, training: Training) -> None:
        """Save what the generator makes of the fixed latents at this step, unless it has diverged or stands there."""
        step, exporter = training.step_number, exporter_for(training.data)
        self._outbox.losses()
        if step == self._sampled_step or self._outbox.verdict:
            return
        with self._vigil.phase("make samples", _DEADLINE_S):
            latents, labels = training.fixed_latents()
            samples = training.sample(latents, labels)
        self._hand_over(lambda: self._store_sample(step, exporter, samples, labels))
        self._sampled_step = step

    def raise_failure(self) -> None:
        """Raise what could not be stored since the last look; GivenUp when there is no hope before a wish to stop."""
        self._writer.raise_failure()

    def finish(self) -> None:
        """Wait until all that was saved is stored, and raise what could not be."""
        with self._vigil.phase("wait until all is stored", _FOR_EVER):
            self._writer.finish()

    def _hand_over(self, work: Callable[[], None]) -> Event:
        self._outbox.await_row()
        with self._vigil.phase("wait for what is being stored", _FOR_EVER):
            return self._writer.hand_over(work)

    def _store_checkpoint(self, state: TrainingState, health: TrainingState, moment: Moment) -> None:
        facts = {**state.facts, **health.facts, "machine": self._machine}
        whole = TrainingState(state.tensors | health.tensors, facts)
        pieces = {"all": state_pieces(whole)} | {which: generator_pieces(state, which) for which in parts(state)}
        with self._writers_vigil.phase("save a checkpoint", _DEADLINE_S):
            files = {which: self._store.store(_name(which, moment.step), held) for which, held in pieces.items()}
            for which, file in files.items():
                self._store.compare(file, pieces[which])
        crash_point("save.stored")
        self._outbox.add_awaited(_checkpoint_row(moment, self._spec, files))

    def _store_sample(self, step: int, exporter: Exporter, samples: Tensor, labels: Tensor | None) -> None:
        with self._writers_vigil.phase("save samples", _DEADLINE_S):
            rendered = exporter.render(samples, labels)
            files = {
                suffix: self._store.store(f"samples-{step}.{suffix}", (data,)) for suffix, data in rendered.items()
            }
        self._outbox.add_awaited(_sample_row(step, len(samples), files))


def _name(which: str, step: int) -> str:
    return f"{'checkpoint' if which == 'all' else which}-{step}.safetensors"


def _checkpoint_row(moment: Moment, spec: JobSpec, files: dict[str, Any]) -> Row:
    rules, look_back = spec.checkpoints, look_back_for(spec.health)

    def show(session: Session, job: Job) -> None:
        if session.get(Checkpoint, (job.id, moment.step)) is not None:
            return  # a commit whose answer was lost has shown it
        add_checkpoint(
            session,
            job,
            step=moment.step,
            samples_seen=moment.samples_seen,
            trained_s=moment.trained_s,
            losses=moment.losses,
            files=files,
            saves_heard=moment.saves_heard,
        )
        retire_checkpoints(
            session,
            job,
            keep_last=rules.keep_last,
            keep_every=rules.keep_every,
            keep_best=rules.keep_best,
            look_back=look_back,
        )

    return show


def _sample_row(step: int, count: int, files: dict[str, Any]) -> Row:
    def show(session: Session, job: Job) -> None:
        if session.get(Sample, (job.id, step)) is None:
            add_sample(session, job, step=step, count=count, files=files)

    return show
