"""A few jobs, each twice: in the store, and as its model. What is done to one is done to the other."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from sqlalchemy import Engine, event, func, select
from sqlalchemy.orm import Session

from service.blobs import make_blobs, store_file
from service.broker import Wakeups
from service.db import reading, writing
from service.errors import AttemptOver, Conflict, InvalidInput, NotFound
from service.leases import loss_limits
from service.models import Checkpoint, DoomedBlob, Job, Sample
from service.orphans import sweep_orphans
from service.reconcile import Reconciler
from service.settings import Settings
from service.store import jobs, transitions
from service.store.checkpoints import add_checkpoint, newest_checkpoints, retire_checkpoints
from service.store.keys import LOCAL_OWNER
from service.store.samples import add_sample
from service.store.transitions import Orders, Progress
from tests.job_facts import COLUMNS, row_of
from tests.job_model import (
    BACK_OFF_MAX_S,
    BACK_OFF_S,
    KEEP_LAST,
    LOSSES_IN_ALL,
    LOSSES_IN_ROW,
    SCAN_S,
    TTL_S,
    Life,
    Refused,
    Trainer,
)
from worker.attempt import Attempt
from worker.endings import Ending, Why, conclude
from worker.outbox import Batch, Block

T = TypeVar("T")


class CommitLost(Exception):
    """The database went away before the commit."""


class TooLate(Exception):
    """The condition of an update did not hold."""


class Twins:
    """The jobs, their trainers, and a reconciler with a clock that only a test moves."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine = engine
        self.settings = Settings(
            _env_file=None,
            home=home,
            ttl_s=TTL_S,
            scan_s=SCAN_S,
            losses_in_row=LOSSES_IN_ROW,
            losses_in_all=LOSSES_IN_ALL,
            back_off_s=BACK_OFF_S,
            back_off_max_s=BACK_OFF_MAX_S,
        )
        self.now_s = 0.0
        self.blobs = make_blobs("memory://")
        self.reconciler = Reconciler(
            engine, self.blobs, self.settings, Wakeups(self.settings), clock=lambda: self.now_s
        )
        self.reconciler.scan()
        self.lives: dict[str, Life] = {}
        self.trainers: list[Trainer] = []
        self.looks: list[tuple[Job, Checkpoint | None]] = []  # at jobs that may have changed since

    def both(
        self, job_id: str, act: Callable[[Session], object], promise: Callable[[Life], None], commits: bool = True
    ) -> bool:
        """Act on the store and on the model; tell whether it was done. Both refuse alike, or both do it."""
        promised, refusal = promised_after(self.lives[job_id], promise)
        done = self._act(act, commits)
        assert done == (refusal or ("done" if commits else "CommitLost"))
        if done == "done":
            self.lives[job_id] = promised
        return done == "done"

    def _act(self, act: Callable[[Session], object], commits: bool) -> str:
        """Act in one transaction; return `done`, or the name of what kept it from being done."""
        try:
            with writing(self.engine) as session:
                act(session)
                session.flush()
                break_off_unless(commits)
        except (AttemptOver, Conflict, InvalidInput, NotFound, TooLate, CommitLost) as error:
            return type(error).__name__
        return "done"

    def owner_does(
        self, job_id: str, act: Callable[[Session, Job], object], promise: Callable[[Life], None], *, commits: bool
    ) -> None:
        self.both(job_id, lambda session: act(session, jobs.get_job(session, LOCAL_OWNER, job_id)), promise, commits)

    def owner_asks(self, job_id: str, ask: str | None, *, commits: bool = True) -> None:
        if ask is not None:
            self.owner_does(job_id, getattr(transitions, f"request_{ask}"), getattr(Life, ask), commits=commits)

    def see(self, job_id: str, fallback: int) -> None:
        """See a job as a worker does, and choose one of its checkpoints as if those before it were damaged."""
        with reading(self.engine) as session:
            job = session.get_one(Job, job_id)
            origins = [*newest_checkpoints(session, job_id), None]
        self.looks.append((job, origins[min(fallback, len(origins) - 1)]))

    def begin(self, seen: Job, origin: Checkpoint | None, *, commits: bool) -> None:
        """Claim a job as it was seen."""
        step = origin.step if origin else 0
        attempts: list[Attempt] = []

        def claim(session: Session) -> None:
            job = session.merge(seen, load=False)
            if not transitions.claim(session, job, worker="worker-1", resume_from=origin):
                raise TooLate
            attempts.append(Attempt.of(job, origin))

        if self.both(seen.id, claim, lambda life: life.claim(seen_attempt=seen.attempt, from_step=step), commits):
            self.trainers.append(Trainer(seen.id, attempts[0].number, step, attempts[0].max_steps, step, step))

    def live(self) -> list[str]:
        return [job_id for job_id, life in self.lives.items() if not life.has_ended]

    def claimable(self) -> list[str]:
        return [job_id for job_id, life in self.lives.items() if life.is_claimable]

    def overtaken(self) -> list[tuple[Job, Checkpoint | None]]:
        return [look for look in self.looks if look[0].id in self.claimable() and not self._is_news(look[0])]

    def _is_news(self, seen: Job) -> bool:
        return seen.attempt == self.lives[seen.id].attempt

    def running_trainers(self) -> list[Trainer]:
        return [trainer for trainer in self.trainers if self.lives[trainer.job_id].is_run_by(trainer.attempt)]

    def running_trainers_of(self, job_id: str) -> list[Trainer]:
        return [trainer for trainer in self.running_trainers() if trainer.job_id == job_id]

    def zombies(self) -> list[Trainer]:
        """Return the trainers whose attempts are over: those whose jobs run again, if there are any."""
        zombies = [trainer for trainer in self.trainers if trainer not in self.running_trainers()]
        return [zombie for zombie in zombies if self.running_trainers_of(zombie.job_id)] or zombies

    def advance(self, trainer: Trainer, steps: int, files: set[str]) -> None:
        """Take steps and store files, which nobody sees before the next flush."""
        trainer.take_steps(steps)
        for kind in sorted(files):
            trainer.save(kind)

    def flush(self, trainer: Trainer, why: Why | None, fate: str) -> None:
        """Write all that a trainer has, as its flusher does: history, files and end in one fenced transaction."""
        rows = [self.store(trainer, kind, step) for kind, step in trainer.to_show]
        batch = batch_of(trainer, rows)
        orders: list[Orders] = []
        ending = Ending(why, "It broke.") if why else None

        def write(session: Session) -> None:
            orders.append(transitions.flush(session, trainer.job_id, trainer.attempt, batch.progress))
            batch.write(session, session.get_one(Job, trainer.job_id))
            attempt = Attempt(trainer.job_id, trainer.attempt, None, trainer.max_steps, None)
            conclude(session, attempt, orders[0], batch.progress.step, ending)

        done = self.both(
            trainer.job_id, write, lambda life: trainer.write(life, why.value if why else None), fate != "lost"
        )
        if done and fate == "heard":
            trainer.written, trainer.to_show, trainer.max_steps = trainer.step, [], orders[0].max_steps

    def store(self, trainer: Trainer, kind: str, step: int) -> Callable[[Session, Job], object]:
        """Store the file of a checkpoint or sample; return what will show it, once only."""
        data = f"{kind} {step}".encode()
        name = f"{kind}-{step}.safetensors"
        file = store_file(self.blobs, job_id=trainer.job_id, attempt=trainer.attempt, name=name, pieces=[data])

        def show(session: Session, job: Job) -> None:
            if session.get(Checkpoint if kind == "checkpoint" else Sample, (job.id, step)) is not None:
                return
            if kind == "sample":
                add_sample(session, job, step=step, count=1, files={"all": file})
                return
            losses = {"step": step}
            add_checkpoint(
                session, job, step=step, samples_seen=step, trained_s=step, losses=losses, files={"all": file}
            )
            retire_checkpoints(session, job, keep_last=KEEP_LAST)

        return show

    def lose(self, trainer: Trainer, *, polite: bool, commits: bool) -> None:
        """Record the end of an attempt as its supervisor does, and clear away what it left."""
        job_id, attempt = trainer.job_id, trainer.attempt
        if polite:
            promise = promised_release(attempt)
            done = self.both(job_id, lambda session: transitions.release(session, job_id, attempt), promise, commits)
        else:
            limits = loss_limits(self.settings)
            done = self.both(
                job_id,
                lambda session: transitions.lose(
                    session, job_id, attempt, reason="crashed", message="It broke.", limits=limits
                ),
                lambda life: life.lose(attempt, "crashed"),
                commits,
            )
        if done:
            sweep_orphans(self.engine, self.blobs, job_id)

    def look_around(self, seconds: float, *, counted_s: float | None = None) -> None:
        self.now_s += seconds
        self.reconciler.scan()
        for life in self.lives.values():
            life.is_looked_at(seconds if counted_s is None else counted_s)
        with reading(self.engine) as session:
            assert session.scalar(select(func.count()).select_from(DoomedBlob)) == 0


def nth(things: Sequence[T], number: int) -> T:
    """Return one of some things; every number names one."""
    return things[number % len(things)]


def promised_after(life: Life, promise: Callable[[Life], None]) -> tuple[Life, str | None]:
    """Return what a life becomes, or by which error it is refused."""
    promised = copy.deepcopy(life)
    try:
        promise(promised)
    except Refused as refused:
        return life, str(refused)
    return promised, None


def break_off_unless(commits: bool) -> None:
    if not commits:
        raise CommitLost


def promised_release(attempt: int) -> Callable[[Life], None]:
    def release(life: Life) -> None:
        life.flush(attempt, life.step)
        life.conclude("drain")

    return release


def batch_of(trainer: Trainer, rows: Sequence[Callable[[Session, Job], object]]) -> Batch:
    """What a trainer knows to be unwritten; after an answer that was lost, some of it stands already."""
    steps = range(trainer.written + 1, trainer.step + 1)
    block = Block(trainer.written + 1, np.array([row_of(trainer.attempt, step) for step in steps], dtype=np.float32))
    losses = {"step": trainer.step} if trainer.step else None
    progress = Progress(trainer.step, trainer.step, float(trainer.step), None, losses)
    return Batch(trainer.attempt, progress, COLUMNS, [block] if steps else [], rows)


def let_commits_be_quick(engine: Engine) -> None:
    """Spare SQLite the waiting for the disk: what is written here need not survive the machine."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
