"""Rows of sampling points: what the generator made of the job's fixed latents at a step."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.clock import now
from service.models import Job, Sample
from service.store.events import add_event
from service.store.pages import Page, decode_number_cursor, make_page
from service.store.steps import find_at_step


def add_sample(session: Session, job: Job, *, step: int, count: int, files: dict[str, Any]) -> Sample:
    """Show a durable sampling point of a fenced job."""
    sample = Sample(job_id=job.id, step=step, attempt=job.attempt, count=count, files=files, created_at=now())
    session.add(sample)
    add_event(session, job, "sample", f"{count} samples at step {step}.", {"step": step})
    return sample


def list_samples(session: Session, job_id: str, *, limit: int = 50, cursor: str | None = None) -> Page[Sample]:
    """Return a job's sampling points, ascending by step."""
    after = decode_number_cursor(cursor) if cursor else -1
    query = select(Sample).where(Sample.job_id == job_id, Sample.step > after).order_by(Sample.step).limit(limit + 1)
    rows = session.scalars(query).all()
    return make_page(rows, limit, [row.step for row in rows])


def all_samples(session: Session, job_id: str) -> Sequence[Sample]:
    """Return all of a job's sampling points, ascending by step."""
    return session.scalars(select(Sample).where(Sample.job_id == job_id).order_by(Sample.step)).all()


def latest_samples(session: Session, job_ids: Sequence[str]) -> dict[str, Sample]:
    """Return the latest sampling point of each job that has one, by job id."""
    latest = (
        select(Sample.job_id, func.max(Sample.step).label("step"))
        .where(Sample.job_id.in_(job_ids))
        .group_by(Sample.job_id)
        .subquery()
    )
    query = select(Sample).join(latest, (Sample.job_id == latest.c.job_id) & (Sample.step == latest.c.step))
    return {sample.job_id: sample for sample in session.scalars(query)}


def get_sample(session: Session, job_id: str, which: str) -> Sample:
    """Return the sampling point at a step, or `latest`; raise NotFound."""
    return find_at_step(session, Sample, job_id, which)
