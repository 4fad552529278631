"""Every refusal has one shape, the right status, and no word of a driver."""

import errno
from typing import Any

import orjson
import pytest
from psycopg.errors import DiskFull
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from service.answers.problem import CODES, Problem
from service.db import make_engine
from tests.conversation import CheckedClient, make_client

UNKNOWN_JOB = "/jobs/job_0123456789abcdefghjkmn"


@pytest.fixture
def client(engine: Engine) -> CheckedClient:
    return make_client(engine, body_bytes=2048)


@pytest.fixture
def lonely_client(tmp_path_factory: pytest.TempPathFactory) -> CheckedClient:
    """A client of a service whose database was never created."""
    return make_client(make_engine(f"sqlite:///{tmp_path_factory.mktemp('empty')}/none.db"))


def post(client: CheckedClient, data: bytes, content_type: str = "application/json") -> Any:
    return client.post("/jobs", data=data, content_type=content_type)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", UNKNOWN_JOB, 404, "not_found"),
        ("GET", f"{UNKNOWN_JOB}/losses", 404, "not_found"),
        ("GET", f"{UNKNOWN_JOB}/samples/latest", 404, "not_found"),
        ("POST", f"{UNKNOWN_JOB}/cancel", 404, "not_found"),
        ("DELETE", UNKNOWN_JOB, 404, "not_found"),
        ("GET", "/jobs/..%2f..%2fetc", 404, "not_found"),
        ("GET", "/jobs/%00", 404, "not_found"),
        ("GET", "/jobs/1", 404, "not_found"),
        ("GET", "/jobs//losses", 404, "not_found"),
        ("GET", "/jobs/", 404, "not_found"),
        ("PUT", "/jobs", 405, "method_not_allowed"),
        ("POST", UNKNOWN_JOB, 405, "method_not_allowed"),
        ("GET", "/jobs?limit=0", 422, "invalid_input"),
        ("GET", "/jobs?limit=201", 422, "invalid_input"),
        ("GET", "/jobs?cursor=%21", 422, "invalid_input"),
        ("GET", "/jobs?q=%00", 422, "invalid_input"),
        ("GET", "/jobs?label=nocolon", 422, "invalid_input"),
        ("GET", "/jobs?status=sleeping", 422, "invalid_input"),
        ("GET", f"{UNKNOWN_JOB}?wait=61", 422, "invalid_input"),
        ("GET", f"{UNKNOWN_JOB}?wait=nan", 422, "invalid_input"),
        ("GET", f"{UNKNOWN_JOB}/events?after=-1", 422, "invalid_input"),
        ("GET", f"{UNKNOWN_JOB}/events?after={10**30}", 422, "invalid_input"),
    ],
)
def test_a_refusal_has_its_status_and_code(
    client: CheckedClient, method: str, path: str, status: int, code: str
) -> None:
    answer = client.open(path, method=method)

    problem = answer.get_json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert answer.mimetype == "application/problem+json"
    assert set(problem) == set(Problem.model_fields)
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    assert problem["type"] == f"urn:ganymede:problem:{code}"


def test_a_method_that_does_not_apply_names_those_that_do(client: CheckedClient) -> None:
    answer = client.put("/jobs")

    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"dataset": digits}',
        b"\xff\xfe",
        b'"\\ud800"',
        b'{"loop": {"max_seconds": NaN}}',
        b'{"loop": {"max_seconds": 1e999}}',
        b"[" * 2000,
    ],
)
def test_what_is_not_json_is_400(client: CheckedClient, data: bytes) -> None:
    answer = post(client, data)

    assert (answer.status_code, answer.get_json()["code"]) == (400, "malformed_json")


def test_a_body_of_a_thousand_levels_is_refused(client: CheckedClient) -> None:
    answer = post(client, b"[" * 995 + b"]" * 995)

    assert answer.status_code in (400, 422)  # by what reads it, whose depth differs with Python, or by the spec


def test_a_method_that_does_not_apply_is_answered_with_those_that_do(client: CheckedClient) -> None:
    answer = client.put("/jobs")

    assert answer.get_json()["detail"] == "PUT does not apply to /jobs; allowed are GET, HEAD, OPTIONS, POST."


@pytest.mark.parametrize("data", [b"{}", b"[]", b"null", b"1", b'"digits"', b"true"])
def test_json_that_is_no_spec_is_422(client: CheckedClient, data: bytes) -> None:
    answer = post(client, data)

    assert (answer.status_code, answer.get_json()["code"]) == (422, "invalid_input")
    assert answer.get_json()["errors"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
def test_another_media_type_is_415_and_names_the_right_one(client: CheckedClient, content_type: str) -> None:
    answer = post(client, b'{"dataset": "digits"}', content_type)

    assert (answer.status_code, answer.get_json()["code"]) == (415, "unsupported_media_type")
    assert answer.headers["Accept"] == "application/json"


def test_a_body_over_the_limit_is_413(client: CheckedClient) -> None:
    answer = post(client, b'{"dataset": "digits", "name": "' + b"x" * 2048 + b'"}')

    assert (answer.status_code, answer.get_json()["code"]) == (413, "body_too_large")


def test_an_unknown_key_comes_with_the_nearest_known_one(client: CheckedClient) -> None:
    answer = post(client, b'{"dataset": "digits", "loop": {"max_stepz": 3}}')

    fault = answer.get_json()["errors"][0]
    assert (answer.status_code, fault["pointer"], fault["allowed"]) == (422, "/loop/max_stepz", ["max_steps"])


def test_what_was_got_is_told_as_json(client: CheckedClient) -> None:
    answer = post(client, b'{"dataset": "digits", "seed": {"of": [null, true, "\\u00e4"]}}')

    assert [fault["got"] for fault in answer.get_json()["errors"]] == ['{"of": [null, true, "\u00e4"]}']


def test_all_faults_come_at_once(client: CheckedClient) -> None:
    spec = {"dataset": "digitz", "seed": -1, "loop": {"batch_size": 1, "variant": "new"}, "optimizer": 7}

    problem = client.post("/jobs", json=spec).get_json()

    pointers = {fault["pointer"] for fault in problem["errors"]}
    assert pointers == {"/dataset", "/seed", "/loop/batch_size", "/loop/variant", "/optimizer"}


@pytest.mark.parametrize(
    ("spec", "pointer", "number"),
    [
        ({"dataset": "digitz"}, "/dataset", "digits"),
        ({"dataset": "iris", "loop": {"batch_size": 151}}, "/loop/batch_size", "120"),
        ({"dataset": "digits", "model": {"generator": {"width": 8192, "depth": 16}}}, "/model", "GiB"),
    ],
)
def test_what_cannot_run_is_refused_before_it_is_queued(
    client: CheckedClient, spec: dict[str, Any], pointer: str, number: str
) -> None:
    answer = client.post("/jobs", json=spec)

    assert answer.status_code == 422
    fault = answer.get_json()["errors"][0]
    assert fault["pointer"] == pointer
    assert number in orjson.dumps(fault).decode()
    assert client.get("/jobs").get_json()["data"] == []


def test_text_with_nul_is_refused_wherever_it_stands(client: CheckedClient) -> None:
    name = post(client, b'{"dataset": "digits", "name": "a\\u0000"}')
    label = post(client, b'{"dataset": "digits", "labels": {"a": "\\u0000"}}')
    key = post(client, b'{"dataset": "digits", "labels": {"\\u0000": "a"}}')

    faults = [answer.get_json()["errors"][0] for answer in (name, label, key)]
    assert [fault["code"] for fault in faults] == ["nul_character"] * 3
    assert [fault["pointer"] for fault in faults] == ["/name", "/labels/a", "/labels"]


def test_a_name_given_twice_in_a_body_is_refused_wherever_it_stands(client: CheckedClient) -> None:
    answer = post(client, b'{"dataset": "ring", "seed": 1, "seed": 2, "loop": {"max_steps": 9, "max_steps": 9}}')

    faults = answer.get_json()["errors"]
    assert {(fault["pointer"], fault["code"]) for fault in faults} == {
        ("/seed", "repeated"),
        ("/loop/max_steps", "repeated"),
    }


def test_two_faults_of_a_query_are_told_together(client: CheckedClient) -> None:
    errors = client.get("/jobs?limit=0&limt=3&q=a&q=b").get_json()["errors"]

    assert {(fault["pointer"], fault["code"]) for fault in errors} == {
        ("limit", "greater_than_equal"),
        ("limt", "unknown_key"),
        ("q", "repeated"),
    }


def test_a_request_id_is_kept_where_it_is_one(client: CheckedClient) -> None:
    kept = client.get("/healthz", headers={"X-Request-Id": "abc-1.2"})
    replaced = client.get("/healthz", headers={"X-Request-Id": "a b" * 90})

    assert kept.headers["X-Request-Id"] == "abc-1.2"
    assert len(replaced.headers["X-Request-Id"]) == 16


def test_a_database_without_tables_is_503_without_a_word_of_its_driver(lonely_client: CheckedClient) -> None:
    answer = lonely_client.get("/jobs")

    assert (answer.status_code, answer.get_json()["code"]) == (503, "database_unavailable")
    assert answer.get_json()["retryable"] is True
    assert int(answer.headers["Retry-After"]) > 0
    assert "sqlite" not in answer.text.lower()
    assert "select" not in answer.text.lower()
    assert lonely_client.get("/readyz").status_code == 503
    assert lonely_client.get("/healthz").status_code == 200


def test_a_full_database_is_507(engine: Engine, client: CheckedClient) -> None:
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            pages = connection.execute(text("PRAGMA page_count")).scalar_one()
            connection.execute(text(f"PRAGMA max_page_count = {pages}"))
        data = {"dataset": "digits", "labels": {f"k{number}": "v" * 20 for number in range(40)}}
        answers = [client.post("/jobs", json=data) for _ in range(20)]
    else:  # a full disk under a server is not to be had here: the driver's own error is raised
        answers = [raise_through(client, OperationalError("INSERT", {}, DiskFull("could not extend file")))]

    assert (answers[-1].status_code, answers[-1].get_json()["code"]) == (507, "storage_full")


def raise_through(client: CheckedClient, error: Exception) -> Any:
    """Answer a POST in which this exception is raised after the commit."""

    def fail() -> None:
        raise error

    client.application.extensions["web"].wakeups.announce = fail
    return client.post("/jobs", json={"dataset": "ring"})


def test_a_full_disk_is_507(client: CheckedClient) -> None:
    answer = raise_through(client, OSError(errno.ENOSPC, "No space left on device"))

    assert (answer.status_code, answer.get_json()["code"]) == (507, "storage_full")


def test_a_crash_is_a_problem_too_and_its_reason_is_in_the_log_alone(client: CheckedClient) -> None:
    with capture_logs() as logs:
        answer = raise_through(client, ZeroDivisionError("secret detail"))

    assert (answer.status_code, answer.get_json()["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    logged = [entry for entry in logs if entry["event"] == "request failed"]
    assert [entry["request_id"] for entry in logged] == [answer.get_json()["request_id"]]
    assert "secret detail" in repr(logged[0]["exc_info"])


def test_every_code_has_a_status_of_the_contract() -> None:
    statuses = {status for status, _ in CODES.values()}

    assert statuses == {400, 401, 403, 404, 405, 406, 408, 409, 410, 413, 414, 415, 416, 422, 429, 431, 500, 503, 507}


def test_a_deeply_nested_body_is_refused_not_crashed_on(client: CheckedClient) -> None:
    depth = 500
    answer = client.post("/jobs", data='{"dataset":' + "[" * depth + "]" * depth + "}", content_type="application/json")

    assert answer.status_code == 422


def test_what_is_not_there_is_called_by_its_name(client: CheckedClient) -> None:
    def detail(path: str) -> str:
        return str(client.get(path).get_json()["detail"])

    assert detail("/jobs/nope") == "There is no job nope."
    assert detail("/jobs/nope/checkpoints/5") == "There is no job nope."
    assert detail("/jobz").startswith("There is nothing at /jobz.")


def test_a_body_that_is_too_large_is_told_the_limit(client: CheckedClient) -> None:
    answer = post(client, b" " * 3000)

    assert answer.status_code == 413
    assert "2048" in answer.get_json()["detail"]
