"""Keys, scopes, owners, and the walls against other sites' pages."""

from datetime import timedelta

import pytest
from flask import Flask, Request
from sqlalchemy import Engine
from werkzeug.test import EnvironBuilder

from service.auth import check_host, refuse_open_bind
from service.clock import now
from service.db import writing
from service.problems import Refused
from service.settings import Settings
from service.spec.datasets import DATASETS
from service.store import keys
from service.store.keys import Scope
from tests.building import add_job, add_ready_dataset
from tests.conversation import CheckedClient, make_client

OPEN = {
    "/",
    "/catalog",
    "/dashboard/job",
    "/docs",
    "/healthz",
    "/openapi.json",
    "/readyz",
    "/schema/job",
    "/static/pages.css",
}


@pytest.fixture
def client(engine: Engine) -> CheckedClient:
    """A client of a service that asks for keys."""
    return make_client(engine, auth="on")


def make_key(engine: Engine, scope: Scope = "admin", owner: str = "ann", **times: object) -> tuple[str, dict[str, str]]:
    """Return a new key's id and the headers that carry it."""
    with writing(engine) as session:
        key, secret = keys.create_key(session, owner_name=owner, name="k", scope=scope, **times)  # type: ignore[arg-type]
        return key.id, {"Authorization": f"Bearer {secret}"}


def operations(app: Flask) -> list[tuple[str, str]]:
    """Return (method, path) of everything there is, ids filled in."""
    filled = {"<job_id>": "job_0123456789abcdefghjkmn", "<checkpoint>": "latest", "<step>": "latest"}
    filled |= {"<dataset_id>": "ds_0123456789abcdefghjkmn", "<page>": "job", "<format>": "onnx"}
    found = []
    for rule in app.url_map.iter_rules():
        path = rule.rule.replace("<name>", "pages.css")
        for variable, value in filled.items():
            path = path.replace(variable, value)
        found += [(method, path) for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})]
    return found


def test_without_a_key_everything_but_the_open_pages_is_401(client: CheckedClient) -> None:
    for method, path in operations(client.application):
        answer = client.open(path, method=method)
        if path in OPEN:
            assert answer.status_code == 200, path
        else:
            assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthorized"), path
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", ["Bearer", "Bearer wrong", "Basic abc", "gnm_x", "Bearer \x00"])
def test_a_key_that_is_none_is_401(client: CheckedClient, header: str) -> None:
    assert client.get("/jobs", headers={"Authorization": header}).status_code == 401


def test_a_key_lets_its_owner_in_until_it_is_revoked(engine: Engine, client: CheckedClient) -> None:
    key_id, headers = make_key(engine)

    before = client.post("/jobs", json={"dataset": "ring"}, headers=headers)
    with writing(engine) as session:
        keys.revoke_key(session, key_id)
    after = client.get("/jobs", headers=headers)

    assert (before.status_code, after.status_code) == (201, 401)


def test_an_expired_key_is_401(engine: Engine, client: CheckedClient) -> None:
    _, headers = make_key(engine, expires_at=now() - timedelta(seconds=1))

    assert client.get("/jobs", headers=headers).status_code == 401


def test_a_key_of_scope_read_reads_and_changes_nothing(engine: Engine, client: CheckedClient) -> None:
    _, reader = make_key(engine, "read")

    for method, path in operations(client.application):
        answer = client.open(path, method=method, headers=reader)
        assert (answer.status_code == 403) == (method != "GET"), path


def test_scope_submit_is_enough_for_jobs(engine: Engine, client: CheckedClient) -> None:
    _, submitter = make_key(engine, "submit")

    job_id = client.post("/jobs", json={"dataset": "ring"}, headers=submitter).get_json()["id"]

    assert client.post(f"/jobs/{job_id}/cancel", headers=submitter).status_code == 202


def test_what_belongs_to_somebody_else_is_not_there(engine: Engine, client: CheckedClient) -> None:
    _, ann = make_key(engine)
    _, bob = make_key(engine, owner="bob")
    with writing(engine) as session:
        owner = keys.find_key(session, ann["Authorization"].split()[1])
        assert owner is not None
        job_id = add_job(session, owner_id=owner.owner_id).id
        dataset_id = add_ready_dataset(session, owner_id=owner.owner_id).id

    for method, path in operations(client.application):
        if "job_0123456789abcdefghjkmn" in path:
            answer = client.open(
                path.replace("job_0123456789abcdefghjkmn", job_id), method=method, headers=bob, json={}
            )
            assert answer.status_code == 404, path
        if "ds_0123456789abcdefghjkmn" in path:
            path_of_ann = path.replace("ds_0123456789abcdefghjkmn", dataset_id)
            assert client.open(path_of_ann, method=method, headers=bob).status_code == 404, path
    assert [entry["id"] for entry in client.get("/datasets", headers=bob).get_json()["data"]] == list(DATASETS)
    assert client.post("/jobs", json={"dataset": dataset_id}, headers=bob).status_code == 422
    assert client.get(f"/datasets/{dataset_id}", headers=ann).get_json()["status"] == "ready"
    assert client.get("/jobs", headers=bob).get_json()["data"] == []
    assert client.get(f"/jobs/{job_id}", headers=ann).get_json()["status"] == "queued"


def test_idempotency_keys_belong_to_their_owner(engine: Engine, client: CheckedClient) -> None:
    _, ann = make_key(engine)
    _, bob = make_key(engine, owner="bob")
    spec, key = {"dataset": "ring"}, {"Idempotency-Key": "same"}

    first = client.post("/jobs", json=spec, headers=ann | key).get_json()["id"]
    second = client.post("/jobs", json=spec, headers=bob | key).get_json()["id"]

    assert first != second


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:8000", "127.0.0.2", "LOCALHOST:8000"])
def test_without_keys_loopback_names_are_answered(engine: Engine, host: str) -> None:
    assert make_client(engine).get("/jobs", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "169.254.169.254", "[::2]", ""])
def test_without_keys_another_host_is_refused(engine: Engine, host: str) -> None:
    answer = make_client(engine).get("/jobs", headers={"Host": host})

    assert (answer.status_code, answer.get_json()["code"]) == (403, "host_not_allowed")


def test_a_host_that_is_no_name_is_another() -> None:
    request = Request(EnvironBuilder().get_environ() | {"HTTP_HOST": "[1:2]"})  # clients of werkzeug send no such

    with pytest.raises(Refused, match="loopback names only"):
        check_host(request, Settings(_env_file=None))


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:9999", "http://["])
def test_another_sites_page_changes_nothing(engine: Engine, origin: str) -> None:
    client = make_client(engine)

    refused = client.post("/jobs", json={"dataset": "ring"}, headers={"Origin": origin})
    own = client.post("/jobs", json={"dataset": "ring"}, headers={"Origin": "http://localhost"})

    assert (refused.status_code, refused.get_json()["code"]) == (403, "origin_not_allowed")
    assert own.status_code == 201


def test_every_answer_carries_the_browsers_walls(engine: Engine) -> None:
    client = make_client(engine)

    for path in ("/", "/docs", "/jobs", "/nowhere", "/static/icon.svg"):
        headers = client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "script-src 'self';" in policy or "script-src" not in policy


def test_keys_cannot_be_off_where_others_can_connect() -> None:
    with pytest.raises(ValueError, match="loopback"):
        refuse_open_bind(Settings(_env_file=None, bind="0.0.0.0:8000", auth="off"))


def test_keys_are_asked_for_where_others_can_connect(engine: Engine) -> None:
    client = make_client(engine, bind="0.0.0.0:8000")

    assert client.get("/jobs", headers={"Host": "ganymede.example"}).status_code == 401
