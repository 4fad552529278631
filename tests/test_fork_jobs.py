"""Forks and wishes for a checkpoint through the real parts: web application, worker, trainers."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from service.blobs import make_blobs
from service.db import reading, writing
from service.models import Checkpoint, Job
from service.store.jobs import delete_job
from tests.conversation import CheckedClient, make_client
from tests.house import ENDLESS, House, a_house, wait_until

BRANCH, LAST = 200, 400


@pytest.fixture(scope="module")
def house(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with a_house(tmp_path_factory.mktemp("house"), module_database_url) as house:
        house.start_worker()
        yield house


@pytest.fixture(scope="module")
def client(house: House) -> CheckedClient:
    return make_client(house.engine, blobs=make_blobs(house.settings.blobs))


def fork(house: House, client: CheckedClient, parent: str, **overrides: Any) -> str:
    answer = client.post(f"/jobs/{parent}/fork", json={"checkpoint": BRANCH, "overrides": overrides})
    assert answer.status_code == 201, answer.get_json()
    house.wakeups.announce()
    return str(answer.get_json()["id"])


def test_a_fork_trains_on_to_the_bits_of_its_parent_and_with_another_spec_to_others(
    house: House, client: CheckedClient
) -> None:
    steps, kept = {"max_steps": LAST}, {"every_steps": BRANCH}
    parent = house.submit(loop=steps, checkpoints=kept, quality={"held_out": 0.2, "every_steps": 100})
    assert house.wait_for_end(parent).status == "succeeded"
    _, expected = house.losses(parent)
    generator = house.generator_sha256(parent)
    same = fork(house, client, parent)
    others = [
        fork(house, client, parent, seed=8),
        fork(house, client, parent, optimizer={"generator": {"lr": 1e-5}}),
        fork(house, client, parent, objective={"loss": "hinge", "lecam": 0.1}, loop={"batch_size": 8}),
    ]
    with writing(house.engine) as session:
        delete_job(session, session.get_one(Job, parent))  # while all of them wait, or nearly all

    ends = [house.wait_for_end(job_id) for job_id in (same, *others)]

    assert [(job.status, job.step) for job in ends] == [("succeeded", LAST)] * 4
    first, rows = house.losses(same)
    assert first == BRANCH + 1
    assert rows.tobytes() == expected[BRANCH:].tobytes()
    assert house.generator_sha256(same) == generator
    assert [job.samples_seen for job in ends] == [LAST * 16] * 3 + [BRANCH * 16 + (LAST - BRANCH) * 8]
    for job_id in others:
        first, rows = house.losses(job_id)
        assert (first, len(rows)) == (BRANCH + 1, LAST - BRANCH)
        assert np.isfinite(rows).all()
        assert house.generator_sha256(job_id) != generator
    _, reseeded = house.losses(others[0])
    assert not (reseeded[:, 0] == expected[BRANCH:, 0]).any()
    assert house.event_types(same)[:3] == ["created", "forked", "started"]


def test_a_running_job_saves_when_it_is_asked_to_and_once(house: House, client: CheckedClient) -> None:
    job_id = house.submit(**ENDLESS)
    wait_until(lambda: client.get(f"/jobs/{job_id}").get_json()["progress"]["step"] > 0, "it trains")

    def saved() -> list[int]:
        with reading(house.engine) as session:
            rows = session.query(Checkpoint).filter_by(job_id=job_id).order_by(Checkpoint.step)
            return [row.step for row in rows]

    assert saved() == []
    asked = client.post(f"/jobs/{job_id}/checkpoints")
    first = wait_until(saved, "the first checkpoint")
    wait_until(lambda: not _is_wanted(house, job_id), "the wish is taken back")
    before = client.get(f"/jobs/{job_id}").get_json()["progress"]["step"]
    client.post(f"/jobs/{job_id}/checkpoints")
    second = wait_until(lambda: len(saved()) == 2 and saved(), "the second checkpoint")
    client.post(f"/jobs/{job_id}/cancel")
    house.wait_for_end(job_id)

    assert asked.status_code == 202
    assert first == second[:1]
    assert second[1] >= before
    assert saved() == second
    assert client.post(f"/jobs/{job_id}/checkpoints").get_json()["code"] == "job_is_terminal"


def _is_wanted(house: House, job_id: str) -> bool:
    with reading(house.engine) as session:
        return session.get_one(Job, job_id).save_wanted
