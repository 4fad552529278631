"""Forks: jobs that begin from a checkpoint of another one, whose history goes before theirs."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.clock import now
from service.models import Checkpoint, Event, Job
from service.spec.fork import Branch, ForkedSpec
from service.spec.health import rate_factor
from service.store import history, jobs
from service.store.doomed import keys_of
from service.store.events import add_event
from service.store.history import Stretch
from service.store.holds import hold
from service.store.positions import position_at


def branch_at(session: Session, parent: Job, checkpoint: Checkpoint) -> Branch:
    """Tell what a fork of this checkpoint depends on."""
    before = parent.rollbacks - len([step for step in _rolled_back_to(session, parent.id) if step > checkpoint.step])
    return Branch(checkpoint.step, checkpoint.trained_s, rate_factor(before))


def create_fork(
    session: Session, parent: Job, checkpoint: Checkpoint, spec: ForkedSpec, *, overrides: dict[str, Any]
) -> Job:
    """Store a new queued job that begins from a checkpoint. The caller has locked the parent.

    The files of the checkpoint are the fork's as well from now on, whatever becomes of the parent.
    """
    job = jobs.create_job(session, owner_id=parent.owner_id, spec=spec.posted, resolved=spec.resolved.spec)
    job.shape = None  # others of its shape begin without a checkpoint
    job.parent_id, job.parent_step, job.parent_seq = parent.id, checkpoint.step, parent.event_seq
    for column, value in position_at(checkpoint).items():
        setattr(job, column, value)
    if job.resolved_spec["resources"] == parent.resolved_spec["resources"]:
        job.plan = _plan_alone(parent)  # other ways to take a step give other bits
    session.add(
        Checkpoint(
            job_id=job.id,
            step=checkpoint.step,
            attempt=0,
            samples_seen=checkpoint.samples_seen,
            trained_s=checkpoint.trained_s,
            losses=checkpoint.losses,
            files=checkpoint.files,
            created_at=now(),
        )
    )
    hold(session, keys_of(checkpoint.files), (parent.id, job.id))
    data = {"parent": parent.id, "step": checkpoint.step, "overrides": overrides}
    add_event(session, job, "forked", f"Continues {parent.id} from step {checkpoint.step}.", data)
    session.flush()
    return job


def lineage_of(session: Session, job_id: str) -> list[Stretch]:
    """Return what was recorded of a fork's steps before it began, by the jobs that it continues, oldest first.

    It begins where no further ancestor is left, or where one has been rolled back to before the fork and has taken
    other steps since.
    """
    stretches: list[Stretch] = []
    job = session.get_one(Job, job_id)
    while (parent := _undisturbed_parent(session, job)) is not None:
        step, recorded = job.parent_step or 0, history.span(session, parent.id)
        if step != parent.parent_step:  # else both begin with the same checkpoint
            if recorded is None or recorded[1] < step:
                break
            stretches.append(Stretch(parent.id, recorded[0], step))
        job = parent
    return stretches[::-1]


def _undisturbed_parent(session: Session, job: Job) -> Job | None:
    parent = session.get(Job, job.parent_id) if job.parent_id else None
    if parent is None or job.parent_step is None:
        return None
    since = _rolled_back_to(session, parent.id, after=job.parent_seq or 0)
    return None if any(step < job.parent_step for step in since) else parent


def _rolled_back_to(session: Session, job_id: str, after: int = 0) -> Iterator[int]:
    """Yield the steps from which on a job went on at half the rates, in the order in which it did."""
    query = select(Event.data).where(Event.job_id == job_id, Event.type == "rollback", Event.seq > after)
    return (data["to_step"] for data in session.scalars(query.order_by(Event.seq)) if "rate_factor" in data)


def _plan_alone(job: Job) -> dict[str, Any] | None:
    return None if job.plan is None else {key: value for key, value in job.plan.items() if key != "cohort"}
