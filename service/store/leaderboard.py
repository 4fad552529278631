"""The members of a sweep in the order of what they have reached by a metric or a column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.models import Job, Quality, Sweep
from service.spec.quality import METRICS
from service.spec.sweep import Goal
from service.store import history
from service.store.sweeps import members_of


@dataclass(frozen=True)
class Reached:
    """A value and the step that it is of."""

    value: float
    step: int


@dataclass(frozen=True)
class Place:
    """A member, the values that are its own by path, and what it has reached; None before it is measured."""

    job: Job
    parameters: Mapping[str, Any]
    reached: Reached | None


def leaderboard(session: Session, sweep: Sweep, *, metric: str, goal: Goal) -> list[Place]:
    """Return all members, the best first, those without a value last; of equal ones the older is better.

    A metric of quality counts by its best measured step, a column by its last recorded one.
    """
    members = members_of(session, sweep.id)
    sign = 1.0 if goal == "higher" else -1.0
    reached = (
        _best_measured(session, sweep, metric, sign) if metric in METRICS else _last_recorded(session, members, metric)
    )
    places = [Place(job, _parameters_of(job, sweep.paths), reached.get(job.id)) for job in members]
    return sorted(places, key=lambda place: -sign * place.reached.value if place.reached else float("inf"))


def _best_measured(session: Session, sweep: Sweep, metric: str, sign: float) -> dict[str, Reached]:
    best: dict[str, Reached] = {}
    rows = select(Quality).join(Job, Job.id == Quality.job_id).where(Job.sweep_id == sweep.id)
    for row in session.scalars(rows.order_by(Quality.job_id, Quality.step)):
        value = row.metrics.get(metric)
        if value is not None and (row.job_id not in best or sign * value > sign * best[row.job_id].value):
            best[row.job_id] = Reached(value, row.step)
    return best


def _last_recorded(session: Session, members: Sequence[Job], column: str) -> dict[str, Reached]:
    found = {job.id: _last_of(session, job.id, column) for job in members if job.attempt}  # others have not begun
    return {job_id: reached for job_id, reached in found.items() if reached is not None}


def _last_of(session: Session, job_id: str, column: str) -> Reached | None:
    step = history.last_step(session, job_id)
    if step is None or column not in history.columns_of(session, job_id):
        return None
    value = float(history.read_rows(session, job_id, columns=[column], first=step, last=step).values[0, 0])
    return Reached(value, step) if isfinite(value) else None


def _parameters_of(job: Job, paths: Sequence[str]) -> dict[str, Any]:
    """Return the values of a member at some paths of its spec, as they were posted."""
    return {path: _at(job.spec, path) for path in paths}


def _at(spec: Any, path: str) -> Any:
    for key in path.split("."):
        spec = spec[key]
    return spec
