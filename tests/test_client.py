"""The HTTP client, against an application that is served in this process."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread, Timer

import pytest
from flask import request
from sqlalchemy import Engine

from ganymede.client import Client, Drawn, GanymedeProblem
from service.blobs import BlobStore, make_blobs
from service.db import reading, writing
from service.store import orders, transitions
from service.store.jobs import get_job
from service.store.keys import LOCAL_OWNER
from tests.building import add_job
from tests.conversation import make_client, serving
from tests.generators import ROWS, carry_out, claim_order, job_with_generator
from tests.house import wait_until


@dataclass
class Served:
    """An application at an address, and what it was asked."""

    url: str
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def blobs() -> BlobStore:
    return make_blobs("memory://")


@pytest.fixture
def served(engine: Engine, blobs: BlobStore) -> Iterator[Served]:
    """Serve an application that lets one client wait at a time."""
    app = make_client(engine, blobs=blobs, web_threads=2).application
    asked: list[str] = []
    app.before_request(lambda: asked.append(request.full_path))
    with serving(app) as url:
        yield Served(url, asked)


def test_a_client_that_the_service_cannot_let_wait_asks_again_seldom(engine: Engine, served: Served) -> None:
    with writing(engine) as session:
        job_id = add_job(session).id
    with Client(served.url) as first, Client(served.url) as second:
        version = first.job(job_id)["version"]
        waiting = Thread(target=first.changed_job, args=(job_id, version, 3.0))
        waiting.start()
        wait_until(lambda: len(served.asked) == 2, "the first client waits")

        job = second.changed_job(job_id, version, 1.5)

        assert job["version"] == version
        assert 2 <= len(served.asked) - 2 <= 4
        waiting.join()


def test_samples_that_are_not_ready_at_once_are_waited_for_and_fetched(
    engine: Engine, blobs: BlobStore, served: Served, tmp_path: Path
) -> None:
    job_id, target = job_with_generator(engine, blobs), tmp_path / "rows.csv"

    def is_ordered() -> bool:
        with reading(engine) as session:
            return bool(orders.next_orders(session))

    with Client(served.url) as waiter, Client(served.url) as client:
        waiting = Thread(target=waiter.changed_job, args=(job_id, waiter.job(job_id)["version"], 3.0))
        waiting.start()
        wait_until(lambda: len(served.asked) == 2, "nobody else may wait")
        told: list[Drawn] = []
        wish = {"n": 2, "seed": 1, "tell": told.append}
        sampling = Thread(target=client.sample, args=(job_id, target), kwargs=wish)
        sampling.start()
        wait_until(is_ordered, "the samples are asked for")

        carry_out(engine, blobs)
        sampling.join()
        waiting.join()

        assert target.read_bytes() == ROWS
        assert told[0]["progress"] == {"made": 0, "n": 2, "fraction": 0.0}
        assert client.drawn(told[0]["id"])["status"] == "ready"
        assert any(path.endswith("/file?") for path in served.asked)
        assert client.sample(job_id, target, n=2, seed=1) == len(ROWS)
        client.delete_sample(told[0]["id"])
        with pytest.raises(GanymedeProblem, match="no sample"):
            client.drawn(told[0]["id"])


def test_samples_that_take_longer_than_a_client_waits_are_its_time_out(
    engine: Engine, blobs: BlobStore, served: Served, tmp_path: Path
) -> None:
    job_id = job_with_generator(engine, blobs)

    with Client(served.url) as client, pytest.raises(TimeoutError, match="is still queued"):
        client.sample(job_id, tmp_path / "rows.csv", timeout_s=0.2, n=2, seed=1)


def test_samples_that_fail_while_a_client_waits_are_told_as_the_service_tells_them(
    engine: Engine, blobs: BlobStore, served: Served, tmp_path: Path
) -> None:
    job_id = job_with_generator(engine, blobs)

    def fail() -> None:
        order_id, attempt = claim_order(engine)
        with writing(engine) as session:
            orders.fail_order(session, order_id, attempt, code="too_rare", message="Two of 9 rows.")

    with Client(served.url) as client:
        with pytest.raises(TimeoutError):
            client.sample(job_id, tmp_path / "rows.csv", timeout_s=0.01, seed=1)
        failing = Timer(0.5, fail)
        failing.start()
        with pytest.raises(GanymedeProblem) as told:
            client.sample(job_id, tmp_path / "rows.csv", seed=1)
        failing.join()

    assert (told.value.status, told.value.code, told.value.faults[0]["pointer"]) == (422, "too_rare", "/where")


def test_a_stream_is_whole_from_any_message_on_and_ends_with_the_job(engine: Engine, served: Served) -> None:
    with writing(engine) as session:
        job_id = add_job(session).id
    with Client(served.url) as client:
        messages = client.stream(job_id)
        snapshot = next(messages)
        with writing(engine) as session:
            transitions.request_cancel(session, get_job(session, LOCAL_OWNER, job_id))
        rest = list(messages)

    assert (snapshot["id"], snapshot["event"], snapshot["data"]["status"]) == (None, "snapshot", "queued")
    assert [message["id"] for message in rest] == [*range(snapshot["data"]["seq"] + 1, rest[-1]["id"] + 1)]
    assert rest[-1]["data"]["status"] == "cancelled"
    with Client(served.url) as client:
        assert [message["id"] for message in client.stream(job_id, after=0)] == [*range(1, rest[-1]["id"] + 1)]


def test_a_stream_that_breaks_off_in_the_midst_of_a_line_goes_on_after_the_last_whole_one() -> None:
    lines = [b'{"id":1,"event":"status","data":{"name":"a\xe2\x80\xa8b"}}\n', b'{"id":2,"event":"status","data":{}}\n']
    asked = []

    class Breaking(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            if self.path == "/jobs/job_1":
                self.wfile.write(b'{"status": "succeeded"}')
            elif self.path.endswith("after=0"):
                self.wfile.write(lines[0] + lines[1][:20])
            elif self.path.endswith("after=1"):
                self.wfile.write(lines[1])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Breaking) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with Client(f"http://127.0.0.1:{server.server_port}") as client:
            messages = list(client.stream("job_1", after=0))
        server.shutdown()

    assert [message["id"] for message in messages] == [1, 2]
    assert messages[0]["data"]["name"] == "a\u2028b"
    assert [path.rpartition("=")[2] for path in asked if "stream" in path] == ["0", "1", "2"]
