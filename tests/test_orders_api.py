"""Samples on demand over HTTP: asked for, waited for, fetched, refused; and nobody sees those of another."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, select
from werkzeug.test import TestResponse

from service.blobs import BlobStore, sha256_of
from service.db import reading, writing
from service.models import Order, State
from service.store import orders, transitions
from service.store.keys import create_key
from tests.building import add_running_job
from tests.conversation import Announcements, CheckedClient, make_client
from tests.generators import ROWS, a_generator, carry_out, claim_order, job_with_generator
from worker.gan.generation import open_generator


@pytest.fixture
def client(engine: Engine, blobs: BlobStore, announcements: Announcements) -> CheckedClient:
    return make_client(engine, blobs=blobs, wakeups=announcements, max_live_orders=2)


def ask(client: CheckedClient, job_id: str, *, wait: float = 0, **wish: Any) -> TestResponse:
    return client.post(f"/jobs/{job_id}/samples", json=wish, query_string={"wait": wait})


def blob_of(engine: Engine) -> str:
    with reading(engine) as session:
        key: str = session.scalars(select(Order.files)).one()["samples"]["key"]
    return key


def cancel(engine: Engine, job_id: str) -> None:
    with writing(engine) as session:
        transitions.finish(session, job_id, 1, state=State.CANCELLED, reason="user_request")


def fail(engine: Engine, code: str) -> None:
    order_id, attempt = claim_order(engine)
    with writing(engine) as session:
        orders.fail_order(session, order_id, attempt, code=code, message="Two of 9 rows.")


def test_what_is_not_ready_in_time_is_found_at_its_location(
    engine: Engine, blobs: BlobStore, client: CheckedClient, announcements: Announcements
) -> None:
    job_id = job_with_generator(engine, blobs)

    accepted = ask(client, job_id, n=5, seed=3, classes=["setosa"], where={"petal width (cm)": {"minimum": 0.1}})
    order = client.get(accepted.headers["Location"]).get_json()
    before = client.get(f"{accepted.headers['Location']}/file").status_code
    carry_out(engine, blobs)
    ready = client.get(accepted.headers["Location"]).get_json()
    file = client.get(ready["file"]["url"], headers={"Range": "bytes=0-1"})

    assert (accepted.status_code, accepted.headers["Sample-Seed"], announcements.orders) == (202, "3", 1)
    assert (order["status"], order["file"], before) == ("queued", None, 404)
    assert (order["progress"], ready["progress"]) == (
        {"made": 0, "n": 5, "fraction": 0.0},
        {"made": 5, "n": 5, "fraction": 1.0},
    )
    assert order["request"] == {
        "checkpoint": 10,
        "part": "generator",
        "n": 5,
        "seed": 3,
        "classes": ["setosa"],
        "where": {"petal width (cm)": {"minimum": 0.1, "maximum": None}},
        "truncation": 1.0,
        "format": "csv",
        "mode": "random",
        "keys": None,
        "closed": True,
        "latents": None,
        "fps": None,
    }
    assert (ready["status"], ready["file"]["sha256"], ready["version"] > order["version"]) == (
        "ready",
        sha256_of(ROWS),
        True,
    )
    assert (file.status_code, file.data, file.headers["ETag"]) == (206, b"a,", f'"{sha256_of(ROWS)}"')


def test_a_request_that_waits_is_answered_with_the_file(
    engine: Engine, blobs: BlobStore, client: CheckedClient
) -> None:
    job_id = job_with_generator(engine, blobs)
    worker = threading.Timer(0.2, carry_out, (engine, blobs))
    worker.start()

    answer = ask(client, job_id, wait=30, n=2)
    worker.join()

    assert (answer.status_code, answer.data, answer.mimetype) == (200, ROWS, "text/csv")
    assert answer.headers["ETag"] == f'"{sha256_of(ROWS)}"'


def test_a_request_that_waits_looks_once_it_is_told(
    engine: Engine, blobs: BlobStore, client: CheckedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.web.LOOK_S", 60)
    job_id = job_with_generator(engine, blobs)
    tidings = client.application.extensions["web"].tidings

    def settle() -> None:
        carry_out(engine, blobs)
        with reading(engine) as session:
            tidings.wake(session.scalars(select(Order.id)).one())

    worker = threading.Timer(0.2, settle)
    worker.start()
    began = time.monotonic()

    answer = ask(client, job_id, wait=60, n=2)
    worker.join()

    assert (answer.status_code, answer.data) == (200, ROWS)
    assert time.monotonic() - began < 30


def test_the_same_request_is_answered_with_the_stored_file_and_another_is_not(
    engine: Engine, blobs: BlobStore, client: CheckedClient, announcements: Announcements
) -> None:
    job_id = job_with_generator(engine, blobs, steps=(10, 20))
    first = ask(client, job_id, n=2, seed=1)
    carry_out(engine, blobs)
    request = client.get(first.headers["Location"]).get_json()["request"]

    again = ask(client, job_id, n=2, seed=1, checkpoint="latest")
    as_told = ask(client, job_id, **request)
    other = [ask(client, job_id, n=2, seed=1, **wish) for wish in ({"truncation": 0.5}, {"format": "npz"})]

    assert [(each.status_code, each.data) for each in (again, as_told)] == [(200, ROWS)] * 2
    assert again.headers["Location"] == first.headers["Location"]
    assert [each.status_code for each in other] == [202, 202]
    assert announcements.orders == 3


@pytest.mark.parametrize(
    ("path", "wish", "status", "code"),
    [
        ("checkpoint", {"checkpoint": 11}, 404, "not_found"),
        ("checkpoint", {"checkpoint": "best"}, 404, "no_best_yet"),
        ("part", {"part": "ema"}, 404, "part_not_found"),
        ("class", {"classes": ["stosa"]}, 422, "invalid_input"),
        ("column", {"where": {"petal": 1}}, 422, "invalid_input"),
        ("format", {"format": "png"}, 422, "invalid_input"),
    ],
)
def test_what_there_is_not_is_refused(
    engine: Engine, blobs: BlobStore, client: CheckedClient, path: str, wish: dict[str, Any], status: int, code: str
) -> None:
    answer = ask(client, job_with_generator(engine, blobs), **wish)

    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    if code == "invalid_input":
        [fault] = answer.get_json()["errors"]
        assert path in fault["message"]
        assert fault["allowed"]


def test_a_job_without_a_checkpoint_has_no_samples_to_draw(engine: Engine, client: CheckedClient) -> None:
    job_id, _ = add_running_job(engine)

    early = ask(client, job_id)
    cancel(engine, job_id)
    late = ask(client, job_id)

    assert (early.status_code, early.get_json()["code"], early.get_json()["retryable"]) == (404, "not_yet", True)
    assert "running and has saved no checkpoint yet" in early.get_json()["detail"]
    assert int(early.headers["Retry-After"]) > 0
    assert (late.status_code, late.get_json()["code"], late.get_json()["retryable"]) == (404, "not_found", False)


def test_everything_in_the_body_may_be_left_out_and_the_body_too(
    engine: Engine, blobs: BlobStore, client: CheckedClient
) -> None:
    url = f"/jobs/{job_with_generator(engine, blobs)}/samples?wait=0"

    answers = [client.post(url), client.post(url, data=b"", content_type="application/json")]
    broken = client.post(url, data=b"{", content_type="application/json")

    assert [answer.status_code for answer in answers] == [202, 202]
    assert broken.status_code == 400


@pytest.mark.parametrize("checkpoint", ["newest", -1, 1.5])
def test_a_checkpoint_that_can_be_none_is_told_what_is_one(
    engine: Engine, client: CheckedClient, checkpoint: object
) -> None:
    job_id, _ = add_running_job(engine)

    [fault] = ask(client, job_id, checkpoint=checkpoint).get_json()["errors"]

    assert (fault["pointer"], fault["allowed"]) == ("/checkpoint", ["latest", "best"])
    assert "integer" in fault["message"] or "equal to 0" in fault["message"]


def test_rows_that_are_too_rare_are_told_again_and_a_crash_is_tried_again(
    engine: Engine, blobs: BlobStore, client: CheckedClient, announcements: Announcements
) -> None:
    job_id = job_with_generator(engine, blobs)
    location = ask(client, job_id, seed=1).headers["Location"]
    fail(engine, "too_rare")
    rare = ask(client, job_id, seed=1)
    crashed = ask(client, job_id, seed=2).headers["Location"]
    fail(engine, "sampling_failed")
    refused = [client.get(f"{each}/file") for each in (location, crashed)]
    tried_again = ask(client, job_id, seed=2)

    assert [(each.status_code, each.get_json()["code"]) for each in refused] == [
        (422, "too_rare"),
        (500, "sampling_failed"),
    ]
    assert (rare.status_code, rare.get_json()["detail"], rare.get_json()["errors"][0]["pointer"]) == (
        422,
        "Two of 9 rows.",
        "/where",
    )
    assert client.get(location).get_json()["error"] == {"code": "too_rare", "message": "Two of 9 rows."}
    assert (tried_again.status_code, announcements.orders) == (202, 3)


def test_of_samples_that_turned_out_too_large_the_number_is_to_blame(
    engine: Engine, blobs: BlobStore, client: CheckedClient
) -> None:
    location = ask(client, job_with_generator(engine, blobs), n=9_000).headers["Location"]
    fail(engine, "samples_too_large")

    [fault] = client.get(f"{location}/file").get_json()["errors"]

    assert (fault["pointer"], fault["got"]) == ("/n", 9_000)


def test_samples_whose_file_is_gone_are_drawn_again_when_they_are_asked_for(
    engine: Engine, blobs: BlobStore, client: CheckedClient
) -> None:
    job_id = job_with_generator(engine, blobs)
    location = ask(client, job_id, seed=1).headers["Location"]
    carry_out(engine, blobs)
    blobs.delete(blob_of(engine))

    gone = client.get(f"{location}/file")
    again = ask(client, job_id, seed=1)
    carry_out(engine, blobs)

    assert (gone.status_code, again.status_code, again.headers["Location"]) == (410, 202, location)
    assert client.get(f"{location}/file").data == ROWS


def test_a_path_is_told_in_full_and_asked_for_again_the_same(
    engine: Engine, blobs: BlobStore, client: CheckedClient
) -> None:
    job_id = job_with_generator(engine, blobs)
    width = open_generator(a_generator("iris")).header.latent_dim
    latents = [[number / 10] * width for number in range(3)]

    told = ask(client, job_id, mode="interpolate", n=9, latents=latents, closed=False).get_json()
    again = ask(client, job_id, **told["request"]).get_json()

    wish = {name: told["request"][name] for name in ("mode", "n", "seed", "keys", "closed", "latents", "format")}
    assert [*wish.values()] == ["interpolate", 9, 0, 3, False, latents, "csv"]
    assert again["id"] == told["id"]


def test_deleted_samples_are_gone_at_once_and_are_asked_for_anew(
    engine: Engine, blobs: BlobStore, client: CheckedClient
) -> None:
    job_id = job_with_generator(engine, blobs)
    location = ask(client, job_id, seed=1).headers["Location"]

    deleted = client.delete(location)

    assert (deleted.status_code, client.get(location).status_code, client.delete(location).status_code) == (
        204,
        404,
        404,
    )
    assert ask(client, job_id, seed=1).headers["Location"] != location


def test_an_owner_waits_for_so_many_samples_at_once(engine: Engine, blobs: BlobStore, client: CheckedClient) -> None:
    job_id = job_with_generator(engine, blobs)

    answers = [ask(client, job_id, seed=seed).status_code for seed in (1, 2, 3, 2)]

    assert answers == [202, 202, 429, 202]


def test_an_owner_who_asks_many_times_at_once_waits_for_no_more(
    engine: Engine, blobs: BlobStore, client: CheckedClient
) -> None:
    job_id = job_with_generator(engine, blobs)

    def ask_for(seed: int) -> int:
        return ask(client.application.test_client(), job_id, seed=seed).status_code  # type: ignore[arg-type]

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(ask_for, range(8)))

    assert answers == [202] * 2 + [429] * 6


def test_the_same_samples_asked_for_many_times_at_once_are_one_order(
    engine: Engine, blobs: BlobStore, client: CheckedClient
) -> None:
    job_id = job_with_generator(engine, blobs)
    ask(client, job_id, seed=1)  # of two that may wait

    def ask_for_last(_: int) -> int:
        return ask(client.application.test_client(), job_id, seed=2).status_code  # type: ignore[arg-type]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask_for_last, range(8))) == [202] * 8


def test_samples_of_somebody_else_are_not_there(engine: Engine, blobs: BlobStore) -> None:
    with writing(engine) as session:
        made = [create_key(session, owner_name=name, name="k", scope="admin") for name in ("ann", "bob")]
    keys = [{"Authorization": f"Bearer {secret}"} for _, secret in made]
    client = make_client(engine, blobs=blobs, auth="on")
    job_id = job_with_generator(engine, blobs, owner_id=made[0][0].owner_id)
    mine = client.post(f"/jobs/{job_id}/samples?wait=0", json={}, headers=keys[0])
    carry_out(engine, blobs)
    paths = [mine.headers["Location"], f"{mine.headers['Location']}/file"]

    assert [client.get(path, headers=keys[0]).status_code for path in paths] == [200, 200]
    assert [client.get(path, headers=keys[1]).status_code for path in paths] == [404, 404]
    assert client.delete(paths[0], headers=keys[1]).status_code == 404
    assert client.post(f"/jobs/{job_id}/samples", json={}, headers=keys[1]).status_code == 404
