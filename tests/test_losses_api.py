"""The history over HTTP: every step once, in every format, thinned, summarised, drawn."""

import csv
import gzip
import io
import json
import math
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine

from service.db import writing
from service.spec.columns import recorded_columns
from service.store import history, transitions
from tests.building import a_spec, add_running_job, claim_next, save_checkpoint
from tests.conversation import CheckedClient, make_client

COLUMNS = recorded_columns(a_spec())


@pytest.fixture
def client(engine: Engine) -> CheckedClient:
    return make_client(engine)


def rows(first: int, last: int) -> NDArray[np.float32]:
    """Rows of steps first to last; every number depends on its step and column."""
    steps = np.arange(first, last + 1)[:, None]
    return (np.sin(steps / 7) + np.arange(len(COLUMNS))).astype(np.float32)


def record(engine: Engine, job_id: str, attempt: int, first: int, values: NDArray[np.float32]) -> None:
    with writing(engine) as session:
        history.append_rows(session, job_id, attempt=attempt, first_step=first, columns=COLUMNS, rows=values)


@pytest.fixture
def job_id(engine: Engine) -> str:
    """A running job with 300 steps."""
    job_id, attempt = add_running_job(engine)
    record(engine, job_id, attempt, 1, rows(1, 120))
    record(engine, job_id, attempt, 121, rows(121, 300))
    return job_id


def test_every_step_is_there_once_in_each_format(client: CheckedClient, job_id: str) -> None:
    expected = rows(1, 300)[:, COLUMNS.index("d_loss")]
    url = f"/jobs/{job_id}/losses"

    as_json = client.get(url).get_json()["columns"]
    as_lines = [json.loads(line) for line in client.get(f"{url}?format=ndjson").text.splitlines()]
    as_csv = list(csv.DictReader(io.StringIO(client.get(f"{url}?format=csv").text)))
    as_npz = np.load(io.BytesIO(client.get(f"{url}?format=npz").data))
    as_parquet = pq.read_table(io.BytesIO(client.get(f"{url}?format=parquet").data)).to_pydict()
    as_arrow = pa.ipc.open_file(client.get(f"{url}?format=arrow").data).read_all().to_pydict()

    steps = list(range(1, 301))
    assert as_json["step"] == [line["step"] for line in as_lines] == as_npz["step"].tolist() == steps
    assert [int(row["step"]) for row in as_csv] == steps
    assert as_parquet["step"] == as_arrow["step"] == steps
    assert list(as_csv[0]) == ["step", *COLUMNS]
    for column in (
        as_json["d_loss"],
        [line["d_loss"] for line in as_lines],
        [float(row["d_loss"]) for row in as_csv],
        as_npz["d_loss"],
        as_parquet["d_loss"],
        as_arrow["d_loss"],
    ):
        np.testing.assert_array_equal(np.asarray(column, np.float32), expected)


def test_the_answer_carries_what_the_numbers_mean(client: CheckedClient, job_id: str) -> None:
    answer = client.get(f"/jobs/{job_id}/losses?columns=value,d_loss,step_ms").get_json()

    assert list(answer["columns"]) == ["step", "value", "d_loss", "step_ms"]
    assert answer["references"] == pytest.approx({"value": -math.log(4), "d_loss": math.log(4)})
    assert answer["eval_point"] == {"value": "pre_d", "d_loss": "pre_d"}
    assert answer["reduction"] == "sum_of_means"
    assert answer["sampling"] == {"method": "none", "exact": True, "row": "step", "total_steps": 300, "returned": 300}
    assert answer["next_after_step"] == 300


def test_a_range_and_the_increment_of_a_poller(engine: Engine, client: CheckedClient, job_id: str) -> None:
    url = f"/jobs/{job_id}/losses?columns=value"

    part = client.get(f"{url}&from_step=10&to_step=12").get_json()
    nothing = client.get(f"{url}&after_step=300").get_json()
    record(engine, job_id, 1, 301, rows(301, 303))
    increment = client.get(f"{url}&after_step={nothing['next_after_step']}").get_json()

    assert part["columns"]["step"] == [10, 11, 12]
    assert nothing["columns"] == {"step": [], "value": []}
    assert increment["columns"]["step"] == [301, 302, 303]
    assert increment["next_after_step"] == 303


@pytest.mark.parametrize("method", ["minmax", "lttb"])
def test_thinning_keeps_the_ends_and_a_spike_of_one_step(engine: Engine, client: CheckedClient, method: str) -> None:
    job_id, attempt = add_running_job(engine)
    values = rows(1, 2000)
    values[1233, COLUMNS.index("g_loss")] = 99
    record(engine, job_id, attempt, 1, values)
    url = f"/jobs/{job_id}/losses?columns=g_loss&max_points=50&downsample={method}"

    first, second = client.get(url), client.get(url)

    answer = first.get_json()
    assert first.data == second.data
    assert (answer["columns"]["step"][0], answer["columns"]["step"][-1]) == (1, 2000)
    assert 99 in answer["columns"]["g_loss"]
    assert answer["sampling"]["returned"] <= 50
    assert (answer["sampling"]["method"], answer["sampling"]["exact"]) == (method, False)


def test_rows_that_are_left_of_many_are_whole_steps(engine: Engine, client: CheckedClient) -> None:
    job_id, attempt = add_running_job(engine)
    values = rows(1, 500)
    record(engine, job_id, attempt, 1, values)

    table = client.get(f"/jobs/{job_id}/losses?columns=d_loss,g_loss&max_points=40&format=csv").text.splitlines()

    places = [COLUMNS.index("d_loss"), COLUMNS.index("g_loss")]
    thinned = [[float(number) for number in line.split(",")] for line in table[1:]]
    assert len(thinned) <= 40
    assert all(numbers == pytest.approx(values[int(step) - 1, places]) for step, *numbers in thinned)


def test_extremes_of_several_columns_say_that_they_are_no_rows(engine: Engine, client: CheckedClient) -> None:
    job_id, attempt = add_running_job(engine)
    record(engine, job_id, attempt, 1, rows(1, 500))
    url = f"/jobs/{job_id}/losses?columns=d_loss,g_loss&max_points=40"

    as_json = client.get(url).get_json()
    as_rows = client.get(f"{url}&format=csv&downsample=minmax")

    assert (as_json["sampling"]["method"], as_json["sampling"]["row"]) == ("minmax", "extremes")
    assert (as_rows.status_code, as_rows.get_json()["errors"][0]["code"]) == (422, "no_rows")


def test_a_parameter_that_is_not_known_is_refused_everywhere(client: CheckedClient, engine: Engine) -> None:
    job_id, _ = add_running_job(engine)

    for path in ("losses/summary", "losses.svg", "checkpoints/latest", "cancel"):
        method = client.post if path == "cancel" else client.get
        assert method(f"/jobs/{job_id}/{path}?wat=1").status_code == 422


@pytest.mark.parametrize("name", ["csv", "ndjson"])
def test_a_long_history_comes_in_windows_as_it_would_whole(
    client: CheckedClient, job_id: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"/jobs/{job_id}/losses?from_step=3&to_step=290&format={name}"
    whole = client.get(url)

    for module in ("service.routes.losses", "service.history.windows"):
        monkeypatch.setattr(f"{module}.WINDOW_STEPS", 100)
    in_windows = client.get(url)

    assert len(whole.text.splitlines()) in (288, 289)
    assert in_windows.data == whole.data


def test_more_than_fits_into_memory_is_refused_with_what_can_be_had(
    client: CheckedClient, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.routes.losses.MOST_NUMBERS", 300 * len(COLUMNS) - 1)
    url = f"/jobs/{job_id}/losses"

    refused = [client.get(f"{url}?{query}") for query in ("", "format=npz", "max_points=9&downsample=mean")]
    allowed = [client.get(f"{url}?{query}") for query in ("max_points=9", "from_step=2")]

    assert [answer.status_code for answer in refused] == [422] * 3
    pointers = [answer.get_json()["errors"][0]["pointer"] for answer in refused]
    assert pointers == ["max_points", "max_points", "downsample"]
    assert [answer.status_code for answer in allowed] == [200, 200]


def test_numbers_that_are_not_finite_stay_valid_json(engine: Engine, client: CheckedClient) -> None:
    job_id, attempt = add_running_job(engine)
    values = rows(1, 3)
    values[1, COLUMNS.index("g_loss")] = np.nan
    values[2, COLUMNS.index("g_loss")] = -np.inf
    record(engine, job_id, attempt, 1, values)
    url = f"/jobs/{job_id}/losses?columns=g_loss"

    answer = client.get(url).get_json()
    table = client.get(f"{url}&format=csv").text.splitlines()

    assert answer["columns"]["g_loss"][1:] == [None, None]
    assert answer["nonfinite"] == {"g_loss": {"2": "NaN", "3": "-Infinity"}}
    assert table[2:] == ["2,nan", "3,-inf"]


def test_a_job_without_steps_has_empty_columns(engine: Engine, client: CheckedClient) -> None:
    job_id, _ = add_running_job(engine)

    answer = client.get(f"/jobs/{job_id}/losses").get_json()

    assert answer["columns"] == {"step": [], **{column: [] for column in COLUMNS}}
    assert client.get(f"/jobs/{job_id}/losses/summary").get_json()["columns"] == {}
    assert client.get(f"/jobs/{job_id}/losses?format=csv").text == ",".join(["step", *COLUMNS]) + "\n"


@pytest.mark.parametrize(
    ("query", "pointer", "names"),
    [
        ("columns=value,d_los", "columns", "d_loss"),
        ("max_points=2", "max_points", "4"),
        ("max_points=10&downsample=none", "downsample", "minmax"),
        ("from_step=9&to_step=3", "from_step", "3"),
        ("from_step=x", "from_step", ""),
        ("format=xml", "format", "csv"),
        ("colums=value", "colums", "columns"),
        ("from_step=1&from_step=2", "from_step", ""),
    ],
)
def test_a_bad_question_names_the_parameter(
    client: CheckedClient, job_id: str, query: str, pointer: str, names: str
) -> None:
    answer = client.get(f"/jobs/{job_id}/losses?{query}")

    assert answer.status_code == 422
    fault = answer.get_json()["errors"][0]
    assert fault["pointer"] == pointer
    assert names in json.dumps(fault)


@pytest.mark.parametrize("name", ["parquet", "arrow"])
def test_a_format_that_is_not_installed_is_406(
    client: CheckedClient, job_id: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as where it cannot be imported

    answer = client.get(f"/jobs/{job_id}/losses?format={name}")

    assert (answer.status_code, answer.get_json()["code"]) == (406, "format_unavailable")


@pytest.mark.parametrize("path", ["losses", "losses?format=csv", "losses/summary", "losses.svg", "losses.png"])
def test_a_client_that_is_up_to_date_gets_304_until_the_next_step(
    engine: Engine, client: CheckedClient, job_id: str, path: str
) -> None:
    tag = client.get(f"/jobs/{job_id}/{path}").headers["ETag"]

    same = client.get(f"/jobs/{job_id}/{path}", headers={"If-None-Match": tag})
    record(engine, job_id, 1, 301, rows(301, 301) + 9)
    changed = client.get(f"/jobs/{job_id}/{path}", headers={"If-None-Match": tag})

    assert (same.status_code, same.data) == (304, b"")
    assert changed.status_code == 200
    assert changed.headers["ETag"] != tag


def test_a_history_rewritten_by_a_resume_has_another_tag(engine: Engine, client: CheckedClient, job_id: str) -> None:
    tag = client.get(f"/jobs/{job_id}/losses").headers["ETag"]

    with writing(engine) as session:
        checkpoint = save_checkpoint(session, transitions.fence(session, job_id, 1), 200)
        transitions.release(session, job_id, 1)
        claim_next(session, resume_from=checkpoint)
    cut = client.get(f"/jobs/{job_id}/losses").get_json()
    record(engine, job_id, 2, 201, rows(201, 300))
    again = client.get(f"/jobs/{job_id}/losses", headers={"If-None-Match": tag})

    assert cut["columns"]["step"] == list(range(1, 201))
    assert again.status_code == 200
    assert again.get_json()["columns"]["step"] == list(range(1, 301))


@pytest.mark.parametrize("name", ["json", "csv", "ndjson"])
def test_a_long_answer_is_compressed_for_those_who_take_it(client: CheckedClient, job_id: str, name: str) -> None:
    url = f"/jobs/{job_id}/losses?format={name}"
    plain = client.get(url)

    packed = client.get(url, headers={"Accept-Encoding": "gzip"})

    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in packed.headers["Vary"]
    assert gzip.decompress(packed.data) == plain.data
    assert len(packed.data) < len(plain.data) / 2


def test_the_summary_has_each_columns_extremes_with_their_steps(client: CheckedClient, job_id: str) -> None:
    values = rows(1, 300)[:, COLUMNS.index("d_loss")]

    summary = client.get(f"/jobs/{job_id}/losses/summary").get_json()["columns"]["d_loss"]

    assert summary["last"] == pytest.approx(values[-1])
    assert summary["min"] == {"value": pytest.approx(values.min()), "step": int(values.argmin()) + 1}
    assert summary["max"] == {"value": pytest.approx(values.max()), "step": int(values.argmax()) + 1}
    assert summary["mean"] == pytest.approx(values.mean())
    assert (summary["count"], summary["nonfinite"]) == (300, 0)


def test_the_chart_is_drawn_with_the_equilibrium(client: CheckedClient, job_id: str) -> None:
    svg = client.get(f"/jobs/{job_id}/losses.svg")
    png = client.get(f"/jobs/{job_id}/losses.png")

    assert svg.mimetype == "image/svg+xml"
    assert "1.386" in svg.text
    assert png.data.startswith(b"\x89PNG")
