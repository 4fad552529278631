"""Quality of jobs that real trainers carry out: equal after a resume, followed by early stop and retention."""

from collections.abc import Iterator

import pytest

from service.db import reading
from service.models import Checkpoint, Quality, Yardstick
from service.store.checkpoints import get_checkpoint
from service.store.transitions import request_pause, request_resume
from tests.house import House, a_house

JOB = {"loop": {"max_steps": 500}, "checkpoints": {"keep_last": 1, "keep_best": 1}}
MEASURED = {"every_steps": 100, "count": 200}


@pytest.fixture(scope="module")
def house(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with a_house(tmp_path_factory.mktemp("house"), module_database_url, slots=2) as house:
        house.start_worker()
        yield house


def quality_of(house: House, job_id: str) -> dict[int, object]:
    with reading(house.engine) as session:
        rows = session.query(Quality).filter_by(job_id=job_id).order_by(Quality.step)
        return {row.step: row.metrics for row in rows}


@pytest.fixture(scope="module")
def unbroken(house: House) -> str:
    job_id = house.submit(**JOB, quality=MEASURED)
    assert house.wait_for_end(job_id).status == "succeeded"
    return job_id


def test_a_job_is_measured_at_its_cadence_and_keeps_its_best_checkpoint(house: House, unbroken: str) -> None:
    with reading(house.engine) as session:
        best = get_checkpoint(session, unbroken, "best").step
        saved = {row.step for row in session.query(Checkpoint).filter_by(job_id=unbroken)}
        merits = {row.step: row.merit for row in session.query(Quality).filter_by(job_id=unbroken)}
        yardstick = session.get_one(Yardstick, unbroken)

    assert sorted(merits) == [100, 200, 300, 400, 500]
    assert merits[best] == max(merit for merit in merits.values() if merit is not None)
    assert saved == {100, best, 500}  # the first is old enough to roll back to
    assert yardstick.real["coverage"] > 0.9 > yardstick.baselines["gaussian"]["coverage"]
    assert house.event_types(unbroken).count("quality") == 5


def test_measuring_changes_nothing_of_the_training(house: House, unbroken: str) -> None:
    job_id = house.submit(**JOB, quality={"every_steps": 0})

    assert house.wait_for_end(job_id).status == "succeeded"
    assert quality_of(house, job_id) == {}
    assert house.losses(job_id)[1].tobytes() == house.losses(unbroken)[1].tobytes()


def test_a_resumed_job_is_measured_as_if_nothing_had_happened(house: House, unbroken: str) -> None:
    job_id = house.submit(**JOB, quality=MEASURED)
    house.wait_for_step(job_id, 150)
    house.change(job_id, request_pause)
    house.wait_for_status(job_id, "paused")
    house.change(job_id, request_resume)

    assert house.wait_for_end(job_id).attempt == 2
    assert quality_of(house, job_id) == quality_of(house, unbroken)


def test_a_job_whose_quality_stands_still_ends_early_with_its_last_step_saved(house: House) -> None:
    frozen = {"lr": 0.0}
    job_id = house.submit(
        loop={"max_steps": 500},
        optimizer={"generator": frozen, "discriminator": frozen},
        model={"ema": {"half_life_samples": 0}, "generator": {"width": 8}, "discriminator": {"width": 8}},
        quality={"every_steps": 50, "count": 50, "early_stop": {"patience_points": 2}},
    )

    job = house.wait_for_end(job_id)

    assert (job.status, job.reason, job.step) == ("succeeded", "early_stop", 150)
    assert sorted(quality_of(house, job_id)) == [50, 100, 150]
    with reading(house.engine) as session:
        assert get_checkpoint(session, job_id, "latest").step == 150
