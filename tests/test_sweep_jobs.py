"""Sweeps through the real parts: web application, reconciler, worker, trainers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.blobs import make_blobs
from tests.conversation import CheckedClient, make_client
from tests.house import SMALL_JOB, House, a_sqlite_house, wait_until

RATE = "optimizer.generator.lr"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[House]:
    with a_sqlite_house(tmp_path_factory.mktemp("house"), sqlite_template) as house:
        house.start_worker()
        yield house


@pytest.fixture(scope="module")
def client(house: House) -> CheckedClient:
    return make_client(house.engine, blobs=make_blobs(house.settings.blobs))


def ended(house: House, client: CheckedClient, *, max_steps: int = 300, **method: Any) -> dict[str, Any]:
    """Create a sweep of small jobs and return it once all its members have ended."""
    spec = {**SMALL_JOB, "loop": {"batch_size": 16, "max_steps": max_steps}, "quality": {"count": 100}}
    answer = client.post("/sweeps", json={"spec": spec, **method})
    assert answer.status_code == 201, answer.get_json()
    house.wakeups.announce()
    url = f"/sweeps/{answer.get_json()['id']}"
    wait_until(lambda: client.get(url).get_json()["status"] == "ended", "the sweep has ended")
    return dict(client.get(url).get_json())


def test_a_grid_ends_with_a_leaderboard_that_names_the_best(house: House, client: CheckedClient) -> None:
    made = ended(house, client, grid={RATE: [1e-6, 1e-3], "objective.loss": ["saturating", "non_saturating"]})

    board = made["leaderboard"]
    assert made["members"]["succeeded"] == 4
    assert [place["rank"] for place in board["data"]] == [1, 2, 3, 4]
    values = [place["value"] for place in board["data"]]
    assert values == sorted(values, reverse=True)
    assert board["best"] == board["data"][0]["job"]
    best = client.get(f"/jobs/{board['best']}/quality").get_json()["data"]
    assert board["data"][0]["value"] == max(row["metrics"]["coverage"] for row in best)


def test_halving_stops_most_members_before_their_end(house: House, client: CheckedClient) -> None:
    search = {"parameters": {RATE: {"low": 1e-6, "high": 1e-3, "log": True}}, "count": 6, "seed": 1, "min_steps": 50}

    made = ended(house, client, max_steps=3_000, asha=search | {"reduction": 2})

    places = made["leaderboard"]["data"]
    assert made["members"]["succeeded"] >= 1
    stopped = [place for place in places if place["reason"] == "outperformed"]
    assert stopped
    assert all(place["status"] == "cancelled" and 50 <= place["step"] < 3_000 for place in stopped)
    assert all(house.event_types(place["job"]).count("outperformed") == 1 for place in stopped)
