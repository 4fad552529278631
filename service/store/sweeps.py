"""Sweeps: jobs that are created, counted, cancelled and deleted together, and stopped where they fall behind."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import inf
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, load_only

from service.clock import now
from service.errors import Conflict, NotFound
from service.ids import make_id
from service.models import TERMINAL, Desired, Job, Quality, State, Sweep
from service.spec.halving import Standing, Verdict, fallen_behind
from service.spec.members import MemberSpec
from service.spec.sweep import Goal, SweepSpec
from service.store import jobs
from service.store.events import add_event
from service.store.idempotency import forget_answers
from service.store.pages import Page, decode_cursor, make_page
from service.store.transitions import request_cancel


def create_sweep(
    session: Session,
    members: Sequence[MemberSpec],
    *,
    owner_id: str,
    posted: SweepSpec,
    search: dict[str, Any],
    metric: str,
    goal: Goal,
) -> Sweep:
    """Store a sweep and all its members, queued."""
    sweep = Sweep(
        id=make_id("swp"),
        owner_id=owner_id,
        name=posted.name,
        method=posted.method,
        search=search,
        spec=posted.spec.model_dump(mode="json", exclude_unset=True),
        metric=metric,
        goal=goal,
        created_at=now(),
    )
    session.add(sweep)
    for member in members:
        jobs.create_job(session, owner_id=owner_id, spec=member.posted, resolved=member.resolved, sweep_id=sweep.id)
    return sweep


def get_sweep(session: Session, owner_id: str, sweep_id: str) -> Sweep:
    """Return an owner's sweep; raise NotFound for an unknown id and for somebody else's alike."""
    sweep = session.get(Sweep, sweep_id)
    if sweep is None or sweep.owner_id != owner_id:
        raise NotFound("sweep", sweep_id)
    return sweep


def list_sweeps(session: Session, owner_id: str, *, limit: int = 50, cursor: str | None = None) -> Page[Sweep]:
    """Return an owner's sweeps, newest first."""
    query = select(Sweep).where(Sweep.owner_id == owner_id).order_by(Sweep.id.desc()).limit(limit + 1)
    if cursor:
        query = query.where(Sweep.id < decode_cursor(cursor))
    rows = session.scalars(query).all()
    return make_page(rows, limit, [row.id for row in rows])


def members_of(session: Session, sweep_id: str) -> Sequence[Job]:
    """Return the members of a sweep that have not been deleted, oldest first."""
    return session.scalars(select(Job).where(Job.sweep_id == sweep_id).order_by(Job.id)).all()


def count_members(session: Session, sweep_ids: Sequence[str]) -> Mapping[str, Counter[str]]:
    """Return how many members of each state some sweeps have."""
    query = select(Job.sweep_id, Job.state, func.count()).where(Job.sweep_id.in_(sweep_ids))
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for sweep_id, state, count in session.execute(query.group_by(Job.sweep_id, Job.state)):
        counts[sweep_id or ""][State(state).value] = count
    return counts


def cancel_sweep(session: Session, sweep: Sweep) -> None:
    """Ask for the end of every member that has not ended."""
    for job in members_of(session, sweep.id):  # in the order of ids, so that two who cancel never wait for each other
        if not job.is_terminal:
            with suppress(Conflict, NotFound):  # it has ended meanwhile, or was deleted
                request_cancel(session, job)


def delete_sweep(session: Session, sweep: Sweep, *, keeps_members: bool) -> None:
    """Delete a sweep with its members, or leave them as jobs of their own. Raise Conflict while one of them lives."""
    members = [job for job in members_of(session, sweep.id) if _lock_member(session, job)]
    if live := [job for job in members if not job.is_terminal]:
        message = f"{len(live)} of {len(members)} members have not ended; cancel the sweep before deleting it."
        raise Conflict("sweep_is_live", message)
    for job in members:
        if keeps_members:
            job.sweep_id = None
            add_event(session, job, "note", f"The sweep {sweep.id} was deleted without its members.")
        else:
            jobs.delete_job(session, job)
    forget_answers(session, sweep.id)
    session.delete(sweep)
    session.flush()


def _lock_member(session: Session, job: Job) -> bool:
    try:
        jobs.lock_job(session, job)
    except NotFound:  # it was deleted meanwhile
        return False
    return True


# What the reconciler does


def list_fallen_behind(session: Session) -> list[Verdict]:
    """Return the members of all sweeps by halving that are to be stopped, by what has been measured of them."""
    live = (Job.state.in_((State.QUEUED, State.RUNNING, State.PAUSED)), Job.desired != Desired.CANCEL)
    of_live = select(Job.sweep_id).where(Job.sweep_id.is_not(None), *live)
    going_on = select(Sweep).where(Sweep.method == "asha", Sweep.id.in_(of_live))
    sweeps = session.scalars(going_on.options(load_only(Sweep.search, Sweep.metric, Sweep.goal))).all()
    return [verdict for sweep in sweeps for verdict in _judge(session, sweep)]


def _judge(session: Session, sweep: Sweep) -> Sequence[Verdict]:
    measured: dict[str, dict[int, float]] = defaultdict(dict)
    rows = select(Quality.job_id, Quality.step, Quality.metrics).join(Job, Job.id == Quality.job_id)
    for job_id, step, metrics in session.execute(rows.where(Job.sweep_id == sweep.id)):
        if sweep.metric in metrics:
            measured[job_id][step] = _merit(metrics[sweep.metric], sweep.goal)
    members = select(Job.id, Job.max_steps, Job.state, Job.desired).where(Job.sweep_id == sweep.id).order_by(Job.id)
    standings = {
        job_id: Standing(measured[job_id], max_steps, state in TERMINAL or desired == Desired.CANCEL)
        for job_id, max_steps, state, desired in session.execute(members)
    }
    rule = {key: sweep.search[key] for key in ("reduction", "min_steps")}
    return fallen_behind(standings, **rule)


def _merit(value: float | None, goal: str) -> float:
    """Return a measured value, turned so that more is better. One that is no number is worse than any: it diverged."""
    if value is None:
        return -inf
    return value if goal == "higher" else -value
