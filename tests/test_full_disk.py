"""A full disk is a pause: nothing is lost, charged or started again, and training goes on when there is space."""

import errno
import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.house import House, a_sqlite_house, wait_until

STEPS = 500


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own, where this process may make one; a directory elsewhere."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    yield tmp_path
    if mounted.returncode == 0:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


@pytest.fixture
def house(disk: Path, sqlite_template: Path) -> Iterator[House]:
    """A house with its database and its blobs on the one disk."""
    with a_sqlite_house(disk, sqlite_template) as house:
        house.start_worker()
        yield house


@contextmanager
def no_file_may_grow(house: House) -> Iterator[None]:
    """Let every file be too large already, by the limits of the processes that write them."""
    processes = house.processes()
    before = {process: process.rlimit(resource.RLIMIT_FSIZE) for process in processes}
    for process in processes:
        process.rlimit(resource.RLIMIT_FSIZE, (16, before[process][1]))
    yield
    for process in processes:
        process.rlimit(resource.RLIMIT_FSIZE, before[process])


@contextmanager
def no_space(house: House) -> Iterator[None]:
    """Fill the disk to its last byte."""
    if not os.path.ismount(house.settings.home):
        pytest.skip("only root may mount a small disk to fill")
    filler = house.settings.home / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (2**16, 2**10, 1):
            _write_until_full(file.write, bytes(size))
    yield
    filler.unlink()


def _write_until_full(write: Callable[[bytes], int | None], data: bytes) -> None:
    try:
        while write(data):
            pass
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


@pytest.mark.parametrize("fullness", [no_file_may_grow, no_space])
def test_a_job_on_a_disk_that_is_full_for_longer_than_a_lease_goes_on_uncharged(
    house: House, fullness: Callable[[House], AbstractContextManager[None]]
) -> None:
    job_id = house.submit(loop={"max_steps": STEPS}, checkpoints={"every_steps": 50})
    house.wait_for_step(job_id, 20)

    with fullness(house):
        time.sleep(3 * house.settings.ttl_s)
        full = house.job(job_id)
    wait_until(lambda: house.job(job_id).step > full.step, "training goes on", within_s=10)
    job = house.wait_for_end(job_id)

    assert full.status == "running"
    assert (job.status, job.attempt, job.losses_in_all) == ("succeeded", 1, 0)
    first, rows = house.losses(job_id)
    assert (first, len(rows)) == (1, STEPS)
    assert list(house.settings.home.rglob(".tmp-*")) == []
