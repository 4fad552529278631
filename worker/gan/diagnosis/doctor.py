"""Follows one training: keeps the newest rows and check-ups, lets the rules judge them, and tells what has changed."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import torch

from service.spec.health import RULES, RuleState
from service.spec.job import JobSpec
from worker.gan.diagnosis.case import Case, Finding, Past, found
from worker.gan.diagnosis.checkup import Checkup
from worker.gan.diagnosis.rules import CHECKUPS, COLUMNS, JUDGES, WINDOW, outbreak
from worker.gan.state import TrainingState, copied, named, part

_RECORD, _ROWS, _CHECKUPS = "diagnosis", "diagnosis.rows", "diagnosis.checkups"  # in a training state


@dataclass(frozen=True)
class Standing:
    """Where a rule stands since the step of its last change; a cleared one keeps what had raised it."""

    state: RuleState
    since_step: int
    finding: Finding | None = None

    @property
    def is_judged(self) -> bool:
        """Tell whether the job records what the rule looks at."""
        return self.state != "not_applicable"


@dataclass(frozen=True)
class Change:
    """A rule that was raised or cleared."""

    rule: str
    standing: Standing


class Doctor:
    """Judges at every check-up, so that what it finds follows from the steps and not from when somebody looked."""

    def __init__(self, spec: JobSpec, columns: Sequence[str], *, has_held_out: bool) -> None:
        self.spec = spec
        self._columns = [column for column in COLUMNS if column in columns]
        self._which = [columns.index(column) for column in self._columns]
        self._rows = np.empty((0, len(self._columns)))
        self._checkups: deque[Checkup] = deque(maxlen=CHECKUPS)
        self._past = Past()
        self._standings = {
            name: Standing("healthy" if applies(spec, name, has_held_out=has_held_out) else "not_applicable", 0)
            for name in RULES
        }

    def see(self, rows: np.ndarray) -> None:
        """Take the rows (n, columns) of the next steps."""
        self._rows = np.concatenate([self._rows, rows[:, self._which]])[-WINDOW:]

    def judge(self, checkup: Checkup, merits: Mapping[int, float]) -> list[Change]:
        """Let every rule judge what was seen and measured up to a check-up; return those that it raised or cleared."""
        self._checkups.append(checkup)
        self._past = self._past.and_then(checkup)
        case = self._case(checkup.step, merits)
        changes = [self._apply(name, case) for name, standing in self._standings.items() if standing.is_judged]
        return [change for change in changes if change is not None]

    def diverged(self, step: int) -> Change:
        """Raise divergence for a number that is not finite at a step, the newest that was seen, without waiting for a
        check-up.
        """
        case = self._case(step, {})
        finding = found(case, max(1, outbreak(case)))
        return self._move("divergence", Standing("raised", step, finding))

    def _case(self, step: int, merits: Mapping[int, float]) -> Case:
        rows = dict(zip(self._columns, self._rows.T, strict=True))
        return Case(self.spec, step, rows, tuple(self._checkups), self._past, merits=merits)

    def record(self) -> dict[str, Any]:
        """Return all that is known, to be written as JSON and given back to `remember`."""
        return {
            "past": asdict(self._past),
            "rules": {name: asdict(standing) for name, standing in self._standings.items()},
        }

    def state(self) -> TrainingState:
        """Return what the next judgement depends on, to be saved with the training that is followed."""
        rows = dict(zip(self._columns, self._rows.T, strict=True))
        checkups = {
            field.name: np.array([getattr(each, field.name) for each in self._checkups], dtype=float)  # None is nan
            for field in fields(Checkup)
        }
        return TrainingState(_snapshot(_ROWS, rows) | _snapshot(_CHECKUPS, checkups), {_RECORD: self.record()})

    def restore(self, state: TrainingState) -> None:
        """Go on as the doctor whose state was saved with this one; a state of before that was saved changes nothing."""
        if _RECORD not in state.facts:
            return
        rows = {name: tensor.numpy() for name, tensor in part(_ROWS, state.tensors).items()}
        checkups = {name: tensor.tolist() for name, tensor in part(_CHECKUPS, state.tensors).items()}
        self._rows = np.stack([rows[column] for column in self._columns], axis=1)
        self._checkups.clear()
        missing = [np.nan] * len(checkups["step"])  # a state of before something was measured
        self._checkups.extend(
            map(_checkup, zip(*(checkups.get(field.name, missing) for field in fields(Checkup)), strict=True))
        )
        self.remember(state.facts[_RECORD])

    def remember(self, record: Mapping[str, Any]) -> None:
        """Let each rule stand where a record says."""
        self._past = Past(**record.get("past", {}))
        for name, kept in record["rules"].items():
            if name in self._standings and self._standings[name].is_judged:
                finding = Finding(**kept["finding"]) if kept["finding"] else None
                self._standings[name] = Standing(kept["state"], kept["since_step"], finding)

    def _apply(self, name: str, case: Case) -> Change | None:
        standing = self._standings[name]
        is_raised = standing.state == "raised"
        finding = JUDGES[name](replace(case, is_raised=is_raised))
        if is_raised == (finding is not None):
            if finding is not None:
                self._standings[name] = replace(standing, finding=finding)
            return None
        return self._move(
            name, Standing("raised" if finding else "cleared", case.last_step, finding or standing.finding)
        )

    def _move(self, name: str, standing: Standing) -> Change:
        self._standings[name] = standing
        return Change(name, standing)


def _snapshot(prefix: str, columns: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return copied(named(prefix, {name: torch.from_numpy(values) for name, values in columns.items()}))


def _checkup(values: tuple[float, ...]) -> Checkup:
    step, diversity, coverage, distance, fooled, memory = values
    return Checkup(int(step), diversity, coverage, distance, fooled, None if np.isnan(memory) else memory)


def applies(spec: JobSpec, rule: str, *, has_held_out: bool) -> bool:
    """Tell whether a job records what a rule looks at."""
    return RULES[rule].applies(spec) and (has_held_out or rule not in {"memorisation", "stale_quality"})
