"""What an attempt has done and not yet written: rows of its history, and the rows that will show its files."""

import math
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from service.clock import monotonic_s
from service.models import Job
from service.store import history
from service.store.events import add_event
from service.store.stream import add_flush
from service.store.transitions import Progress
from worker.attempt import Attempt
from worker.endings import Ending
from worker.gan.diagnosis.checkup import Checkup
from worker.gan.diagnosis.doctor import Change, Doctor
from worker.gan.recorder import first_non_finite
from worker.gan.state import TrainingState
from worker.gan.training import Training
from worker.treatment import Row, diagnosis_row, ending_for, event_row

SHOWN_LOSSES = ("d_loss", "g_loss", "value", "total_loss")

_MOST_STEPS = 1_000_000  # kept while the database is away: about 72 MB, an hour of a fast job
_RATE_WINDOW = 5  # flushes over which the speed is measured


@dataclass(frozen=True)
class Block:
    """Rows (n, columns) of consecutive steps."""

    first_step: int
    rows: np.ndarray

    @property
    def last_step(self) -> int:
        """The step of the last row."""
        return self.first_step + len(self.rows) - 1

    def after(self, step: int) -> "Block":
        """Return the part of the block that follows a step."""
        gone = max(0, step + 1 - self.first_step)
        return Block(self.first_step + gone, self.rows[gone:])


@dataclass(frozen=True)
class Batch:
    """What one flush writes, stamped with the attempt that has done it, whatever the job is at by then."""

    attempt: int
    progress: Progress
    columns: Sequence[str]
    blocks: Sequence[Block]
    rows_to_add: Sequence[Row]
    verdict: Ending | None = None  # of the doctor, once all that it was found by and every file before it is here

    def write(self, session: Session, job: Job) -> None:
        """Append to the history what follows its last step, then show the files, which belong to steps up to there."""
        new = self._in_one_piece().after(history.last_step(session, job.id) or 0)
        if len(new.rows):
            history.append_rows(
                session, job.id, attempt=self.attempt, first_step=new.first_step, columns=self.columns, rows=new.rows
            )
            add_flush(session, job, first_step=new.first_step, last_step=new.last_step, progress=self.progress)
        for show in self.rows_to_add:
            show(session, job)

    def _in_one_piece(self) -> Block:
        """Join the blocks: each append packs a segment anew, so one for each second of a long outage would outlast
        the lease.
        """
        if not self.blocks:
            return Block(1, np.empty((0, 0)))
        return Block(self.blocks[0].first_step, np.concatenate([block.rows for block in self.blocks]))


class Outbox:
    """Filled by the loop, emptied by flushes. While the database is away it grows, within a bound."""

    def __init__(self, attempt: Attempt) -> None:
        self.verdict: Ending | None = None
        origin = attempt.origin
        loop = attempt.spec.loop
        self._attempt = attempt.number
        self._samples_per_step = loop.batch_size * loop.discriminator_steps
        self._step = self._written_step = self._first_step = origin.step if origin else 0
        self._seen_before = origin.samples_seen if origin else 0
        self._spent_s = origin.trained_s if origin else 0.0
        self._training: Training | None = None
        self._doctor: Doctor | None = None
        self._began_at = 0.0
        self._losses: dict[str, Any] | None = None
        self._blocks: list[Block] = []
        self._rows_to_add: list[Row] = []
        self._awaited = 0  # rows of files that are being stored
        self._marks: deque[tuple[float, int]] = deque(maxlen=_RATE_WINDOW)
        self._lock = threading.Lock()

    def follow(self, training: Training, doctor: Doctor) -> None:
        """Take the steps of a training from now on, and let the doctor judge them; its clock runs from here."""
        with self._lock:
            self._training, self._doctor, self._began_at = training, doctor, monotonic_s()
        self.record_health()

    @property
    def trained_s(self) -> float:
        """Seconds of training, those of earlier attempts up to the checkpoint included."""
        return self._spent_s + (monotonic_s() - self._began_at if self._training else 0.0)

    @property
    def is_full(self) -> bool:
        """Tell whether the loop has to wait for the database; asked by the loop, for a flush may hang in it."""
        return self._training is not None and self._training.step_number - self._written_step > _MOST_STEPS

    def losses(self) -> dict[str, Any] | None:
        """Return the losses of the newest step. Called between two steps, it has looked at every step so far."""
        with self._lock:
            self._collect()
            return self._losses

    def examine(self, checkup: Checkup) -> None:
        """Let the rules judge every step up to a check-up; called between two steps."""
        with self._lock:
            self._collect()
            if self._training is not None and self._doctor is not None and self.verdict is None:
                for change in self._doctor.judge(checkup, self._training.merits):
                    self._follow(change, self._doctor)

    def health(self) -> TrainingState:
        """Return the doctor's part of a checkpoint; called between two steps, once every step so far was looked at."""
        with self._lock:
            return TrainingState({}, {}) if self._doctor is None else self._doctor.state()

    def record_health(self) -> None:
        """Write with the next flush where each rule stands."""
        if self._doctor is not None:
            self.add(diagnosis_row(self._doctor.record()))

    def add(self, row: Row) -> None:
        """Write a row with the next flush, after the history up to the newest step."""
        with self._lock:
            self._rows_to_add.append(row)

    def await_row(self) -> None:
        """Let no verdict end the attempt before one more row has arrived: that of a file from before it."""
        with self._lock:
            self._awaited += 1

    def add_awaited(self, row: Row) -> None:
        """Write a row that was awaited, as `add` does."""
        with self._lock:
            self._awaited -= 1
            self._rows_to_add.append(row)

    def note(self, message: str) -> None:
        """Tell the owner something with the next flush."""
        self.add(lambda session, job: add_event(session, job, "note", message))

    def batch(self) -> Batch:
        """Return all that is to be written."""
        with self._lock:
            self._collect()
            columns = self._training.recorder.columns if self._training else ()
            return Batch(
                self._attempt,
                self._progress(),
                columns,
                tuple(self._blocks),
                tuple(self._rows_to_add),
                None if self._awaited else self.verdict,
            )

    def forget(self, batch: Batch) -> None:
        """Drop what has been committed."""
        with self._lock:
            del self._blocks[: len(batch.blocks)]
            del self._rows_to_add[: len(batch.rows_to_add)]
            self._written_step = batch.progress.step

    def _collect(self) -> None:
        """Take new rows, up to the first that is not finite: nothing after it means anything."""
        if self._training is None or self._doctor is None or self.verdict is not None:
            return
        first_step, rows = self._training.recorder.take()
        if len(rows) == 0:
            return
        columns = self._training.recorder.columns
        broken = first_non_finite(columns, rows, first_step)
        if broken is not None:
            rows = rows[: broken[0] - first_step + 1]
        block = Block(first_step, rows)
        self._blocks.append(block)
        self._doctor.see(rows)
        if broken is not None:
            step, column = broken
            value = rows[-1, columns.index(column)]
            self._follow(self._doctor.diverged(step), self._doctor, f"{column} became {value} at step {step}.")
        self._step = block.last_step
        self._losses = _shown(self._step, columns, rows[-1])

    def _follow(self, change: Change, doctor: Doctor, message: str | None = None) -> None:
        """Tell the owner of a change and do what the spec asks for; the first change that ends the attempt counts."""
        self._rows_to_add.append(diagnosis_row(doctor.record()))
        self._rows_to_add.append(event_row(change, message))
        self.verdict = self.verdict or ending_for(change, doctor.spec, message)

    def _progress(self) -> Progress:
        return Progress(
            step=self._step,
            samples_seen=self._seen_before + (self._step - self._first_step) * self._samples_per_step,
            trained_s=self.trained_s,
            steps_per_second=self._rate(),
            last_losses=self._losses,
        )

    def _rate(self) -> float | None:
        """Return steps per second over the last few flushes."""
        if self._training is None:
            return None
        self._marks.append((monotonic_s(), self._step))
        (first_at, first_step), (last_at, last_step) = self._marks[0], self._marks[-1]
        return (last_step - first_step) / (last_at - first_at) if last_at > first_at else None


def _shown(step: int, columns: Sequence[str], row: np.ndarray) -> dict[str, Any]:
    """Return the losses of a step as JSON can say them."""
    losses = {column: float(row[columns.index(column)]) for column in SHOWN_LOSSES if column in columns}
    return {"step": step} | {column: value if math.isfinite(value) else None for column, value in losses.items()}
