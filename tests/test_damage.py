"""A stored file that is not what was recorded is never sent and never continued from."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from service.blobs import BlobStore, make_blobs, store_file
from service.db import reading, writing
from service.models import Job
from service.store.checkpoints import newest_checkpoints
from service.store.samples import add_sample
from service.store.transitions import request_pause, request_resume
from tests.building import add_running_job, save_checkpoint
from tests.conversation import CheckedClient, make_client
from tests.damage import DAMAGES, damage
from tests.house import House, a_sqlite_house

CONTENT = bytes(range(256)) * 300
JOB: dict[str, Any] = {"loop": {"max_steps": 500}, "checkpoints": {"every_steps": 25, "keep_last": 3}}


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return make_blobs(f"file://{tmp_path}/blobs")


@pytest.fixture
def client(engine: Engine, blobs: BlobStore) -> CheckedClient:
    return make_client(engine, blobs=blobs)


@pytest.fixture(params=["checkpoints/latest/file", "samples/latest"])
def stored(request: pytest.FixtureRequest, engine: Engine, blobs: BlobStore) -> tuple[str, dict[str, Any]]:
    """The path of a file in the API, and what is recorded of it."""
    job_id, attempt = add_running_job(engine)
    file = store_file(blobs, job_id=job_id, attempt=attempt, name="file.bin", pieces=[CONTENT])
    with writing(engine) as session:
        job = session.get_one(Job, job_id)
        save_checkpoint(session, job, 1, files={"all": file})
        add_sample(session, job, step=1, count=1, files={"csv": file})
    return f"/jobs/{job_id}/{request.param}", file


@pytest.mark.parametrize("how", DAMAGES)
def test_a_file_damaged_after_a_good_download_is_refused_whatever_is_asked_of_it(
    blobs: BlobStore, client: CheckedClient, stored: tuple[str, dict[str, Any]], how: str
) -> None:
    url, file = stored
    whole = client.get(url, buffered=True)

    damage(blobs, file, how)
    answers = [
        client.get(url, headers=headers)
        for headers in ({}, {"Range": "bytes=0-9"}, {"If-None-Match": whole.headers["ETag"]})
    ]

    assert whole.data == CONTENT
    code = "file_missing" if how == "missing" else "file_damaged"
    assert {(answer.status_code, answer.mimetype) for answer in answers} == {(410, "application/problem+json")}
    assert {answer.get_json()["code"] for answer in answers} == {code}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[House]:
    with a_sqlite_house(tmp_path_factory.mktemp("house"), sqlite_template) as house:
        house.start_worker()
        yield house


@pytest.fixture(scope="module")
def unbroken(house: House) -> str:
    """A job that nothing disturbs."""
    job_id = house.submit(**JOB)
    assert house.wait_for_end(job_id).status == "succeeded"
    return job_id


def run_with_damage(house: House, how: str, count: int | None) -> tuple[str, list[int]]:
    """Run a job, damaging its newest checkpoints half-way, or all; return it and their steps, newest first."""
    job_id = house.submit(**JOB)
    house.wait_for_step(job_id, 80)
    house.change(job_id, request_pause)
    house.wait_for_status(job_id, "paused")
    with reading(house.engine) as session:
        checkpoints = newest_checkpoints(session, job_id)
    for checkpoint in checkpoints[:count]:
        damage(make_blobs(house.settings.blobs), checkpoint.files["all"], how)
    house.change(job_id, request_resume)
    house.wait_for_end(job_id)
    return job_id, [checkpoint.step for checkpoint in checkpoints]


def assert_equals(house: House, job_id: str, unbroken: str) -> None:
    job = house.job(job_id)
    first, rows = house.losses(job_id)
    assert (job.status, first, len(rows)) == ("succeeded", 1, 500)
    assert rows.tobytes() == house.losses(unbroken)[1].tobytes()
    assert house.generator_sha256(job_id) == house.generator_sha256(unbroken)


@pytest.mark.parametrize("how", DAMAGES)
def test_a_job_whose_newest_checkpoint_is_damaged_continues_exactly_from_the_one_before(
    house: House, unbroken: str, how: str
) -> None:
    job_id, steps = run_with_damage(house, how, count=1)

    resumed = next(event for event in house.events(job_id) if event.type == "resumed")
    assert resumed.data["from_step"] == steps[1]
    assert_equals(house, job_id, unbroken)


def test_a_job_whose_checkpoints_are_all_damaged_starts_again_and_ends_the_same(house: House, unbroken: str) -> None:
    job_id, _ = run_with_damage(house, "flipped", count=None)

    assert house.event_types(job_id).count("started") == 2
    assert_equals(house, job_id, unbroken)
