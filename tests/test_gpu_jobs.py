"""Jobs of a real worker with a GPU: their steps are captured, and a pause changes not a bit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from service.store.transitions import request_pause, request_resume
from tests.house import House, a_sqlite_house

pytestmark = [pytest.mark.timeout(300), pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]

JOB: dict[str, Any] = {"loop": {"max_steps": 3_000}, "checkpoints": {"every_steps": 500}}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[House]:
    with a_sqlite_house(tmp_path_factory.mktemp("house"), sqlite_template) as house:
        house.start_worker()
        yield house


def test_a_job_on_a_gpu_is_captured_and_resumes_exactly(house: House) -> None:
    unbroken, paused = house.submit(**JOB), house.submit(**JOB)
    house.wait_for_step(paused, 500)
    house.change(paused, request_pause)
    house.wait_for_status(paused, "paused")
    house.change(paused, request_resume)

    assert house.wait_for_end(unbroken).status == house.wait_for_end(paused).status == "succeeded"
    plan = {"step": "captured", "threads": 1, "reason": "the GPU is handed a step at once"}
    assert house.job(unbroken).plan == plan
    assert house.job(paused).attempt == 2
    assert house.losses(paused)[1].tobytes() == house.losses(unbroken)[1].tobytes()
    assert house.generator_sha256(paused) == house.generator_sha256(unbroken)


def test_a_job_may_ask_for_the_cpu_of_a_worker_with_a_gpu(house: House) -> None:
    job_id = house.submit(loop={"max_steps": 20}, resources={"device": "cpu"})

    assert house.wait_for_end(job_id).plan["step"] == "eager"
