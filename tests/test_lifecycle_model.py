"""Any life of a few jobs, with crashes, zombies and lost commits, is the one that their owners are promised."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from service.db import reading, writing
from service.errors import AttemptOver
from service.leases import loss_limits
from service.models import Checkpoint, DoomedBlob, Event, Job, Sample, Segment, State
from service.store import jobs, transitions
from tests.building import add_job
from tests.job_facts import assert_alike, shown_keys, stranded
from tests.job_model import LOSSES_IN_ALL, SCAN_S, TTL_S, Life, Trainer
from tests.twins import TooLate, Twins, batch_of, let_commits_be_quick, nth
from worker.endings import Why

LIVE_AT_ONCE = 3
ANY = st.integers(0, 9)  # which one, of however many there are
FALLBACK = st.sampled_from([0, 0, 1, 2])  # how many checkpoints are damaged
ASKS = st.sampled_from([None, None, None, "pause", "resume", "cancel"])  # of a job at the last moment
FILES = st.sets(st.sampled_from(["checkpoint", "sample"]))
COMMITS = st.sampled_from([True, True, True, True, False])  # a transaction that breaks before its end changes nothing
EXAMPLES = {"sqlite": 40, "postgresql": 8}


class Lives(Twins, RuleBasedStateMachine):
    """Does the same to the store and to the model. What is drawn never depends on the store."""

    def __init__(self, engine: Engine, home: Path) -> None:
        RuleBasedStateMachine.__init__(self)
        Twins.__init__(self, engine, home)
        self.ended: dict[str, tuple[Any, ...]] = {}

    def teardown(self) -> None:
        """Empty the database for the next example."""
        with writing(self.engine) as session:
            session.execute(delete(Job))
            session.execute(delete(DoomedBlob))

    # The owner

    @initialize(max_steps=st.integers(30, 60))
    def begin_with_two(self, max_steps: int) -> None:
        self.submit(max_steps)
        self.submit(max_steps)
        self.time_passes(1, 0)

    @precondition(lambda self: len(self.live()) < LIVE_AT_ONCE)
    @rule(max_steps=st.integers(1, 40))
    def submit(self, max_steps: int) -> None:
        with writing(self.engine) as session:
            job = add_job(session, loop={"max_steps": max_steps})
        self.lives[job.id] = Life(max_steps)

    @precondition(lambda self: self.lives)
    @rule(which=ANY, ask=st.sampled_from(["pause", "pause", "resume", "resume", "resume", "cancel"]), commits=COMMITS)
    def ask(self, which: int, ask: str, *, commits: bool) -> None:
        self.owner_asks(nth(list(self.lives), which), ask, commits=commits)

    @precondition(lambda self: self.lives)
    @rule(which=ANY, max_steps=st.none() | st.integers(1, 60), commits=COMMITS)
    def change(self, which: int, max_steps: int | None, *, commits: bool) -> None:
        changes = {"name": "other"} if max_steps is None else {"max_steps": max_steps}
        self.owner_does(
            nth(list(self.lives), which),
            lambda session, job: jobs.patch_job(session, job, changes),
            lambda life: life.change(max_steps),
            commits=commits,
        )

    @precondition(lambda self: any(life.has_ended for life in self.lives.values()))
    @rule(which=ANY, ask=ASKS, commits=COMMITS)
    def delete(self, which: int, ask: str | None, *, commits: bool) -> None:
        """Ask for something too late; then delete, or find that the job lives."""
        job_id = nth(sorted(self.lives, key=lambda job_id: not self.lives[job_id].has_ended), which)
        self.owner_asks(job_id, ask)
        self.owner_does(job_id, jobs.delete_job, Life.delete, commits=commits)

    # Workers

    @precondition(lambda self: self.live())
    @rule(which=ANY, fallback=FALLBACK, is_quick=st.booleans())
    def look(self, which: int, fallback: int, *, is_quick: bool) -> None:
        """See a job that a worker may want to claim, at once or when it is no longer what it was."""
        self.see(nth(self.live(), which), fallback)
        if is_quick:
            self.claim(0, commits=True)

    @precondition(lambda self: self.looks)
    @rule(which=ANY, commits=COMMITS)
    def claim(self, which: int, *, commits: bool) -> None:
        """Claim what was seen, however long ago that was, as a worker does that others have overtaken."""
        self.begin(*nth(self.looks[::-1], which), commits=commits)

    @precondition(lambda self: self.overtaken())
    @rule(which=ANY)
    def claim_overtaken(self, which: int) -> None:
        """Claim a job that waits again, since others have run it, from a checkpoint chosen before they did."""
        self.begin(*nth(self.overtaken(), which), commits=True)

    @precondition(lambda self: self.running_trainers())
    @rule(
        which=ANY,
        steps=st.integers(0, 8),
        files=FILES,
        fate=st.sampled_from(["heard", "heard", "heard", "unheard", "lost"]),
    )
    def train(self, which: int, steps: int, files: set[str], fate: str) -> None:
        """Take steps, save and flush; a commit may be lost, or its answer, so that the same is written again."""
        trainer = nth(self.running_trainers(), which)
        self.advance(trainer, steps, files)
        self.flush(trainer, None, fate)

    @precondition(lambda self: self.running_trainers())
    @rule(
        which=ANY,
        steps=st.sampled_from([60, 60, 5]),
        ask=ASKS,
        why=st.sampled_from(Why),
        fate=st.sampled_from(["heard", "heard", "heard", "unheard", "lost"]),
    )
    def stop(self, which: int, steps: int, ask: str | None, why: Why, fate: str) -> None:
        """End an attempt for any reason, with a checkpoint where the next attempt or the owner needs one."""
        trainer = nth(self.running_trainers(), which)
        trainer.take_steps(steps)
        if why not in (Why.CANCEL, Why.DIVERGED, Why.UNHEALTHY, Why.BAD_DATASET):
            trainer.save("checkpoint")
        self.owner_asks(trainer.job_id, ask)
        self.flush(trainer, why, fate)

    @precondition(lambda self: self.running_trainers())
    @rule(
        which=ANY,
        files=FILES,
        ask=ASKS,
        how=st.sampled_from(["crash", "crash", "drain too slowly", "fall silent"]),
        commits=COMMITS,
    )
    def die(self, which: int, files: set[str], ask: str | None, how: str, *, commits: bool) -> None:
        """Die under the eyes of a supervisor, or with it, with steps behind it that the next attempt takes again."""
        trainer = nth(self.running_trainers(), which)
        self.advance(trainer, 3, files)
        self.advance(trainer, 1, {"sample"})
        self.flush(trainer, None, "heard")
        if self.lives[trainer.job_id].is_run_by(trainer.attempt):
            self.owner_asks(trainer.job_id, ask)
            self.end_without_words(trainer, how, commits=commits)

    def end_without_words(self, trainer: Trainer, how: str, *, commits: bool) -> None:
        """A supervisor counts a loss, but for one that drains; nobody counts what nobody sees."""
        if how == "fall silent":
            trainer.is_alive = False
        else:
            self.lose(trainer, polite=how == "drain too slowly", commits=commits)

    @precondition(lambda self: self.running_trainers())
    @rule(which=ANY, times=st.integers(2, LOSSES_IN_ALL), files=FILES, ask=ASKS)
    def crash_again_and_again(self, which: int, times: int, files: set[str], ask: str | None) -> None:
        """Crash and be claimed again, with new files each time or none, until an owner asks just before a crash."""
        job_id = nth(self.running_trainers(), which).job_id
        for number in range(times):
            for trainer in self.running_trainers_of(job_id):
                self.advance(trainer, 1, files)
                self.flush(trainer, None, "heard")
                self.owner_asks(job_id, ask if number == times - 1 else None)
                self.lose(trainer, polite=False, commits=True)
            self.time_passes(scans=3, fallback=0)

    @precondition(lambda self: self.zombies())
    @rule(which=ANY, steps=st.integers(0, 5))
    def rise_as_a_zombie(self, which: int, steps: int) -> None:
        """Try every write of an attempt that is over."""
        zombie = nth(self.zombies()[::-1], which)
        zombie.take_steps(steps)
        at = (zombie.job_id, zombie.attempt)
        batch = batch_of(zombie, [])
        limits = loss_limits(self.settings)
        for write in (
            lambda session: transitions.fence(session, *at),
            lambda session: transitions.flush(session, *at, batch.progress),
            lambda session: transitions.finish(session, *at, State.SUCCEEDED, reason="max_steps"),
            lambda session: transitions.release(session, *at),
            lambda session: transitions.lose(session, *at, reason="crashed", message="Late.", limits=limits),
        ):
            with pytest.raises(AttemptOver), writing(self.engine) as session:
                write(session)

    # Reconcilers

    @precondition(lambda self: self.live())
    @rule(scans=st.integers(1, 5), fallback=FALLBACK)
    def time_passes(self, scans: int, fallback: int) -> None:
        """Scan again and again; then a worker takes all that waits."""
        for _ in range(scans):
            for trainer in self.running_trainers():
                if trainer.is_alive:
                    self.flush(trainer, None, "heard")
            self.look_around(SCAN_S)
        for job_id in self.claimable():
            self.see(job_id, fallback)
            self.claim(0, commits=True)

    @precondition(lambda self: self.running_trainers())
    @rule(seconds=st.sampled_from([TTL_S, 10 * TTL_S, 1_000 * TTL_S]))
    def all_processes_are_stopped(self, seconds: float) -> None:
        """Nobody has watched meanwhile, so nobody is judged by this time."""
        self.look_around(seconds, counted_s=2 * SCAN_S)

    @precondition(lambda self: len(self.running_trainers()) > 1)
    @rule()
    def everything_breaks(self) -> None:
        """Lose all attempts at once; when that is mended, no file is left that no row shows."""
        for trainer in self.running_trainers():
            self.lose(trainer, polite=False, commits=True)
        self.look_around(SCAN_S)

        with reading(self.engine) as session:
            assert set(self.blobs.list()) == shown_keys(session)

    @precondition(lambda self: any(life.hold_s for life in self.lives.values()))
    @rule(which=ANY, behind=st.integers(0, 1), commits=COMMITS)
    def end_a_hold(self, which: int, behind: int, *, commits: bool) -> None:
        """Another reconciler has watched for longer."""
        job_id = nth(list(self.lives), which)
        attempt = self.lives[job_id].attempt - behind

        def end_hold(session: Session) -> None:
            if not transitions.end_hold(session, job_id, attempt):
                raise TooLate

        self.both(job_id, end_hold, lambda life: life.end_hold(attempt), commits)

    # What always holds

    @invariant()
    def all_is_as_promised(self) -> None:
        with reading(self.engine) as session:
            self._every_job_is_what_was_promised(session)
            self._what_a_deleted_job_had_is_gone(session)
            self._nothing_that_has_ended_changes(session)
            self._every_file_is_shown_or_doomed_or_still_to_be_shown(session)
            self._what_can_be_claimed_is_offered(session)
            assert stranded(session) == []

    def _every_job_is_what_was_promised(self, session: Session) -> None:
        assert set(session.scalars(select(Job.id))) == {key for key, life in self.lives.items() if not life.deleted}
        for job in session.scalars(select(Job)):
            assert_alike(session, job, self.lives[job.id])

    def _what_a_deleted_job_had_is_gone(self, session: Session) -> None:
        for table in (Event, Segment, Checkpoint, Sample):
            owners = session.scalars(select(table.job_id).distinct())
            assert not any(self.lives[job_id].deleted for job_id in owners)

    def _nothing_that_has_ended_changes(self, session: Session) -> None:
        for job in session.scalars(select(Job).where(Job.state.in_(("succeeded", "failed", "cancelled")))):
            end = (job.state, job.reason, job.error_code, job.finished_at, job.attempt, job.step, job.beat)
            assert self.ended.setdefault(job.id, end) == end

    def _every_file_is_shown_or_doomed_or_still_to_be_shown(self, session: Session) -> None:
        shown, doomed = shown_keys(session), set(session.scalars(select(DoomedBlob.key)))
        stored = set(self.blobs.list())
        to_show = [f"{trainer.job_id}/{trainer.attempt}/" for trainer in self.running_trainers() if trainer.to_show]
        assert not shown & doomed
        assert shown <= stored
        assert all(key.startswith(tuple(to_show)) for key in stored - shown - doomed)

    def _what_can_be_claimed_is_offered(self, session: Session) -> None:
        offered = transitions.next_claimable(session, devices=["auto"], limit=100)
        assert {job.id for job in offered} == set(self.claimable())


def test_every_life_is_the_promised_one(engine: Engine, tmp_path: Path) -> None:
    let_commits_be_quick(engine)
    chosen = settings(
        max_examples=EXAMPLES[engine.dialect.name],
        stateful_step_count=50,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],  # the machine is shared, and each rule commits several times
    )

    run_state_machine_as_test(lambda: Lives(engine, tmp_path), settings=chosen)
