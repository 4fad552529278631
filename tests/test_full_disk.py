"""A full disk is a pause: nothing is lost, charged or started again, and training goes on when there is space."""

import resource
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.house import House, a_house, wait_until

STEPS = 500


@pytest.fixture
def house(tmp_path: Path, sqlite_template: Path) -> Iterator[House]:
    shutil.copy(sqlite_template, tmp_path / "ganymede.db")
    with a_house(tmp_path, f"sqlite:///{tmp_path / 'ganymede.db'}") as house:
        house.start_worker()
        yield house


@contextmanager
def no_file_may_grow(processes: list[psutil.Process]) -> Iterator[None]:
    """Let all files of some processes be full."""
    before = {process: process.rlimit(resource.RLIMIT_FSIZE) for process in processes}
    for process in processes:
        process.rlimit(resource.RLIMIT_FSIZE, (16, before[process][1]))
    yield
    for process in processes:
        process.rlimit(resource.RLIMIT_FSIZE, before[process])


def test_a_job_on_a_disk_that_fills_up_for_longer_than_a_lease_goes_on_uncharged(house: House) -> None:
    job_id = house.submit(loop={"max_steps": STEPS}, checkpoints={"every_steps": 50})
    house.wait_for_step(job_id, 20)

    with no_file_may_grow(house.processes()):
        time.sleep(3 * house.settings.ttl_s)
        full = house.job(job_id)
    wait_until(lambda: house.job(job_id).step > full.step, "training goes on", within_s=5)
    job = house.wait_for_end(job_id)

    assert full.status == "running"
    assert (job.status, job.attempt, job.losses_in_all) == ("succeeded", 1, 0)
    first, rows = house.losses(job_id)
    assert (first, len(rows)) == (1, STEPS)
