"""Builders with defaults for what tests of several topics need."""

from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from service.db import writing
from service.models import Checkpoint, Job
from service.spec.job import JobSpec
from service.spec.resolve import Resolved, parse_spec, resolve
from service.store import checkpoints, jobs, transitions
from service.store.keys import LOCAL_OWNER

MEMORY_LIMIT_BYTES = 4 * 2**30
LIMITS = transitions.LossLimits(in_row=3, in_all=5, back_off_s=5.0, back_off_max_s=12.0)


def a_resolved(**posted: Any) -> Resolved:
    """Resolve a spec with `ring` as its data unless told otherwise."""
    return resolve(parse_spec({"dataset": "ring", **posted}), memory_limit_bytes=MEMORY_LIMIT_BYTES)


def a_spec(**posted: Any) -> JobSpec:
    """Return the resolved spec alone."""
    return a_resolved(**posted).spec


def add_job(session: Session, *, owner_id: str = LOCAL_OWNER, **posted: Any) -> Job:
    """Store a queued job."""
    spec = a_spec(**posted)
    return jobs.create_job(session, owner_id=owner_id, spec={"dataset": "ring", **posted}, resolved=spec)


def claim_next(session: Session, *, resume_from: Checkpoint | None = None) -> Job:
    """Claim the next claimable job as a worker would."""
    job = transitions.next_claimable(session, devices=["auto", "cpu"])[0]
    assert transitions.claim(session, job, worker="worker-1", resume_from=resume_from)
    return job


def add_running_job(engine: Engine, **posted: Any) -> tuple[str, int]:
    """Store a job and claim it; return its id and attempt."""
    with writing(engine) as session:
        add_job(session, **posted)
        job = claim_next(session)
        return job.id, job.attempt


def save_checkpoint(session: Session, job: Job, step: int, **values: Any) -> Checkpoint:
    """Show a checkpoint of a running job."""
    files = {"all": {"key": f"{job.id}/{job.attempt}/all-{step}", "size": 1, "sha256": "0" * 64}}
    given = {"samples_seen": step * 64, "trained_s": step / 100, "losses": {}, "files": files, **values}
    return checkpoints.add_checkpoint(session, transitions.fence(session, job.id, job.attempt), step=step, **given)
