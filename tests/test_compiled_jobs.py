"""A job whose steps are compiled, by a real worker: it says so, and its history is that of the eager job."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.store.transitions import request_pause, request_resume
from tests.house import House, a_sqlite_house
from worker.machine import can_compile

COMPILES_WITHIN_S = 500.0  # half a minute where nothing else runs
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not can_compile(), reason="no C++ compiler or no headers of Python"),
]

STEPS = 2_000
JOB: dict[str, Any] = {"loop": {"max_steps": STEPS}, "checkpoints": {"every_steps": 50}}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[House]:
    with a_sqlite_house(tmp_path_factory.mktemp("house"), sqlite_template) as house:
        house.start_worker()
        yield house


@pytest.fixture(scope="module")
def compiled(house: House) -> str:
    """A job that was compiled and that nothing disturbed."""
    job_id = house.submit(**JOB, resources={"step": "compiled"})
    assert house.wait_for_end(job_id, within_s=COMPILES_WITHIN_S).status == "succeeded"
    return job_id


def test_a_compiled_job_says_so_and_computes_what_an_eager_one_does(house: House, compiled: str) -> None:
    eager = house.submit(**JOB)

    assert house.wait_for_end(eager).plan == {
        "step": "eager",
        "threads": 1,
        "reason": "compiling pays from 10,000 steps and 180 s on",
    }
    assert house.job(compiled).plan == {"step": "compiled", "threads": 1, "reason": "asked for"}
    plans = [event.message for event in house.events(compiled) if event.type == "plan"]
    assert plans == ["Steps are compiled on 1 thread: asked for."]
    first, rows = house.losses(compiled)
    assert (first, len(rows)) == (1, STEPS)
    assert np.allclose(rows[:20], house.losses(eager)[1][:20], rtol=1e-3, atol=1e-4)


def test_a_compiled_job_that_was_paused_ends_as_if_it_had_not_been(house: House, compiled: str) -> None:
    job_id = house.submit(**JOB, resources={"step": "compiled"})
    house.wait_for_step(job_id, 60)
    house.change(job_id, request_pause)
    house.wait_for_status(job_id, "paused")
    house.change(job_id, request_resume)

    job = house.wait_for_end(job_id)

    assert (job.status, job.attempt) == ("succeeded", 2)
    assert house.losses(job_id)[1].tobytes() == house.losses(compiled)[1].tobytes()
    assert house.generator_sha256(job_id) == house.generator_sha256(compiled)
    assert [event.type for event in house.events(job_id)].count("plan") == 1


def test_a_job_goes_on_eagerly_where_the_compiler_fails(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "/bin/false")
    with a_sqlite_house(tmp_path, sqlite_template) as house:
        house.start_worker()
        job_id = house.submit(loop={"max_steps": 10_000})

        job = house.wait_for_step(job_id, 20)

        assert (job.plan["step"], job.plan["reason"]) == ("eager", "the compiler failed")
        assert (job.attempt, job.losses_in_all) == (2, 0)
        house.end(job_id)
