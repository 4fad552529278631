"""Jobs as their owners see them: create, find, rename, extend, delete. Changes of state are in transitions."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, bindparam, delete, func, or_, select
from sqlalchemy.orm import Session

from service.clock import now
from service.db import may_take_long, writes_alone
from service.errors import Conflict, Fault, InvalidInput, NotFound
from service.ids import make_id
from service.models import TERMINAL, Checkpoint, Desired, Job, JobLabel, Order, Sample, State
from service.spec.job import JobSpec
from service.spec.shape import shape_to_share
from service.spec.uploads import ID_PREFIX
from service.store.doomed import doom_rows
from service.store.events import add_event, next_event, record_event
from service.store.idempotency import forget_answers
from service.store.pages import Page, decode_cursor, make_page


class Glimpse(NamedTuple):
    """As little of a job as tells whether it has changed."""

    id: str
    version: int
    state: str
    attempt: int


# Made once: most requests begin with one of these, and to make one takes as long as to carry it out.
_MINE = select(Job.id, Job.version, Job.state, Job.attempt).where(Job.owner_id == bindparam("owner"))
_ONE = _MINE.where(Job.id == bindparam("job"))
_PAGE = _MINE.order_by(Job.id.desc()).limit(bindparam("most"))
_THESE: BindParameter[str] = bindparam("jobs", expanding=True)
_ALL = select(Job).where(Job.id.in_(_THESE)).order_by(Job.id.desc())
_QUEUE = (
    select(Job.id, func.row_number().over(order_by=(Job.priority.desc(), Job.id)).label("place"))
    .where(Job.state == State.QUEUED)
    .subquery()
)
_PLACES = select(_QUEUE.c.id, _QUEUE.c.place).where(_QUEUE.c.id.in_(_THESE))
_LIVE = (
    select(func.count())
    .select_from(Job)
    .where(Job.owner_id == bindparam("owner"), Job.state.in_((State.QUEUED, State.RUNNING, State.PAUSED)))
)


def create_job(
    session: Session, *, owner_id: str, spec: dict[str, Any], resolved: JobSpec, sweep_id: str | None = None
) -> Job:
    """Store a new queued job; `spec` is kept as posted beside the resolved one."""
    job = Job(
        id=make_id("job"),
        owner_id=owner_id,
        name=resolved.name,
        priority=resolved.priority,
        dataset_id=upload_of(resolved),
        device=resolved.resources.device,
        shape=shape_to_share(resolved),
        spec=spec,
        resolved_spec=resolved.model_dump(mode="json"),
        state=State.QUEUED,
        desired=Desired.RUN,
        version=0,
        event_seq=0,
        attempt=0,
        max_steps=resolved.loop.max_steps,
        sweep_id=sweep_id,
        created_at=now(),
    )
    created = next_event(job, "created", "Accepted.", {"status": job.status})  # first, so that the row is written once
    session.add(job)
    session.flush()
    _add_labels(session, job, resolved.labels)
    record_event(session, job, created)
    session.flush()
    return job


def upload_of(spec: JobSpec) -> str | None:
    """Return the id of the uploaded data set that a spec is for, None for a built-in one."""
    name = spec.dataset if isinstance(spec.dataset, str) else spec.dataset.name
    return name if name.startswith(ID_PREFIX) else None


def get_job(session: Session, owner_id: str, job_id: str) -> Job:
    """Return an owner's job; raise NotFound for an unknown id and for somebody else's alike."""
    job = session.get(Job, job_id)
    if job is None or job.owner_id != owner_id:
        raise NotFound("job", job_id)
    return job


def glimpse(session: Session, owner_id: str, job_id: str) -> Glimpse:
    """Return a glimpse of an owner's job; raise NotFound as get_job does."""
    row = session.execute(_ONE, {"job": job_id, "owner": owner_id}).one_or_none()
    if row is None:
        raise NotFound("job", job_id)
    return Glimpse._make(row)


def find_all(session: Session, job_ids: Sequence[str]) -> Sequence[Job]:
    """Return those of some jobs that are there, newest first."""
    return session.scalars(_ALL, {"jobs": job_ids}).all()


def lock_job(session: Session, job: Job) -> None:
    """Read a job again with its row locked until the transaction ends; raise NotFound when it was just deleted."""
    if writes_alone(session):
        return  # as it was read in this transaction, so it is
    session.flush()
    locked = select(Job).where(Job.id == job.id).with_for_update().execution_options(populate_existing=True)
    if session.scalars(locked).one_or_none() is None:
        raise NotFound("job", job.id)


def version_of(session: Session, owner_id: str, job_id: str) -> tuple[int, bool]:
    """Return the version of an owner's job and whether it has ended, for a long poll; raise NotFound."""
    row = session.execute(select(Job.version, Job.state).where(Job.id == job_id, Job.owner_id == owner_id)).first()
    if row is None:
        raise NotFound("job", job_id)
    return row.version, row.state in TERMINAL


def list_jobs(
    session: Session,
    owner_id: str,
    *,
    status: str | None = None,
    labels: Sequence[tuple[str, str]] = (),
    q: str | None = None,
    parent: str | None = None,
    sweep: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Glimpse]:
    """Return a glimpse of an owner's jobs, newest first. q looks in names and ids; every label must match."""
    query = _PAGE
    if cursor:
        query = query.where(Job.id < decode_cursor(cursor))
    if status:
        query = query.where(_has_status(status))
    if parent:
        query = query.where(Job.parent_id == parent)
    if sweep:
        query = query.where(Job.sweep_id == sweep)
    for key, value in labels:
        labelled = select(JobLabel.job_id).where(JobLabel.key == key, JobLabel.value == value)
        query = query.where(Job.id.in_(labelled))
    if q:
        query = query.where(or_(Job.name.icontains(q, autoescape=True), Job.id.contains(q, autoescape=True)))
    rows = [Glimpse._make(row) for row in session.execute(query, {"owner": owner_id, "most": limit + 1})]
    return make_page(rows, limit, [row.id for row in rows])


def _has_status(status: str) -> Any:
    """Return the condition that a job's derived status is this one."""
    asked = {"pausing": Desired.PAUSE, "cancelling": Desired.CANCEL, "running": Desired.RUN}.get(status)
    if asked is not None:
        return (Job.state == State.RUNNING) & (Job.desired == asked)
    return Job.state == status


def set_labels(session: Session, job: Job, labels: dict[str, str]) -> None:
    """Replace the labels of a job."""
    session.execute(delete(JobLabel).where(JobLabel.job_id == job.id))
    _add_labels(session, job, labels)


def _add_labels(session: Session, job: Job, labels: dict[str, str]) -> None:
    session.add_all(JobLabel(job_id=job.id, key=key, value=value) for key, value in labels.items())


def patch_job(session: Session, job: Job, changes: dict[str, Any]) -> None:
    """Apply changes of name, labels, priority and max_steps. Schedules keep the horizon fixed at creation.

    Raises Conflict for max_steps of a job that ended, InvalidInput for one below the steps already taken. These are the
    steps that its worker has written down: where it has gone past a lower max_steps by the time it reads it, the job
    ends at the step it has reached, and the history holds them all.
    """
    lock_job(session, job)
    if "max_steps" in changes:
        _set_max_steps(job, changes["max_steps"])
    for key in ("name", "priority"):
        if key in changes:
            setattr(job, key, changes[key])
            job.resolved_spec = job.resolved_spec | {key: changes[key]}
    if "labels" in changes:
        set_labels(session, job, changes["labels"])
        job.resolved_spec = job.resolved_spec | {"labels": changes["labels"]}
    told = "Changed " + ", ".join(sorted(changes)) + "."
    if "max_steps" in changes:
        told += _warn_of_rest(job.resolved_spec["optimizer"], job.max_steps)
    add_event(session, job, "note", told, changes)


def _warn_of_rest(optimizers: dict[str, Any], max_steps: int) -> str:
    """Say whose learning rate has come down to 0 before the end, if anybody's: steps after that teach nothing."""
    at_rest = [
        (player, of["schedule"]["horizon_steps"])
        for player, of in optimizers.items()
        if of["lr"] > 0 and of["schedule"]["name"] != "constant" and of["schedule"]["final_ratio"] == 0
    ]
    told = [f"that of the {player} is 0 after step {step}" for player, step in at_rest if step < max_steps]
    if not told:
        return ""
    return f" Learning rates keep their plan: {', '.join(told)}. A fork that overrides a `schedule` plans it anew."


def _set_max_steps(job: Job, max_steps: int) -> None:
    if job.is_terminal:
        message = (
            f"The job has already {job.state}; its max_steps can no longer change. A fork trains on from a checkpoint: "
            f"POST /jobs/{job.id}/fork"
        )
        raise Conflict("job_is_terminal", message)
    if max_steps < job.step:
        message = f"the job has already taken {job.step} steps"
        raise InvalidInput([Fault("/max_steps", "too_small", message, allowed={"minimum": job.step}, got=max_steps)])
    job.max_steps = max_steps
    job.resolved_spec = job.resolved_spec | {"loop": job.resolved_spec["loop"] | {"max_steps": max_steps}}


def delete_job(session: Session, job: Job) -> None:
    """Delete a job that has ended, with everything it recorded; its blobs are doomed. Raise Conflict while it lives."""
    lock_job(session, job)
    if not job.is_terminal:
        raise Conflict("job_is_live", f"The job is {job.status}; cancel it before deleting it.")
    for table in (Checkpoint, Sample, Order):
        doom_rows(session, session.scalars(select(table).where(table.job_id == job.id)))
    forget_answers(session, job.id)
    may_take_long(session)
    session.execute(delete(Job).where(Job.id == job.id))


def queue_positions(session: Session, job_ids: Sequence[str]) -> dict[str, int]:
    """Return the places of queued jobs among those of all owners, by priority and age; 1 is next."""
    return {row.id: row.place for row in session.execute(_PLACES, {"jobs": job_ids})}


def places_of(session: Session, rows: Sequence[Job | Glimpse]) -> dict[str, int]:
    """Return the places in the queue of those jobs that are in it."""
    queued = [job.id for job in rows if job.state == State.QUEUED]
    return queue_positions(session, queued) if queued else {}


def count_live(session: Session, owner_id: str) -> int:
    """Return how many jobs of an owner have not ended."""
    return session.scalars(_LIVE, {"owner": owner_id}).one()


def count_by_state(session: Session, owner_id: str | None = None) -> dict[str, int]:
    """Return the number of jobs in each state, of one owner or of all."""
    query = select(Job.state, func.count()).group_by(Job.state)
    if owner_id is not None:
        query = query.where(Job.owner_id == owner_id)
    counts = {row[0]: row[1] for row in session.execute(query)}
    return {state.value: counts.get(state.value, 0) for state in State}
