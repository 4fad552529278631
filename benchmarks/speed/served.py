"""Rows P8 and E1: a training with what a trainer does around it, against the bare one."""

import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn, Self

import torch

from benchmarks.speed.figures import Effort, Figure, Runner, interleave, ratio, timed, took_s
from benchmarks.speed.models import training_of
from benchmarks.speed.steps import recorded
from service.blobs import make_blobs
from service.db import make_engine, migrate, writing
from service.settings import Settings
from service.store.jobs import create_job
from service.store.keys import LOCAL_OWNER
from service.store.transitions import claim
from worker.attempt import Attempt, LastWords
from worker.flusher import Flusher
from worker.gan.diagnosis.checkup import CHECK_EVERY_STEPS, Examiner
from worker.gan.diagnosis.doctor import Doctor
from worker.gan.training import Training
from worker.isolation import isolate
from worker.outbox import Outbox
from worker.saver import Saver
from worker.stopsign import StopSign
from worker.vigil import Vigil

SAVE_EVERY_STEPS = 10  # of E1
SAMPLE_EVERY_STEPS = {"ring": 10_000, "dcgan32": 100}
THREADS = {"ring": 1, "dcgan32": 2}
ROUNDS, BLOCKS_S = 10, 6  # of P8: more rounds would not fit, and flushes come each second


class Around:
    """What worker.trainer has around a training of a claimed job, on SQLite and a directory."""

    def __init__(self, training: Training, settings: Settings) -> None:
        self.training, self.settings = training, settings
        migrate(settings.database)
        self._engine = make_engine(settings.database, pool_size=1)
        with writing(self._engine) as session:
            job = create_job(session, owner_id=LOCAL_OWNER, spec={}, resolved=training.spec)
            claim(session, job, worker="benchmark", resume_from=None)
            attempt = Attempt.of(job, None)
        self.vigil, self.outbox = Vigil(settings.step_deadline_s), Outbox(attempt)
        self.flusher = Flusher(self._engine, self.outbox, self.vigil, attempt=attempt, settings=settings, leave=_leave)
        self.saver = Saver(
            make_blobs(settings.blobs), self.outbox, self.vigil, attempt=attempt, machine={}, stopping=StopSign()
        )
        self.outbox.follow(training, Doctor(training.spec, training.recorder.columns, has_held_out=False))


class Loop:
    """The loop of worker.trainer, but that it saves by the seconds that it ran and never ends.

    The first checkpoint comes after half its time, so that the time measured has as many as it should.
    """

    def __init__(self, around: Around) -> None:
        self._around, self._training = around, around.training
        self._examiner = Examiner(around.training)
        self._since_saved_s = around.settings.checkpoint_s / 2
        around.flusher.start()

    def run(self, steps: int) -> float:
        """Take so many steps and what is due with them; return the seconds."""
        self._looked_at = began = time.perf_counter()
        for _ in range(steps):
            self._step()
        return time.perf_counter() - began

    def _step(self) -> None:
        around, training = self._around, self._training
        if around.flusher.ended or around.outbox.is_full or around.outbox.verdict is not None:
            raise ChildProcessError("the attempt has ended")
        around.saver.raise_failure()
        around.vigil.step_begins()
        training.step()
        if training.step_number % CHECK_EVERY_STEPS == 0:
            around.outbox.examine(self._examiner.examine(training))
        if training.step_number % (training.spec.samples.every_steps or 1) == 0:
            around.saver.save_sample(training)
        moment = time.perf_counter()
        self._since_saved_s += moment - self._looked_at
        self._looked_at = moment
        if self._since_saved_s > around.settings.checkpoint_s:
            around.saver.save_checkpoint(training)
            self._since_saved_s = 0.0


class Fork:
    """A runner in a forked process, which is held still except while it runs."""

    def __init__(self, make: Callable[[], Runner]) -> None:
        fork = multiprocessing.get_context("fork")
        self._line, theirs = fork.Pipe()
        self._process = fork.Process(target=_run_when_asked, args=(make, theirs), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    def __call__(self, steps: int) -> float:
        """Let it take so many steps and return the seconds that they took."""
        os.kill(self._process.pid or 0, signal.SIGCONT)
        self._line.send(steps)
        while not self._line.poll(1.0):
            if not self._process.is_alive():
                raise ChildProcessError("what was to take steps has ended")
        taken_s = float(self._line.recv())
        os.kill(self._process.pid or 0, signal.SIGSTOP)
        return taken_s


def around_the_loop(effort: Effort) -> dict[str, Figure]:
    """P8."""
    less = Effort(min(ROUNDS, effort.rounds), BLOCKS_S * effort.block_s)
    return {model: more_time(model, less) for model in ("dcgan32", "ring")}


def more_time(model: str, effort: Effort) -> Figure:
    """Return how much more time a step takes with all that is around it, in percent."""
    with (
        TemporaryDirectory(prefix="ganymede-served-") as directory,
        Fork(partial(bare, model)) as without,
        Fork(partial(served, model, Path(directory))) as whole,
    ):
        taken = interleave({"bare": without, "served": whole}, effort)
    overheads = [100 * (more / less - 1) for more, less in zip(taken["served"], taken["bare"], strict=True)]
    return Figure.of(overheads, value=100 * (sum(taken["served"]) / sum(taken["bare"]) - 1))


def bare(model: str) -> Runner:
    """Make the training by itself."""
    torch.set_num_threads(THREADS[model])
    return recorded(training_of(model, "fused"))


def served(model: str, home: Path) -> Runner:
    """Make the training with everything around it."""
    torch.set_num_threads(THREADS[model])
    training = training_of(model, "fused", samples={"every_steps": SAMPLE_EVERY_STEPS[model]})
    return Loop(Around(training, Settings(_env_file=None, home=home))).run


def checkpoints(effort: Effort) -> dict[str, Figure]:
    """E1."""
    torch.set_num_threads(2)
    model = "dcgan32 of 50 MB"
    with an_attempt(training_of(model, "reuse")) as around:
        runners = {
            "without": timed(partial(_take_steps, training_of(model, "reuse"))),
            "with": _but_for_cleaning(around),
        }
        taken = interleave(runners, effort)
    return {"": ratio(taken["with"], taken["without"])}


@contextmanager
def an_attempt(training: Training) -> Iterator[Around]:
    """Yield what is around a training, in a directory that is removed."""
    with TemporaryDirectory(prefix="ganymede-served-") as directory:
        yield Around(training, Settings(_env_file=None, home=Path(directory)))


def _take_steps(training: Training) -> None:
    for _ in range(SAVE_EVERY_STEPS):
        training.step()
    training.recorder.take()


def _but_for_cleaning(around: Around) -> Runner:
    """Make a runner that saves every few steps, until all is stored; the files are removed outside of the time."""

    def save_and_step() -> None:
        around.saver.save_checkpoint(around.training)
        _take_steps(around.training)

    def run(steps: int) -> float:
        taken_s = timed(save_and_step)(steps) + took_s(around.saver.finish)
        shutil.rmtree(around.settings.home / "blobs")
        return taken_s

    return run


def _run_when_asked(make: Callable[[], Runner], line: Connection) -> None:
    isolate("ganymede: benchmark", niceness=0)  # one that is held still must end with the row, too
    run = make()
    while True:
        line.send(run(line.recv()))


def _leave(words: LastWords | None) -> NoReturn:
    os.write(2, f"the attempt broke off: {words}\n".encode())
    os._exit(1)
