"""The losses of several jobs at once."""

import numpy as np
import pytest
from sqlalchemy import Engine

from service.db import writing
from service.spec.columns import recorded_columns
from service.store import history
from tests.building import a_spec, add_running_job
from tests.conversation import CheckedClient, make_client

COLUMNS = recorded_columns(a_spec())


@pytest.fixture
def client(engine: Engine) -> CheckedClient:
    return make_client(engine)


def recorded(engine: Engine, steps: int, level: float, **posted: object) -> str:
    """Return a job of so many steps whose numbers are all the same."""
    job_id, attempt = add_running_job(engine, **posted)
    rows = np.full((steps, len(COLUMNS)), level, np.float32)
    with writing(engine) as session:
        history.append_rows(session, job_id, attempt=attempt, first_step=1, columns=COLUMNS, rows=rows)
    return job_id


def test_jobs_are_told_in_the_order_asked_for_as_each_is_told_alone(engine: Engine, client: CheckedClient) -> None:
    short, long = recorded(engine, 3, 0.5), recorded(engine, 400, 2.0, objective={"loss": "saturating"})

    answer = client.get(f"/losses/compare?jobs={long},{short}&columns=d_loss,value&max_points=50").get_json()

    alone = [
        client.get(f"/jobs/{job_id}/losses?columns=d_loss,value&max_points=50").get_json() for job_id in (long, short)
    ]
    assert answer["data"] == alone
    assert [one["columns"]["d_loss"][0] for one in answer["data"]] == [2.0, 0.5]


def test_what_has_not_changed_is_not_sent_again(engine: Engine, client: CheckedClient) -> None:
    url = f"/losses/compare?jobs={recorded(engine, 3, 0.5)}"
    first = client.get(url)

    assert client.get(url, headers={"If-None-Match": first.headers["ETag"]}).status_code == 304


@pytest.mark.parametrize(
    ("query", "status", "where"),
    [
        ("jobs=job_1,../x", 422, "jobs"),
        ("jobs=", 422, "jobs"),
        ("", 422, "jobs"),
        ("jobs=" + ",".join(f"job_{number:022}" for number in range(33)), 422, "jobs"),
        ("jobs=" + ",".join(f"job_{number:022}" for number in range(3)) + "&max_points=66667", 422, "max_points"),
        ("jobs=job_" + 22 * "0", 404, None),
    ],
)
def test_what_cannot_be_compared_is_named(client: CheckedClient, query: str, status: int, where: str | None) -> None:
    answer = client.get(f"/losses/compare?{query}")

    assert answer.status_code == status
    assert [fault["pointer"] for fault in answer.get_json()["errors"]] == ([where] if where else [])


def test_an_unknown_column_is_named(engine: Engine, client: CheckedClient) -> None:
    answer = client.get(f"/losses/compare?jobs={recorded(engine, 3, 0.5)}&columns=d_los")

    assert answer.status_code == 422
    assert answer.get_json()["errors"][0]["pointer"] == "columns"
