"""Exports over HTTP: asked for, waited for, fetched, refused; and nobody sees those of another."""

import threading
from typing import Any

import pytest
from sqlalchemy import Engine, select
from werkzeug.test import TestResponse

from service.blobs import BlobStore, sha256_of
from service.db import reading, writing
from service.models import Checkpoint, Job, Order
from service.store import checkpoints, orders
from service.store.keys import create_key
from tests.conversation import Announcements, CheckedClient, make_client
from tests.generators import ROWS, carry_out, claim_order, job_with_generator


@pytest.fixture
def client(engine: Engine, blobs: BlobStore, announcements: Announcements) -> CheckedClient:
    return make_client(engine, blobs=blobs, wakeups=announcements, max_live_orders=2)


def ask(
    client: CheckedClient, job_id: str, form: str = "onnx", checkpoint: str = "latest", **query: Any
) -> TestResponse:
    return client.get(f"/jobs/{job_id}/checkpoints/{checkpoint}/exports/{form}", query_string=query)


def fail(engine: Engine, code: str) -> None:
    order_id, attempt = claim_order(engine)
    with writing(engine) as session:
        orders.fail_order(session, order_id, attempt, code=code, message="It broke off.")


def test_an_export_is_accepted_rendered_and_then_sent_like_any_file(
    engine: Engine, blobs: BlobStore, client: CheckedClient, announcements: Announcements
) -> None:
    job_id = job_with_generator(engine, blobs)

    accepted = ask(client, job_id)
    repeated = ask(client, job_id)
    carry_out(engine, blobs)
    ready = ask(client, job_id)
    place = ready.headers["Location"]
    answers = [client.get(place), client.get(place, headers={"Range": "bytes=0-1"})]
    known = client.get(place, headers={"If-None-Match": ready.headers["ETag"]})

    assert (accepted.status_code, repeated.status_code, announcements.orders) == (202, 202, 2)
    assert int(accepted.headers["Retry-After"]) > 0
    assert accepted.headers["Location"] == place == f"/jobs/{job_id}/checkpoints/10/exports/onnx?part=generator"
    told = accepted.get_json()
    assert (told["status"], told["checkpoint"], told["part"], told["format"]) == ("queued", 10, "generator", "onnx")
    assert (ready.status_code, ready.data, ready.headers["ETag"]) == (200, ROWS, f'"{sha256_of(ROWS)}"')
    assert ready.headers["Content-Length"] == str(len(ROWS))
    assert f"{job_id}-10-generator.onnx" in ready.headers["Content-Disposition"]
    assert [(each.status_code, each.data) for each in answers] == [(200, ROWS), (206, ROWS[:2])]
    assert known.status_code == 304


def test_a_request_that_waits_is_answered_with_the_file(
    engine: Engine, blobs: BlobStore, client: CheckedClient
) -> None:
    job_id = job_with_generator(engine, blobs)
    worker = threading.Timer(0.2, carry_out, (engine, blobs))
    worker.start()

    answer = ask(client, job_id, "torch_export", wait=30)
    worker.join()

    assert (answer.status_code, answer.data) == (200, ROWS)
    assert "-generator.pt2" in answer.headers["Content-Disposition"]


def test_each_format_is_an_export_of_its_own_and_checkpoints_name_them(
    engine: Engine, blobs: BlobStore, client: CheckedClient
) -> None:
    job_id = job_with_generator(engine, blobs)
    places = client.get(f"/jobs/{job_id}/checkpoints/10").get_json()["exports"]

    answers = [client.get(places[form]) for form in ("onnx", "torch_export", "onnx")]

    assert [answer.status_code for answer in answers] == [202, 202, 202]
    with reading(engine) as session:
        assert len(session.scalars(select(Order)).all()) == 2


@pytest.mark.parametrize("form", ["safetensors", "tflite"])
def test_a_format_that_there_is_not_is_told_what_there_is_and_where_the_weights_are(
    engine: Engine, blobs: BlobStore, client: CheckedClient, form: str
) -> None:
    job_id = job_with_generator(engine, blobs)

    answer = ask(client, job_id, form)

    assert (answer.status_code, answer.get_json()["code"]) == (406, "format_unavailable")
    assert answer.get_json()["errors"][0]["allowed"] == ["onnx", "torch_export"]
    place = answer.get_json()["detail"].split()[-1].rstrip(".")
    assert client.get(place).status_code == 200


@pytest.mark.parametrize(
    ("checkpoint", "query", "status", "code"),
    [
        ("11", {}, 404, "not_found"),
        ("best", {}, 404, "no_best_yet"),
        ("99999999999999999999", {"part": "ema"}, 404, "not_found"),
        ("10", {"part": "ema"}, 404, "part_not_found"),
        ("10", {"part": "all"}, 422, "invalid_input"),
    ],
)
def test_what_there_is_not_is_refused(
    engine: Engine,
    blobs: BlobStore,
    client: CheckedClient,
    checkpoint: str,
    query: dict[str, str],
    status: int,
    code: str,
) -> None:
    answer = ask(client, job_with_generator(engine, blobs), checkpoint=checkpoint, **query)

    assert (answer.status_code, answer.get_json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("code", "status", "told"),
    [
        ("format_unavailable", 406, "format_unavailable"),
        ("file_missing", 410, "file_missing"),
        ("samples_too_slow", 500, "export_failed"),
    ],
)
def test_what_failed_is_told_once_and_then_tried_again(
    engine: Engine, blobs: BlobStore, client: CheckedClient, code: str, status: int, told: str
) -> None:
    job_id = job_with_generator(engine, blobs)
    ask(client, job_id)
    fail(engine, code)

    failed, again = ask(client, job_id), ask(client, job_id)

    assert (failed.status_code, failed.get_json()["code"]) == (status, told)
    assert failed.get_json()["detail"] == "It broke off."
    assert again.status_code == 202


def test_an_export_whose_file_is_gone_is_rendered_again(
    engine: Engine, blobs: BlobStore, client: CheckedClient
) -> None:
    job_id = job_with_generator(engine, blobs)
    ask(client, job_id)
    carry_out(engine, blobs)
    with reading(engine) as session:
        blobs.delete(session.scalars(select(Order)).one().files["samples"]["key"])

    gone = ask(client, job_id)
    carry_out(engine, blobs)

    assert (gone.status_code, ask(client, job_id).data) == (202, ROWS)


def test_a_running_job_may_go_on_while_a_client_waits(engine: Engine, blobs: BlobStore, client: CheckedClient) -> None:
    job_id = job_with_generator(engine, blobs, steps=(10, 20))
    place = ask(client, job_id).headers["Location"]
    with writing(engine) as session:
        files = session.get_one(Checkpoint, (job_id, 20)).files
        job = session.get_one(Job, job_id)
        checkpoints.add_checkpoint(session, job, step=30, samples_seen=1, trained_s=1, losses={}, files=files)
        checkpoints.retire_checkpoints(session, job, keep_last=1)
        kept = [row.step for row in checkpoints.newest_checkpoints(session, job_id)]
    carry_out(engine, blobs)
    with writing(engine) as session:
        checkpoints.retire_checkpoints(session, session.get_one(Job, job_id), keep_last=1)

    assert "/checkpoints/20/" in place
    assert kept == [30, 20]
    assert client.get(f"/jobs/{job_id}/checkpoints/20").status_code == 404
    assert client.get(place).data == ROWS


def test_who_waits_for_many_samples_waits_for_no_export_too(
    engine: Engine, blobs: BlobStore, client: CheckedClient
) -> None:
    job_id = job_with_generator(engine, blobs)
    for seed in (1, 2):
        client.post(f"/jobs/{job_id}/samples", json={"seed": seed}, query_string={"wait": 0})

    refused = ask(client, job_id)

    assert (refused.status_code, refused.get_json()["code"]) == (429, "quota_exceeded")


def test_an_export_is_not_among_samples(engine: Engine, blobs: BlobStore, client: CheckedClient) -> None:
    ask(client, job_with_generator(engine, blobs))
    carry_out(engine, blobs)
    with reading(engine) as session:
        order_id = session.scalars(select(Order.id)).one()

    paths = [f"/samples/{order_id}", f"/samples/{order_id}?wait=1", f"/samples/{order_id}/file"]

    assert [client.get(path).status_code for path in paths] == [404, 404, 404]


def test_exports_of_somebody_else_are_not_there(engine: Engine, blobs: BlobStore) -> None:
    with writing(engine) as session:
        made = [create_key(session, owner_name=name, name="k", scope="read") for name in ("ann", "bob")]
    keys = [{"Authorization": f"Bearer {secret}"} for _, secret in made]
    client = make_client(engine, blobs=blobs, auth="on")
    job_id = job_with_generator(engine, blobs, owner_id=made[0][0].owner_id)
    place = f"/jobs/{job_id}/checkpoints/10/exports/onnx?part=generator"
    client.get(place, headers=keys[0])
    carry_out(engine, blobs)

    assert [client.get(place, headers=key).status_code for key in keys] == [200, 404]
