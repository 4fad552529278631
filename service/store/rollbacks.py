"""Rolling a job back: an attempt that went wrong ends, and the next one begins before that, at half the rates."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.models import Checkpoint, Job, State
from service.spec.health import MOST_ROLLBACKS, rate_factor
from service.store import transitions
from service.store.events import add_event
from service.store.positions import branch_of, cut_after, position_at


@dataclass(frozen=True)
class Trouble:
    """What went wrong from a step on, in a code and in words, and the reason that the job shows if it fails of it."""

    first_step: int
    reason: str
    code: str
    message: str


def roll_back(session: Session, job_id: str, attempt: int, trouble: Trouble) -> None:
    """End an attempt, charging nothing, and go back to the newest checkpoint before the trouble; fail after the last.

    Cut, count and end are one fenced transaction: whatever dies around it, a job is rolled back once for a trouble,
    and no row of the attempt can follow. The next attempt is an ordinary claim from the newest checkpoint.
    """
    job = transitions.fence(session, job_id, attempt)
    if job.rollbacks >= MOST_ROLLBACKS:
        message = f"{trouble.message} It was the same after {MOST_ROLLBACKS} rollbacks, the last to {_rates(job)}."
        finish = transitions.finish
        finish(
            session,
            job_id,
            attempt,
            State.FAILED,
            reason=trouble.reason,
            error_code=trouble.code,
            error_message=message,
        )
        return
    healthy = select(Checkpoint).where(Checkpoint.job_id == job_id, Checkpoint.step < trouble.first_step)
    target = session.scalars(healthy.order_by(Checkpoint.step.desc()).limit(1)).first() or branch_of(session, job)
    for column, value in position_at(target).items():
        setattr(job, column, value)
    job.rollbacks += 1
    cut_after(session, job, job.step)
    data = {"to_step": job.step, "attempt": attempt, "rule": trouble.code, "rate_factor": rate_factor(job.rollbacks)}
    message = f"{trouble.message} Rolled back to step {job.step}, with {_rates(job)}."
    add_event(session, job, "rollback", message, data)
    transitions.release(session, job_id, attempt)


def _rates(job: Job) -> str:
    return f"{rate_factor(job.rollbacks):g} of the learning rates"
