"""Builders with defaults for what tests of several topics need."""

from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from service.blobs import sha256_of
from service.db import writing
from service.models import Checkpoint, Dataset, Job, Order
from service.spec.datasets import DIGITS
from service.spec.drawing import Drawing
from service.spec.facts import DatasetFacts
from service.spec.job import JobSpec
from service.spec.resolve import Resolved, parse_spec, resolve
from service.spec.uploads import FindUpload, no_uploads
from service.store import checkpoints, datasets, jobs, orders, preparation, transitions
from service.store.keys import LOCAL_OWNER

MEMORY_LIMIT_BYTES = 4 * 2**30
QUOTA_BYTES = 2**30  # of data sets
LIMITS = transitions.LossLimits(in_row=3, in_all=5, back_off_s=5.0, back_off_max_s=12.0)


def a_resolved(*, find_upload: FindUpload = no_uploads, **posted: Any) -> Resolved:
    """Resolve a spec with `ring` as its data unless told otherwise."""
    spec = parse_spec({"dataset": "ring", **posted})
    return resolve(spec, memory_limit_bytes=MEMORY_LIMIT_BYTES, find_upload=find_upload)


def a_spec(**posted: Any) -> JobSpec:
    """Return the resolved spec alone."""
    return a_resolved(**posted).spec


def add_job(session: Session, *, owner_id: str = LOCAL_OWNER, **posted: Any) -> Job:
    """Store a queued job."""
    spec = a_spec(find_upload=datasets.uploads_of(session, owner_id), **posted)
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


def add_order(session: Session, job: Job, *, seed: int = 1) -> Order:
    """Store an order for samples of a generator that is recorded and nowhere."""
    generator = {"key": f"{job.id}/1/generator", "size": 1, "sha256": "0" * 64, "part": "generator", "step": 10}
    request = {"checkpoint": 10, "n": 5, "seed": seed, "format": "csv"}
    wish: dict[str, Any] = {"generator": generator, "drawing": Drawing(5, seed, "csv"), "request": request}
    return orders.create_order(session, orders.make_order_id(), owner_id=job.owner_id, job_id=job.id, **wish)


def a_file(dataset: Dataset, name: str) -> dict[str, Any]:
    """Record a file of one byte of a data set's attempt."""
    return {"key": f"{dataset.id}/{dataset.attempt}/{name}", "size": 1, "sha256": "0" * 64}


def add_uploaded_dataset(session: Session, *, owner_id: str = LOCAL_OWNER, identity: str | None = None) -> Dataset:
    """Store a data set that waits for its preparation."""
    upload = preparation.begin_upload(session, owner_id)
    identity = identity or sha256_of(upload.id.encode())
    file = a_file(upload, "upload")
    finish = preparation.finish_upload
    return finish(session, upload.id, file, identity=identity, name="mine", modality=None, options={})


def claim_dataset(session: Session) -> Dataset:
    """Claim the next data set as a worker would."""
    dataset = preparation.next_to_prepare(session)[0]
    assert preparation.claim_preparation(session, dataset, worker="worker-1")
    return dataset


def add_ready_dataset(session: Session, *, owner_id: str = LOCAL_OWNER, facts: DatasetFacts = DIGITS) -> Dataset:
    """Store a data set that is ready; its files are recorded and nowhere."""
    add_uploaded_dataset(session, owner_id=owner_id)
    dataset = claim_dataset(session)
    files = {"rows": a_file(dataset, "rows.npy")}
    finish = preparation.finish_preparation
    finish(session, dataset.id, dataset.attempt, facts=facts, warnings=[], files=files, quota_bytes=QUOTA_BYTES)
    return dataset
