"""Where a job stands in its steps: moving it back to a checkpoint, with all that was recorded after it."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.db import may_take_long
from service.models import Checkpoint, Job, Sample
from service.store import history
from service.store.doomed import doom_rows
from service.store.quality import cut_quality


def position_at(checkpoint: Checkpoint | None) -> dict[str, Any]:
    """Return the columns of a job that continues from a checkpoint, None for the beginning."""
    if checkpoint is None:
        return {"step": 0, "samples_seen": 0, "trained_s": 0.0, "last_losses": None}
    return {
        "step": checkpoint.step,
        "samples_seen": checkpoint.samples_seen,
        "trained_s": checkpoint.trained_s,
        "last_losses": checkpoint.losses or None,
    }


def branch_of(session: Session, job: Job) -> Checkpoint | None:
    """Return the checkpoint that a fork begins from; None for a job that begins from its spec."""
    return None if job.parent_step is None else session.get(Checkpoint, (job.id, job.parent_step))


def cut_after(session: Session, job: Job, step: int) -> bool:
    """Remove everything that was recorded after a step, so that each later one will stand exactly once.

    Tell whether the history has lost steps by it.
    """
    loses_steps = (history.last_step(session, job.id) or 0) > step
    if loses_steps:
        may_take_long(session)
    history.cut_after(session, job.id, step)
    doom_rows(session, session.scalars(select(Checkpoint).where(Checkpoint.job_id == job.id, Checkpoint.step > step)))
    doom_rows(session, session.scalars(select(Sample).where(Sample.job_id == job.id, Sample.step > step)))
    cut_quality(session, job.id, step)
    if job.diagnosis is not None and loses_steps:
        rules = {name: rule for name, rule in job.diagnosis["rules"].items() if rule["since_step"] <= step}
        # The best that was ever seen may have been seen in them: judging by it would take a beginner for a collapse.
        job.diagnosis = {"rules": rules}
    return loses_steps
