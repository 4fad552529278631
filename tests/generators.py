"""Jobs with a checkpoint that holds a real generator, small and hardly trained, and nothing else."""

from functools import cache

from small_training import small_spec, small_training
from sqlalchemy import Engine

from service.blobs import BlobStore, store_file
from service.db import writing
from service.store import checkpoints, transitions
from tests.building import add_running_job
from worker.gan.files import generator_file


@cache
def a_generator(dataset: str) -> bytes:
    """Return the file of a generator of a data set that has classes."""
    training = small_training(small_spec(dataset=dataset, model={"conditional": True}))
    return generator_file(training.state(), "generator")


def job_with_generator(
    engine: Engine, blobs: BlobStore, *, dataset: str = "iris", steps: tuple[int, ...] = (10,), **posted: str
) -> str:
    """Store a running job with checkpoints at these steps; return its id."""
    job_id, attempt = add_running_job(engine, **posted)
    for step in steps:
        data = a_generator(dataset)
        files = {
            part: store_file(blobs, job_id=job_id, attempt=attempt, name=f"{part}-{step}.safetensors", data=data)
            for part in ("all", "generator")
        }
        with writing(engine) as session:
            job = transitions.fence(session, job_id, attempt)
            checkpoints.add_checkpoint(session, job, step=step, samples_seen=1, trained_s=1.0, losses={}, files=files)
    return job_id
