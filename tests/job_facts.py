"""What is stored of a job, told as its model tells it."""

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from service.models import TERMINAL, Checkpoint, Desired, Event, Flush, Job, Sample, State
from service.store import history
from service.store.doomed import keys_of
from tests.job_model import Life

COLUMNS = ("value", "d_loss")


def row_of(attempt: int, step: int) -> list[float]:
    """Values that tell who took a step, so that a row in the wrong place shows."""
    return [float(step), float(attempt)]


def shown_keys(session: Session) -> set[str]:
    files = [*session.scalars(select(Checkpoint.files)), *session.scalars(select(Sample.files))]
    return {key for one in files for key in keys_of(one)}


def assert_alike(session: Session, job: Job, life: Life) -> None:
    """Compare all that is stored of a job with its model."""
    ended_as = life.status if life.has_ended else None
    promised_facts = {
        "state": life.state,
        "status": life.status,
        "desired": life.desired,
        "reason": life.reason,
        "attempt": life.attempt,
        "has a worker": life.state == "running",
        "step": life.step,
        "samples_seen": life.step,
        "trained_s": float(life.step),
        "last_losses": {"step": life.step} if life.step else None,
        "max_steps": life.max_steps,
        "losses": (life.losses_in_row, life.losses_in_all),
        "hold_s": life.hold_s,
        "end": ended_as,
        "history": [row_of(attempt, number + 1) for number, attempt in enumerate(life.history)],
        "checkpoints": life.checkpoints,
        "samples": life.samples,
        "events": life.events,
    }
    stored_events = list(session.scalars(select(Event).where(Event.job_id == job.id).order_by(Event.seq)))
    stored_facts = {
        "state": job.state,
        "status": job.status,
        "desired": job.desired,
        "reason": job.reason,
        "attempt": job.attempt,
        "has a worker": job.worker is not None,
        "step": job.step,
        "samples_seen": job.samples_seen,
        "trained_s": job.trained_s,
        "last_losses": job.last_losses,
        "max_steps": job.max_steps,
        "losses": (job.losses_in_row, job.losses_in_all),
        "hold_s": job.hold_s,
        "end": job.state if job.finished_at is not None else None,
        "history": stored_history(session, job.id),
        "checkpoints": attempts_by_step(session, Checkpoint, job.id),
        "samples": attempts_by_step(session, Sample, job.id),
        "events": [event.type for event in stored_events],
    }
    assert stored_facts == promised_facts
    flushes = session.scalars(select(Flush.seq).where(Flush.job_id == job.id)).all()
    numbers = sorted([*(event.seq for event in stored_events), *flushes, *(seq - 1 for seq in flushes)])
    assert numbers == list(range(1, job.event_seq + 1))


def stored_history(session: Session, job_id: str) -> list[list[float]]:
    """Return every recorded row, oldest first."""
    recorded = history.span(session, job_id)
    if recorded is None:
        return []
    block = history.read_rows(session, job_id, columns=COLUMNS, first=recorded[0], last=recorded[1])
    rows: list[list[float]] = block.values.T.tolist()
    return rows


def attempts_by_step(session: Session, table: type[Checkpoint | Sample], job_id: str) -> dict[int, int]:
    """Return which attempt made the checkpoint or sample at each step."""
    rows = session.scalars(select(table).where(table.job_id == job_id).order_by(table.step))
    return {row.step: row.attempt for row in rows}


def stranded(session: Session) -> list[str]:
    """Return the jobs that do not run and do not stand where their owners want them."""
    is_wanted = or_(
        Job.state == State.RUNNING,
        (Job.state == State.QUEUED) & (Job.desired == Desired.RUN),
        (Job.state == State.PAUSED) & (Job.desired == Desired.PAUSE),
        Job.state.in_(TERMINAL),
    )
    return list(session.scalars(select(Job.id).where(~is_wanted)))
