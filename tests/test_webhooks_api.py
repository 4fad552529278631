"""Webhooks over HTTP: made, changed, tested, their messages shown and sent again; and nobody sees those of another."""

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from service.db import reading, writing
from service.models import TERMINAL, Job
from service.spec.webhook import JOB_EVENTS
from service.store import deliveries, transitions
from service.store.deliveries import BackOff, Outcome
from service.store.keys import create_key
from tests.building import add_job
from tests.conversation import CheckedClient, make_client

ROOT = Path(__file__).parent.parent
URL = "https://example.org/hook"


@pytest.fixture
def client(engine: Engine) -> CheckedClient:
    return make_client(engine, max_webhooks=3, webhook_hosts="localhost, [::1]")


def make_webhook(client: CheckedClient, **wish: Any) -> dict[str, Any]:
    webhook: dict[str, Any] = client.post("/webhooks", json={"url": URL, **wish}).get_json()
    return webhook


def cancel_a_job(engine: Engine) -> Job:
    with writing(engine) as session:
        job = add_job(session)
        transitions.request_cancel(session, job)
        return job


def fail_next(engine: Engine, *, waits_s: float) -> None:
    """Try the message that is due, in vain; then it waits, or is given up where it has waited for long enough."""
    with reading(engine) as session:
        (letter,) = deliveries.list_due(session, most=1)
    back_off = BackOff(waits_s, waits_s, waits_s)
    with writing(engine) as session:
        assert deliveries.claim(session, letter)
        deliveries.put_off(session, letter, Outcome(503, "It answered 503."), back_off=back_off, stretch=1)


def test_a_webhook_shows_its_secret_once(client: CheckedClient) -> None:
    created = client.post("/webhooks", json={"url": URL, "name": "mine"})
    webhook = created.get_json()

    assert (created.status_code, created.headers["Location"]) == (201, webhook["links"]["self"])
    assert webhook["secret"].startswith("whsec_")
    shown = client.get(webhook["links"]["self"]).get_json()
    assert shown == {key: value for key, value in webhook.items() if key != "secret"}
    assert client.get("/webhooks").get_json()["data"] == [shown]
    assert client.patch(webhook["links"]["self"], json={}).get_json() == shown
    assert (shown["events"], shown["enabled"]) == (["job.succeeded", "job.failed", "job.cancelled"], True)


def test_a_webhook_is_changed_and_deleted(client: CheckedClient) -> None:
    path = make_webhook(client, name="mine")["links"]["self"]
    changes = {"url": "https://example.com/other", "events": ["*"], "name": None, "enabled": False}

    changed = client.patch(path, json=changes).get_json()
    gone = client.delete(path)

    assert changes.items() <= changed.items()
    assert (gone.status_code, client.get(path).status_code) == (204, 404)


@pytest.mark.parametrize(
    ("wish", "pointer"),
    [
        ({}, "/url"),
        ({"url": "ftp://example.org/"}, "/url"),
        ({"url": "no address"}, "/url"),
        ({"url": "https://user:word@example.org/"}, "/url"),
        ({"url": "https://example.org/#part"}, "/url"),
        ({"url": "http://127.0.0.1:8000/jobs"}, "/url"),
        ({"url": "http://2130706433/"}, "/url"),
        ({"url": "http://169.254.169.254/latest/meta-data"}, "/url"),
        ({"url": "http://[::ffff:10.0.0.1]/"}, "/url"),
        ({"url": "http://sub.localhost/"}, "/url"),
        ({"url": URL, "events": []}, "/events"),
        ({"url": URL, "events": ["job.ended"]}, "/events/0"),
        ({"url": URL, "event": ["*"]}, "/event"),
        ({"url": URL, "name": "n" * 201}, "/name"),
    ],
)
def test_a_wrong_wish_is_refused_where_it_is_wrong(client: CheckedClient, wish: dict[str, Any], pointer: str) -> None:
    refused = client.post("/webhooks", json=wish)

    assert refused.status_code == 422
    assert [fault["pointer"] for fault in refused.get_json()["errors"]] == [pointer]


def test_hosts_inside_that_the_settings_name_are_taken(client: CheckedClient) -> None:
    assert client.post("/webhooks", json={"url": "http://localhost:9000/"}).status_code == 201
    path = client.post("/webhooks", json={"url": "http://[::1]:9000/"}).get_json()["links"]["self"]

    assert client.patch(path, json={"url": "http://10.0.0.1/"}).status_code == 422


def test_every_event_that_the_code_records_can_be_asked_for() -> None:
    code = "\n".join(path.read_text() for room in ("service", "worker") for path in (ROOT / room).rglob("*.py"))
    recorded = set(re.findall(r"(?:add|next)_event\((?:session, )?job, \"(\w+)\"", code))
    recorded |= set(re.findall(r"_move\(session, job, State\.\w+, \"(\w+)\"", code))

    assert {"created", "checkpoint", "paused", "rollback"} <= recorded
    assert {f"job.{each}" for each in recorded | {"started", "resumed", *TERMINAL}} <= set(JOB_EVENTS)


def test_only_so_many_are_kept(client: CheckedClient) -> None:
    for _ in range(3):
        make_webhook(client)

    refused = client.post("/webhooks", json={"url": URL})

    assert (refused.status_code, refused.get_json()["code"]) == (429, "quota_exceeded")
    assert client.get("/limits").get_json()["max_webhooks"] == client.get("/limits").get_json()["webhooks"] == 3


def test_what_happens_is_listed_with_what_became_of_it(engine: Engine, client: CheckedClient) -> None:
    links = make_webhook(client)["links"]
    job = cancel_a_job(engine)
    fail_next(engine, waits_s=60)

    (message,) = client.get(links["deliveries"]).get_json()["data"]

    assert client.get(message["links"]["self"]).get_json() == message
    assert (message["type"], message["job"], message["status"]) == ("job.cancelled", job.id, "waiting")
    assert (message["attempts"], message["status_code"], message["error"]) == (1, 503, "It answered 503.")
    assert message["payload"]["data"]["status"] == "cancelled"
    assert message["next_try_at"] > message["tried_at"]
    assert client.get(links["deliveries"], query_string={"status": "delivered"}).get_json()["data"] == []


def test_pages_of_messages_hold_each_once(engine: Engine, client: CheckedClient) -> None:
    path = make_webhook(client, events=["job.created"])["links"]["deliveries"]
    ids = {cancel_a_job(engine).id for _ in range(5)}

    first = client.get(path, query_string={"limit": 3}).get_json()
    second = client.get(path, query_string={"limit": 3, "cursor": first["next_cursor"]}).get_json()

    assert {message["job"] for message in first["data"] + second["data"]} == ids
    assert (len(first["data"]), len(second["data"]), second["has_more"]) == (3, 2, False)


def test_only_so_many_tests_of_a_webhook_wait(client: CheckedClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "MOST_TESTS", 2)
    path = make_webhook(client)["links"]["self"] + "/test"

    answers = [client.post(path) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [202, 202, 429]


def test_what_was_given_up_is_sent_again_by_hand(engine: Engine, client: CheckedClient) -> None:
    path = make_webhook(client)["links"]["deliveries"]
    cancel_a_job(engine)
    fail_next(engine, waits_s=60)
    with writing(engine) as session:
        (held,) = deliveries.list_held(session)
        deliveries.end_hold(session, held[0], held[1])
    fail_next(engine, waits_s=60)
    (given_up,) = client.get(path, query_string={"status": "failed"}).get_json()["data"]

    again = client.post(given_up["links"]["redeliver"])

    with reading(engine) as session:
        (letter,) = deliveries.list_due(session, most=1)
    assert (again.status_code, again.get_json()["status"]) == (202, "waiting")
    assert (letter.id, letter.attempt) == (given_up["id"], 2)
    assert (again.get_json()["finished_at"], again.get_json()["next_try_at"]) == (None, None)


def test_a_test_is_a_message_of_its_own_kind(engine: Engine, client: CheckedClient) -> None:
    links = make_webhook(client)["links"]

    tested = client.post(links["test"])

    message = tested.get_json()
    assert (tested.status_code, tested.headers["Location"]) == (202, message["links"]["self"])
    assert (message["type"], message["job"], message["payload"]["type"]) == ("webhook.test", None, "webhook.test")
    with reading(engine) as session:
        assert [letter.id for letter in deliveries.list_due(session, most=1)] == [message["id"]]


def test_nothing_is_asked_of_a_disabled_webhook(client: CheckedClient) -> None:
    links = make_webhook(client)["links"]
    message = client.post(links["test"]).get_json()
    client.patch(links["self"], json={"enabled": False})

    for path in (links["test"], message["links"]["redeliver"]):
        refused = client.post(path)
        assert (refused.status_code, refused.get_json()["code"]) == (409, "webhook_is_disabled")


def test_a_message_is_found_at_its_own_webhook_alone(client: CheckedClient) -> None:
    links = make_webhook(client)["links"]
    other = make_webhook(client)["links"]
    message = client.post(links["test"]).get_json()

    assert client.get(f"{other['deliveries']}/{message['id']}").status_code == 404


def test_webhooks_and_messages_of_others_are_not_there(engine: Engine) -> None:
    client = make_client(engine, auth="on")
    with writing(engine) as session:
        ann, bob = (
            {"Authorization": f"Bearer {create_key(session, owner_name=name, name='', scope='submit')[1]}"}
            for name in ("ann", "bob")
        )
    links = client.post("/webhooks", json={"url": URL}, headers=ann).get_json()["links"]
    message = client.post(links["test"], headers=ann).get_json()["links"]

    for method, path in [
        ("GET", links["self"]),
        ("PATCH", links["self"]),
        ("DELETE", links["self"]),
        ("POST", links["test"]),
        ("GET", links["deliveries"]),
        ("GET", message["self"]),
        ("POST", message["redeliver"]),
    ]:
        assert client.open(path, method=method, json={}, headers=bob).status_code == 404, path
    assert client.get("/webhooks", headers=bob).get_json()["data"] == []
    assert client.get(links["self"], headers=ann).status_code == 200
