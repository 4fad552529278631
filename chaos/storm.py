"""A storm: clients at work, faults from a seed at any moment, then rest and the oracle's verdict, round after round."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import structlog
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError
from sqlalchemy import text

from chaos.faults import FAULTS, Fault, Scene, Strike
from chaos.faults.strikes import attempts_are_over
from chaos.ledger import keep_ledger, newest_entry, newest_writer
from chaos.load import Load
from chaos.oracle import Outcome, judge, orphans, outcome_of, unfinished_files
from chaos.stack import Database, Stack
from ganymede.client import GanymedeProblem
from service.db import DATABASE_AWAY, reading
from service.models import Desired, Job

_SMALL = {"generator": {"width": 16, "depth": 2}, "discriminator": {"width": 16, "depth": 2}}
_OFTEN = {"checkpoints": {"every_steps": 100, "keep_last": 3}, "samples": {"every_steps": 300, "count": 16}}
RECIPES: dict[str, dict[str, Any]] = {
    "ring": {"dataset": "ring", "seed": 1, "model": _SMALL, "loop": {"batch_size": 32, "max_steps": 1000}, **_OFTEN},
    "grid, fused": {
        "dataset": "grid",
        "seed": 2,
        "model": _SMALL,
        "objective": {"loss": "saturating"},
        "loop": {"variant": "fused", "batch_size": 32, "max_steps": 800},
        **_OFTEN,
    },
    "iris, reuse": {
        "dataset": "iris",
        "seed": 3,
        "model": _SMALL,
        "loop": {"variant": "reuse", "batch_size": 32, "max_steps": 600},
        **_OFTEN,
    },
    "digits": {
        "dataset": "digits",
        "seed": 4,
        "model": {"architecture": "dcgan", "generator": {"width": 8}, "discriminator": {"width": 8}},
        "loop": {"batch_size": 16, "max_steps": 120},
        "checkpoints": {"every_steps": 25, "keep_last": 3},
        "samples": {"every_steps": 100, "count": 16},
    },
}
LIVE_JOBS = 5
_COSTLY_WEIGHT = 0.25  # how often a costly fault is chosen, for one time of a cheap one
_OVERLAP = 0.7  # the chance that a fault strikes before the one before it is overcome
_RECOVERY_S = 60.0
_LEAVE_S = 15.0  # for a thawed zombie
_STUCK_S = 240.0  # without a job that ends or a step that is recorded: on a busy machine the last jobs take long
_SWEEP_S = 60.0
_LONGEST_OFFSET_S = 10 * 86_400


@dataclass(frozen=True)
class Trial:
    """One fault that struck. Seconds are None where nothing had to be noticed, or another fault struck meanwhile."""

    fault: str
    detail: str | None
    noticed_s: float | None
    recovered_s: float | None


@dataclass
class Report:
    """What a storm has shown on one database."""

    database: Database
    seed: int
    trials: list[Trial] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    jobs: int = 0
    attempts: int = 0
    answers: int = 0
    ledger_entries: int = 0


class Storm:
    """Runs rounds on one stack. Call from the main thread, which starts processes that die with it."""

    def __init__(self, stack: Stack, report: Report, *, faults: Sequence[str] = ()) -> None:
        self.report = report
        self._stack, self._random = stack, random.Random(report.seed)
        possible = [one for one in FAULTS.values() if report.database in one.databases]
        self._faults = [one for one in possible if one.name in (faults or FAULTS)]
        self._offsets = random.Random(f"{report.seed} offsets")  # of clocks; drawn as often as somebody looks
        self._strikes = 0
        self._struck: Counter[str] = Counter()
        self._expected: dict[str, Outcome] = {}
        self._log = structlog.get_logger().bind(database=report.database, seed=report.seed)

    def prepare(self) -> None:
        """Let every recipe run undisturbed once: what its disturbed runs must equal."""
        keep_ledger(self._stack.engine)
        jobs = {name: self._stack.client.jobs.create(**recipe) for name, recipe in RECIPES.items()}
        for job in jobs.values():
            if job.wait(timeout_s=_STUCK_S).status != "succeeded":
                raise RuntimeError(f"an undisturbed run did not succeed: {job.data}")
        self._expected = {name: outcome_of(self._stack.engine, job.id) for name, job in jobs.items()}
        for job in jobs.values():
            job.delete()

    def run_round(self, seconds: float) -> None:
        """Break things for so many seconds, wait for rest, judge. What is violated stands in the report at once."""
        load = Load(self._stack.url, RECIPES, seed=self._random.getrandbits(32), live_jobs=LIVE_JOBS)
        load.start()
        self._break_things(load, seconds)
        self._come_to_rest(load)
        self._violate(judge(self._stack.engine, self._stack.blobs, load.promises, self._expected))
        self._violate(load.complaints)
        self._delete_all()
        self._count(load)

    def _violate(self, findings: Iterable[str]) -> None:
        for finding in findings:
            self.report.violations.append(finding)
            self._log.error("violated", promise=finding)

    def _break_things(self, load: Load, seconds: float) -> None:
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            self._restart_dead()
            chosen = self._choose()
            # A generator of its own for each strike: whatever happened before, the same number strikes the same way.
            self._strikes += 1
            chance = random.Random(f"{self.report.seed} {self._strikes}")
            strike = self._strike(chosen, Scene(self._stack, load, chance))
            if strike is None:
                time.sleep(0.05)
                continue
            self._struck[chosen.name] += 1
            self._violate(strike.findings)
            self._watch(chosen, strike, overlaps=not strike.zombies and chance.random() < _OVERLAP)

    def _strike(self, chosen: Fault, scene: Scene) -> Strike | None:
        try:
            return chosen.strike(scene)
        except (psutil.Error, RedisError, OperationalError):  # its victim has just ended, or does not yet answer
            return None

    def _choose(self) -> Fault:
        """Choose at random, the more likely the less often a fault has struck."""
        weights = [
            (1.0 if one.is_cheap else _COSTLY_WEIGHT) / (1 + self._struck[one.name] * (1 if one.is_cheap else 5))
            for one in self._faults
        ]
        return self._random.choices(self._faults, weights)[0]

    def _watch(self, chosen: Fault, strike: Strike, *, overlaps: bool) -> None:
        """Time how the service notices and recovers, unless the next fault shall come at once."""
        struck_at, before = time.monotonic(), self._progress()
        self._restart_dead()
        noticed_s = recovered_s = None
        if not overlaps:
            if strike.victims:
                noticed_s = self._time(lambda: self._are_over(strike.victims), struck_at, f"{chosen.name} is noticed")
            recovered_s = self._time(
                lambda: self._works(before, strike.victims), struck_at, f"training goes on after {chosen.name}"
            )
        self._see_off(strike.zombies)
        self.report.trials.append(Trial(chosen.name, strike.detail, noticed_s, recovered_s))
        self._log.info("struck", fault=chosen.name, detail=strike.detail, noticed_s=noticed_s, recovered_s=recovered_s)

    def _time(self, condition: Callable[[], bool], since: float, what: str) -> float | None:
        while not condition():
            if time.monotonic() - since > _RECOVERY_S:
                self._violate([f"R5 not within {_RECOVERY_S:g} s: {what}"])
                return None
            self._restart_dead()
            time.sleep(0.02)
        return round(time.monotonic() - since, 3)

    def _are_over(self, victims: Mapping[str, int]) -> bool:
        """Tell whether the database knows that attempts have ended."""
        try:
            with reading(self._stack.engine) as session:
                return attempts_are_over(session, victims)
        except DATABASE_AWAY:
            return False

    def _progress(self) -> int:
        try:
            return newest_entry(self._stack.engine, "segments")
        except DATABASE_AWAY:
            return -1

    def _works(self, before: int, victims: Mapping[str, int]) -> bool:
        """Tell whether the service answers, and the victims train again, or anybody where there were none."""
        try:
            train = self._train_again(victims) if victims else self._progress() > max(before, 0)
        except DATABASE_AWAY:
            return False
        return train and self._stack.client.is_ready()

    def _train_again(self, victims: Mapping[str, int]) -> bool:
        """Tell whether a later attempt of each victim has recorded steps, or its owner wants none."""
        with reading(self._stack.engine) as session:
            jobs = {job_id: session.get(Job, job_id) for job_id in victims}
        waits = {job_id for job_id, job in jobs.items() if job and job.desired == Desired.RUN and not job.is_terminal}
        return all(newest_writer(self._stack.engine, job_id) > victims[job_id] for job_id in waits)

    def _see_off(self, zombies: Sequence[psutil.Process]) -> None:
        _, alive = psutil.wait_procs(list(zombies), timeout=_LEAVE_S)
        for zombie in alive:
            self._violate([f"R4 a thawed trainer, {zombie.pid}, has not left by itself within {_LEAVE_S:g} s"])

    def _restart_dead(self) -> None:
        """Start what a fault has ended, each time with another wrong clock."""
        offset_s = self._offsets.uniform(-_LONGEST_OFFSET_S, _LONGEST_OFFSET_S)
        self._stack.restart_dead(GANYMEDE_CLOCK_OFFSET_S=f"{offset_s:.0f}")

    def _come_to_rest(self, load: Load) -> None:
        """Stop submitting and wait until every job has ended and every blob that nobody shows is removed."""
        self._restart_dead()
        load.settle()
        self._wait_for_ends(load)
        load.stop()
        self._wait(self._is_swept, _SWEEP_S)
        self._violate(unfinished_files(self._stack.blob_root))

    def _wait_for_ends(self, load: Load) -> None:
        """Wait until every job has ended, or nobody moves any more: who is stuck then is the oracle's finding."""
        before = None
        while not self._wait(lambda: not load.live(), _STUCK_S):
            newest = self._progress()
            if newest == before:
                return
            before = newest

    def _is_swept(self) -> bool:
        with reading(self._stack.engine) as session:
            return not orphans(session, self._stack.blobs) and not unfinished_files(self._stack.blob_root)

    def _delete_all(self) -> None:
        """Delete what has ended; nothing may remain of it."""
        for job in list(self._stack.client.jobs.list(limit=100)):
            try:
                job.delete()
            except GanymedeProblem as error:
                self._violate([f"I6 {job.id} could not be deleted: {error}"])
        self._wait(lambda: not list(self._stack.blobs.list()), _SWEEP_S)
        self._violate(f"I9 {key} is left of a deleted job" for key in self._stack.blobs.list())

    def _wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            self._restart_dead()
            time.sleep(0.1)
        return True

    def _count(self, load: Load) -> None:
        self.report.jobs += len(load.promises)
        self.report.answers += load.answers
        with self._stack.engine.connect() as connection:
            self.report.ledger_entries = connection.execute(text("SELECT COUNT(*) FROM ledger")).scalar_one()
            claims = "SELECT COUNT(*) FROM ledger WHERE what = 'jobs' AND before = 'queued' AND after = 'running'"
            self.report.attempts = connection.execute(text(claims)).scalar_one()


@contextmanager
def a_storm(home: Path, report: Report, *, faults: Sequence[str] = ()) -> Iterator[Storm]:
    """Yield a storm on a stack of its own; every process that then remains is a violation."""
    with Stack(home, database=report.database) as stack:
        storm = Storm(stack, report, faults=faults)
        storm.prepare()
        try:
            yield storm
        except BaseException as error:
            report.violations.append(f"the storm broke off: {error!r}")
            raise
        report.violations += [f"I9 {name} had to be killed at the end" for name in stack.close()]
