"""Every change of a job's state. Workers pass (job, attempt): a write of an attempt that is over raises AttemptOver.

Nothing here commits, announces work or waits, and no clock decides: what time has passed, the caller says. The times
that are written are for people.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session, aliased

from service.clock import now
from service.errors import AttemptOver, Conflict
from service.models import Checkpoint, Desired, Job, State
from service.spec.halving import Verdict
from service.store.conditional import update_one
from service.store.events import add_event
from service.store.jobs import lock_job
from service.store.positions import cut_after, position_at

OUTPERFORMED = "outperformed"  # the reason of who was cancelled by its sweep


@dataclass(frozen=True)
class Progress:
    """How far an attempt has come; written with every flush. last_losses is None before its first step."""

    step: int
    samples_seen: int
    trained_s: float
    steps_per_second: float | None
    last_losses: dict[str, Any] | None


@dataclass(frozen=True)
class Orders:
    """What the owner wants of a running job, read with every flush."""

    desired: Desired
    max_steps: int
    saves_asked: int = 0  # how often a checkpoint was wished for, once one is; 0 when none is any more


@dataclass(frozen=True)
class LossLimits:
    """How many lost attempts a job survives and how long it waits after one."""

    in_row: int
    in_all: int
    back_off_s: float
    back_off_max_s: float


# What the owner asks for


def request_cancel(session: Session, job: Job) -> None:
    """Ask for the end of a job; one that does not run ends at once. Raise Conflict when it ended otherwise."""
    lock_job(session, job)
    if job.state == State.CANCELLED:
        return
    if job.is_terminal:
        raise Conflict("job_is_terminal", f"The job has already {job.state}; only a live job can be cancelled.")
    _desire(session, job, Desired.CANCEL, "cancel")


def stop_outperformed(session: Session, job_id: str, verdict: Verdict) -> bool:
    """Ask for the end of a member that has fallen behind; False where it ends or is wanted to end already."""
    job = session.scalars(select(Job).where(Job.id == job_id).with_for_update()).one_or_none()
    if job is None or job.is_terminal or job.desired == Desired.CANCEL:
        return False
    job.desired, job.reason = Desired.CANCEL, OUTPERFORMED
    data = {"rung": verdict.rung, "place": verdict.place, "reached": verdict.reached, "promoted": verdict.promoted}
    add_event(session, job, "outperformed", str(verdict), {"status": job.status, **data})
    if job.state != State.RUNNING:
        _follow_desired(session, job)
    return True


def request_pause(session: Session, job: Job) -> None:
    """Ask a job to save and stop; a queued one pauses at once. Raise Conflict when it ended or is cancelling."""
    lock_job(session, job)
    _refuse_unless_live(job, "paused")
    _desire(session, job, Desired.PAUSE, "pause")


def request_resume(session: Session, job: Job) -> None:
    """Ask a paused or pausing job to run. Raise Conflict when it ended or is being cancelled."""
    lock_job(session, job)
    _refuse_unless_live(job, "resumed")
    _desire(session, job, Desired.RUN, "run")


def request_save(session: Session, job: Job) -> None:
    """Ask a running job for a checkpoint now. Raise Conflict where no trainer could hear it."""
    lock_job(session, job)
    if job.is_terminal:
        raise Conflict("job_is_terminal", f"The job has already {job.state}; its last step was saved as far as it is.")
    if job.desired == Desired.CANCEL:
        raise Conflict("job_is_cancelling", "The job is being cancelled and saves nothing more.")
    if job.state != State.RUNNING:
        raise Conflict("job_is_not_running", f"The job is {job.status}: it stands where it was last saved.")
    job.saves_asked += 1
    if not job.save_wanted:
        job.save_wanted = True
        add_event(session, job, "note", "The owner asked for a checkpoint; the worker follows.")


def _refuse_unless_live(job: Job, wish: str) -> None:
    if job.is_terminal:
        raise Conflict("job_is_terminal", f"The job has already {job.state}; only a live job can be {wish}.")
    if job.desired == Desired.CANCEL:
        raise Conflict("job_is_cancelling", f"The job is being cancelled and cannot be {wish}.")


def _desire(session: Session, job: Job, desired: Desired, word: str) -> None:
    if job.desired == desired:
        return
    job.desired = desired
    if job.state == State.RUNNING:
        add_event(session, job, "status", f"The owner asked to {word}; the worker follows.", {"status": job.status})
    else:
        _follow_desired(session, job)


def _follow_desired(session: Session, job: Job) -> None:
    """Move a job that does not run to where its owner wants it."""
    if job.desired == Desired.CANCEL:
        reason = OUTPERFORMED if job.reason == OUTPERFORMED else "user_request"
        _end(session, job, State.CANCELLED, reason, None, None)
    elif job.desired == Desired.PAUSE and job.state == State.QUEUED:
        _move(session, job, State.PAUSED, "paused", "Paused.", reason="user_request")
    elif job.desired == Desired.RUN and job.state == State.PAUSED:
        _move(session, job, State.QUEUED, "queued", "Waiting for a worker.")


def _move(session: Session, job: Job, state: State, type: str, message: str, *, reason: str | None = None) -> None:
    job.state = state
    job.reason = reason
    job.worker = None
    job.steps_per_second = None
    job.hold_s = None
    add_event(session, job, type, message, {"status": job.status, "reason": reason})


def _end(
    session: Session, job: Job, state: State, reason: str, error_code: str | None, error_message: str | None
) -> None:
    job.finished_at = now()
    job.error_code, job.error_message = error_code, error_message
    if state == State.CANCELLED:
        job.desired = Desired.CANCEL
    message = error_message or f"{state.capitalize()}: {reason.replace('_', ' ')}."
    _move(session, job, state, state.value, message, reason=reason)


# What a worker does


def next_claimable(session: Session, *, devices: Sequence[str], limit: int = 10) -> Sequence[Job]:
    """Return queued jobs a worker may claim: by priority, then the owner with the fewest running, then age."""
    other = aliased(Job)
    running = (
        select(func.count())
        .where(other.owner_id == Job.owner_id, other.state == State.RUNNING)
        .correlate(Job)
        .scalar_subquery()
    )
    query = (
        select(Job)
        .where(
            Job.state == State.QUEUED, Job.desired == Desired.RUN, Job.hold_s.is_(None), Job.device.in_(list(devices))
        )
        .order_by(Job.priority.desc(), running, Job.id)
        .limit(limit)
    )
    return session.scalars(query).all()


def next_alike(session: Session, job: Job, *, devices: Sequence[str], limit: int) -> Sequence[Job]:
    """Return queued jobs that may be trained together with one just claimed: of its owner, shape and priority, unbegun.

    None while a job of another owner waits that is no less urgent, for it would wait until the last of them has ended.
    """
    if job.shape is None:
        return ()
    waits = (Job.state == State.QUEUED, Job.desired == Desired.RUN, Job.hold_s.is_(None), Job.device.in_(list(devices)))
    others = select(Job.id).where(*waits, Job.owner_id != job.owner_id, Job.priority >= job.priority).limit(1)
    if session.scalars(others).first() is not None:
        return ()
    alike = (Job.shape == job.shape, Job.owner_id == job.owner_id, Job.priority == job.priority, Job.attempt == 0)
    return session.scalars(select(Job).where(*waits, *alike).order_by(Job.id).limit(limit)).all()


def claim(session: Session, job: Job, *, worker: str, resume_from: Checkpoint | None) -> bool:
    """Begin the next attempt of a queued job, from a verified checkpoint or step 0. False: somebody else was first.

    Everything a former attempt recorded after that step is removed in the same transaction, so that each step stands
    in the history exactly once. A fork without a whole checkpoint has nothing to begin from, and fails.
    """
    if resume_from is None and job.parent_step is not None:
        _fail_without_branch(session, job)
        return False
    position = position_at(resume_from)
    claimed = update_one(
        session,
        update(Job)
        .where(
            Job.id == job.id,
            Job.attempt == job.attempt,
            Job.state == State.QUEUED,
            Job.desired == Desired.RUN,
            Job.hold_s.is_(None),
        )
        .values(
            state=State.RUNNING,
            attempt=Job.attempt + 1,
            beat=Job.beat + 1,
            worker=worker,
            reason=None,
            started_at=func.coalesce(Job.started_at, now()),
            **position,
        ),
    )
    if not claimed:
        return False
    session.refresh(job)
    if cut_after(session, job, job.step):
        message = f"The steps after {job.step} are taken again."
        add_event(session, job, "rollback", message, {"to_step": job.step, "attempt": job.attempt})
    begins = resume_from is None or job.attempt == 1
    word = "Started" if begins else "Resumed"
    place = f" from step {job.step}" if resume_from else ""
    data = {"status": job.status, "worker": worker, "from_step": job.step}
    add_event(session, job, word.lower(), f"{word}{place} as attempt {job.attempt}.", data)
    return True


def _fail_without_branch(session: Session, job: Job) -> None:
    attempt = job.attempt
    lock_job(session, job)
    if (job.attempt, job.state, job.desired) == (attempt, State.QUEUED, Desired.RUN):
        message = f"No checkpoint of the job is whole, not even that of step {job.parent_step} where it was forked."
        _end(session, job, State.FAILED, "crashed", "branch_lost", message)


def fence(session: Session, job_id: str, attempt: int) -> Job:
    """Return the running job with its row locked for this transaction; raise AttemptOver when the attempt is over."""
    raised = update_one(
        session,
        update(Job)
        .where(Job.id == job_id, Job.attempt == attempt, Job.state == State.RUNNING)
        .values(beat=Job.beat + 1),
    )
    if not raised:
        raise AttemptOver(f"attempt {attempt} of {job_id} is over")
    return session.scalars(select(Job).where(Job.id == job_id).execution_options(populate_existing=True)).one()


def flush(session: Session, job_id: str, attempt: int, progress: Progress) -> Orders:
    """Write progress and raise the beat of an attempt; return what its owner wants."""
    job = fence(session, job_id, attempt)
    job.step = progress.step
    job.samples_seen = progress.samples_seen
    job.trained_s = progress.trained_s
    job.steps_per_second = progress.steps_per_second
    job.last_losses = progress.last_losses or job.last_losses
    job.version += 1
    return Orders(Desired(job.desired), job.max_steps, job.saves_asked if job.save_wanted else 0)


def finish(
    session: Session,
    job_id: str,
    attempt: int,
    state: State,
    *,
    reason: str,
    error_code: str | None = None,
    error_message: str | None = None,
) -> None:
    """End a job for good; one whose cancel was accepted ends cancelled, whatever was about to be said."""
    job = fence(session, job_id, attempt)
    if job.desired == Desired.CANCEL:
        _set_aside(session, job)
    else:
        _end(session, job, state, reason, error_code, error_message)


def release(session: Session, job_id: str, attempt: int) -> None:
    """Stop politely, charging nothing: where the owner wants the job to be, or else back into the queue."""
    _set_aside(session, fence(session, job_id, attempt))


def _set_aside(session: Session, job: Job, *, reason: str | None = None, wait_s: float = 0.0) -> None:
    """Stop running: where the owner wants the job to be, or else back into the queue."""
    if job.desired != Desired.RUN:
        job.state = State.QUEUED
        _follow_desired(session, job)
        return
    message = f"Trying again after {wait_s:g} s." if wait_s else "Waiting for a worker."
    _move(session, job, State.QUEUED, "queued", message, reason=reason)
    job.hold_s = wait_s or None


def lose(session: Session, job_id: str, attempt: int, *, reason: str, message: str, limits: LossLimits) -> State:
    """Count a lost attempt: queue the job again after a back-off, or fail it when there were too many."""
    job = fence(session, job_id, attempt)
    job.losses_in_row += 1
    job.losses_in_all += 1
    add_event(session, job, "lost", message, {"reason": reason, "losses_in_row": job.losses_in_row})
    if job.desired == Desired.RUN and (job.losses_in_row >= limits.in_row or job.losses_in_all >= limits.in_all):
        final = f"Attempt {attempt} was the last of {job.losses_in_all} that were lost: {message}"
        _end(session, job, State.FAILED, reason, "attempts_exhausted", final)
    else:
        wait_s = min(limits.back_off_s * 2 ** (job.losses_in_row - 1), limits.back_off_max_s)
        _set_aside(session, job, reason=reason, wait_s=wait_s)
    return State(job.state)


# What the reconciler does


def list_held(session: Session) -> Sequence[Job]:
    """Return the queued jobs that wait out a back-off."""
    return session.scalars(select(Job).where(Job.state == State.QUEUED, Job.hold_s.is_not(None))).all()


def end_hold(session: Session, job_id: str, attempt: int) -> bool:
    """Let a job be claimed again that has waited long enough; False when it is not held by this attempt's loss."""
    return update_one(
        session,
        update(Job)
        .where(Job.id == job_id, Job.attempt == attempt, Job.state == State.QUEUED, Job.hold_s.is_not(None))
        .values(hold_s=None),
    )


def list_running(session: Session) -> Sequence[tuple[str, int, int]]:
    """Return (job id, attempt, beat) of every running job: what a lease is judged by."""
    query = select(Job.id, Job.attempt, Job.beat).where(Job.state == State.RUNNING)
    return [(row.id, row.attempt, row.beat) for row in session.execute(query)]


def apply_desired(session: Session) -> int:
    """Move jobs that do not run to where their owners want them; return how many. In normal life there are none."""
    query = select(Job).where(
        or_(
            (Job.state == State.QUEUED) & (Job.desired != Desired.RUN),
            (Job.state == State.PAUSED) & (Job.desired != Desired.PAUSE),
        )
    )
    jobs = session.scalars(query.with_for_update(skip_locked=True)).all()
    for job in jobs:
        _follow_desired(session, job)
    return len(jobs)
