"""Rows of measured quality, and which step was best."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from service.clock import now
from service.models import Checkpoint, Job, Quality, Yardstick
from service.spec.quality import better_baselines
from service.store.events import add_event
from service.store.pages import Page, decode_number_cursor, make_page


def add_quality(
    session: Session, job: Job, *, step: int, metrics: dict[str, float | None], metric: str, merit: float | None
) -> Quality:
    """Show the metrics of a step of a fenced job; `metric` is the followed one. What is shown already is renewed."""
    row = session.get(Quality, (job.id, step))
    if row is not None:
        row.metrics = metrics  # the last step may be measured again and more thoroughly
        return row
    row = Quality(job_id=job.id, step=step, attempt=job.attempt, metrics=metrics, merit=merit, created_at=now())
    session.add(row)
    value = metrics.get(metric)
    message = f"Quality at step {step}" + (f": {metric} {value:.4g}." if value is not None else ".")
    yardstick = get_yardstick(session, job.id)
    if ahead := [] if yardstick is None else better_baselines(metric, metrics, yardstick.baselines):
        message += f" Without any training {' and '.join(ahead)} would be better."
    add_event(session, job, "quality", message, {"step": step, "metric": metric, "value": value})
    return row


def add_yardstick(session: Session, job: Job, *, real: dict[str, Any], baselines: dict[str, Any]) -> None:
    """Show what the metrics of a job are compared with; once is enough."""
    if session.get(Yardstick, job.id) is None:
        session.add(Yardstick(job_id=job.id, real=real, baselines=baselines))


def get_yardstick(session: Session, job_id: str) -> Yardstick | None:
    """Return what the metrics of a job are compared with, None before its first measuring point."""
    return session.get(Yardstick, job_id)


def list_quality(session: Session, job_id: str, *, limit: int = 50, cursor: str | None = None) -> Page[Quality]:
    """Return a job's measured steps, ascending."""
    after = decode_number_cursor(cursor) if cursor else -1
    query = select(Quality).where(Quality.job_id == job_id, Quality.step > after)
    rows = session.scalars(query.order_by(Quality.step).limit(limit + 1)).all()
    return make_page(rows, limit, [row.step for row in rows])


def quality_at(session: Session, job_id: str, steps: Sequence[int]) -> Mapping[int, dict[str, float | None]]:
    """Return the metrics of those of the steps that were measured."""
    rows = session.scalars(select(Quality).where(Quality.job_id == job_id, Quality.step.in_(steps)))
    return {row.step: row.metrics for row in rows}


def best_steps(session: Session, job_id: str, count: int) -> list[int]:
    """Return the steps of the best checkpoints, best first; of equal ones the earlier is better."""
    query = (
        select(Quality.step)
        .join(Checkpoint, (Checkpoint.job_id == Quality.job_id) & (Checkpoint.step == Quality.step))
        .where(Quality.job_id == job_id, Quality.merit.is_not(None))
    )
    return list(session.scalars(query.order_by(Quality.merit.desc(), Quality.step).limit(count)))


def cut_quality(session: Session, job_id: str, step: int) -> None:
    """Forget what was measured after a step."""
    session.execute(delete(Quality).where(Quality.job_id == job_id, Quality.step > step))
