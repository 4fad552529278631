"""How an attempt ends: what the loop proposes, and what the owner's wish makes of it in the last transaction."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.orm import Session

from service.models import Desired, State
from service.store import transitions
from service.store.rollbacks import Trouble, roll_back
from service.store.transitions import Orders
from worker.attempt import Attempt


class Why(StrEnum):
    """Why the loop has stopped. A value that ends a job is also the reason that the job shows."""

    MAX_STEPS = "max_steps"
    MAX_SECONDS = "max_seconds"
    EARLY_STOP = "early_stop"
    DIVERGED = "diverged"
    UNHEALTHY = "unhealthy"
    BAD_DATASET = "bad_dataset"
    CANCEL = "cancel"
    PAUSE = "pause"
    DRAIN = "drain"


@dataclass(frozen=True)
class Ending:
    """A proposal to end the attempt. message says in words what failed, trouble what the job is rolled back for.

    code is that of the error where it is not the reason.
    """

    why: Why
    message: str | None = None
    code: str | None = None
    trouble: Trouble | None = None


def conclude(session: Session, attempt: Attempt, orders: Orders, step: int, ending: Ending | None) -> bool:
    """End the attempt as proposed and ordered; False when it goes on.

    Orders are those read in this transaction, so that a wish that came while the loop was stopping is never lost:
    a cancel goes before everything, and who has taken back a pause or raised max_steps meanwhile gets more steps.
    """
    if orders.desired == Desired.CANCEL:
        transitions.release(session, attempt.job_id, attempt.number)
        return True
    match ending:
        case None | Ending(Why.CANCEL):
            return False
        case Ending(Why.PAUSE):
            if orders.desired != Desired.PAUSE:
                return False
            transitions.release(session, attempt.job_id, attempt.number)
        case Ending(Why.DRAIN):
            transitions.release(session, attempt.job_id, attempt.number)
        case Ending(trouble=Trouble() as trouble):
            roll_back(session, attempt.job_id, attempt.number, trouble)
        case Ending(Why.DIVERGED | Why.UNHEALTHY | Why.BAD_DATASET as why, message, code):
            transitions.finish(
                session,
                attempt.job_id,
                attempt.number,
                State.FAILED,
                reason=why,
                error_code=code or why,
                error_message=message,
            )
        case Ending(Why.MAX_STEPS | Why.MAX_SECONDS | Why.EARLY_STOP as why):
            if why == Why.MAX_STEPS and step < orders.max_steps:
                return False
            transitions.finish(session, attempt.job_id, attempt.number, State.SUCCEEDED, reason=why)
    return True
