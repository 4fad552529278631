"""Jobs with a checkpoint that holds a real generator, small and hardly trained; and orders carried out without one."""

from collections.abc import Sequence
from functools import cache

from small_training import small_spec, small_training
from sqlalchemy import Engine

from service.blobs import BlobStore, store_file
from service.db import reading, writing
from service.models import Order
from service.store import checkpoints, orders, transitions
from tests.building import add_running_job
from tests.house import wait_until
from worker.gan.files import generator_file

ROWS = b"a,b\n"
QUOTA_BYTES = 2**20


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
            part: store_file(blobs, job_id=job_id, attempt=attempt, name=f"{part}-{step}.safetensors", pieces=[data])
            for part in ("all", "generator")
        }
        with writing(engine) as session:
            job = transitions.fence(session, job_id, attempt)
            checkpoints.add_checkpoint(session, job, step=step, samples_seen=1, trained_s=1.0, losses={}, files=files)
    return job_id


def claim_order(engine: Engine) -> tuple[str, int]:
    """Claim the one order that waits, as soon as it does; return its id and attempt."""
    [order] = wait_until(lambda: _waiting(engine), "an order waits")
    with writing(engine) as session:
        orders.claim_order(session, order.id, order.attempt + 1, worker="worker-1")
        return order.id, order.attempt + 1


def _waiting(engine: Engine) -> Sequence[Order]:
    with reading(engine) as session:
        return orders.next_orders(session)


def carry_out(engine: Engine, blobs: BlobStore) -> None:
    """Do what a worker does with the order that waits, with ROWS for its file."""
    order_id, attempt = claim_order(engine)
    with writing(engine) as session:
        file = store_file(blobs, job_id=order_id, attempt=attempt, name="file.bin", pieces=[ROWS])
        orders.finish_order(session, order_id, attempt, file=file, quota_bytes=QUOTA_BYTES)
