"""Checkpoints and samples: the files first, durably; then the rows that show them, through the outbox."""

from typing import Any

import structlog
from sqlalchemy.orm import Session

from service.blobs import NO_SPACE, BlobStore, store_file, verify
from service.crashpoints import crash_point
from service.errors import StorageAway
from service.models import Checkpoint, Job, Sample
from service.spec.health import look_back_for
from service.store.checkpoints import add_checkpoint, retire_checkpoints
from service.store.samples import add_sample
from worker.attempt import Attempt
from worker.gan.files import generator_file, parts, write_state
from worker.gan.samples import exporter_for
from worker.gan.state import TrainingState
from worker.gan.training import Training
from worker.outbox import Outbox
from worker.stopsign import StopSign
from worker.treatment import Row
from worker.vigil import Vigil

_SAVE_DEADLINE_S = 600.0
_FOR_EVER = float("inf")
_LOOK_AGAIN_S = 1.0


class GivenUp(Exception):
    """There was no space, and the attempt is to stop before there is."""


class Saver:
    """Saves for one attempt. A full disk is a pause: saving waits for space unless `stopping` is set."""

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
        self._is_waiting = False  # for the storage, and the owner knows
        self._blobs, self._outbox, self._vigil = blobs, outbox, vigil
        self._attempt, self._machine, self._stopping = attempt, machine, stopping
        self._log = structlog.get_logger().bind(job=attempt.job_id, attempt=attempt.number)

    def save_checkpoint(self, training: Training) -> None:
        """Save the whole state at this step, unless it has diverged or stands there already."""
        step = training.step_number
        losses = self._outbox.losses()
        if step == self._saved_step or self._outbox.verdict:
            return
        with self._vigil.phase("save a checkpoint", _SAVE_DEADLINE_S):
            state, health = training.state(), self._outbox.health()
            facts = {**state.facts, **health.facts, "machine": self._machine}
            whole = TrainingState(state.tensors | health.tensors, facts)
            files = {"all": self._store(f"checkpoint-{step}.safetensors", write_state(whole))}
            for which in parts(state):
                files[which] = self._store(f"{which}-{step}.safetensors", generator_file(state, which))
            for file in files.values():
                verify(self._blobs, file)
        crash_point("save.stored")
        self._outbox.add(_checkpoint_row(training, self._outbox.trained_s, losses, files))
        self._outbox.record_health()
        self._saved_step = step

    def save_sample(self, training: Training) -> None:
        """Save what the generator makes of the fixed latents at this step, unless it has diverged or stands there."""
        step = training.step_number
        self._outbox.losses()
        if step == self._sampled_step or self._outbox.verdict:
            return
        with self._vigil.phase("save samples", _SAVE_DEADLINE_S):
            latents, labels = training.fixed_latents()
            rendered = exporter_for(training.data).render(training.sample(latents, labels), labels)
            files = {suffix: self._store(f"samples-{step}.{suffix}", data) for suffix, data in rendered.items()}
        self._outbox.add(_sample_row(step, len(latents), files))
        self._sampled_step = step

    def _store(self, name: str, data: bytes) -> dict[str, Any]:
        job_id, attempt = self._attempt.job_id, self._attempt.number
        while True:
            try:
                file = store_file(self._blobs, job_id=job_id, attempt=attempt, name=name, data=data)
            except OSError as error:
                if error.errno not in NO_SPACE and not isinstance(error, StorageAway):
                    raise
                self._wait_for_storage(name, error)
            else:
                self._go_on()
                return file

    def _wait_for_storage(self, name: str, error: OSError) -> None:
        self._log.error("storage full or away, waiting", file=name, error=str(error))
        if not self._is_waiting:
            self._is_waiting = True
            self._outbox.note(f"Training waits, for a file cannot be stored: {error.strerror or error}.")
        with self._vigil.phase("wait for the storage", _FOR_EVER):
            if self._stopping.wait(_LOOK_AGAIN_S):
                raise GivenUp

    def _go_on(self) -> None:
        if self._is_waiting:
            self._is_waiting = False
            self._outbox.note("The file is stored, and training goes on.")


def _checkpoint_row(training: Training, trained_s: float, losses: dict[str, Any] | None, files: dict[str, Any]) -> Row:
    step, samples_seen, rules = training.step_number, training.samples_seen, training.spec.checkpoints
    look_back = look_back_for(training.spec.health)

    def show(session: Session, job: Job) -> None:
        if session.get(Checkpoint, (job.id, step)) is not None:
            return  # a commit whose answer was lost has shown it
        add_checkpoint(
            session,
            job,
            step=step,
            samples_seen=samples_seen,
            trained_s=trained_s,
            losses=losses or {},
            files=files,
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
