"""The HTTP client, against an application that is served in this process."""

import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread, Timer
from typing import Any, ClassVar

import numpy as np
import pytest
from flask import request
from sqlalchemy import Engine

from ganymede.client import Client, GanymedeProblem, Job, ServiceUnreachable
from ganymede.watching import news
from service.blobs import BlobStore
from service.db import reading, writing
from service.store import history, orders, transitions
from service.store.jobs import get_job
from service.store.keys import LOCAL_OWNER
from service.store.stream import add_flush
from service.store.transitions import Progress
from tests.building import add_job, add_running_job
from tests.conversation import make_client, serving
from tests.generators import ROWS, carry_out, claim_order, job_with_generator
from tests.house import wait_until


@dataclass
class Served:
    """An application at an address, and what it was asked."""

    url: str
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def served(engine: Engine, blobs: BlobStore) -> Iterator[Served]:
    """Serve an application that lets one client wait at a time."""
    app = make_client(engine, blobs=blobs, web_threads=2).application
    asked: list[str] = []
    app.before_request(lambda: asked.append(request.full_path))
    with serving(app) as url:
        yield Served(url, asked)
    app.extensions["web"].streams.stop()


def test_a_client_that_the_service_cannot_let_wait_asks_again_seldom(engine: Engine, served: Served) -> None:
    with writing(engine) as session:
        job_id = add_job(session).id
    with Client(served.url) as client:
        first, second = client.jobs.get(job_id), client.jobs.get(job_id)
        version = first.data["version"]
        waiting = Thread(target=first.refresh, args=(3.0,))
        waiting.start()
        wait_until(lambda: len(served.asked) == 3, "the first waits")

        second.refresh(wait_s=1.5)

        assert second.data["version"] == version
        assert 2 <= len(served.asked) - 3 <= 4
        waiting.join()


def test_who_has_little_time_for_answers_still_waits_for_as_long_as_asked(engine: Engine, served: Served) -> None:
    with writing(engine) as session:
        job_id = add_job(session).id
    with Client(served.url, timeout_s=2, patience_s=0) as client:
        job = client.jobs.get(job_id)

        assert job.refresh(wait_s=3).status == "queued"


def test_who_has_little_time_for_answers_hears_soon_that_there_is_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Client(url, timeout_s=0.5) as client, pytest.raises(ServiceUnreachable):
            client.jobs.get("job_1")
        assert time.monotonic() - began < 5


def test_samples_that_are_not_ready_at_once_are_waited_for_and_fetched(
    engine: Engine, blobs: BlobStore, served: Served, tmp_path: Path
) -> None:
    job_id, target = job_with_generator(engine, blobs), tmp_path / "rows.csv"

    def is_ordered() -> bool:
        with reading(engine) as session:
            return bool(orders.next_orders(session))

    with Client(served.url) as client:
        job = client.jobs.get(job_id)
        waiting = Thread(target=client.jobs.get(job_id).refresh, args=(3.0,))
        waiting.start()
        wait_until(lambda: len(served.asked) == 3, "nobody else may wait")
        told: list[tuple[int, int | None]] = []

        def note(made: int, of_all: int | None) -> None:
            told.append((made, of_all))

        drawn = ThreadPoolExecutor(1).submit(job.sample, n=2, seed=1, format="csv", on_progress=note)
        wait_until(is_ordered, "the samples are asked for")

        carry_out(engine, blobs)
        samples = drawn.result()
        waiting.join()

        assert (samples.download(target), target.read_bytes()) == (len(ROWS), ROWS)
        assert told[0] == (0, 2)
        assert any(path.endswith("/file?") for path in served.asked)
        again = job.sample(n=2, seed=1, format="csv")
        assert (again.seed, again.download(target)) == (1, len(ROWS))
        with pytest.raises(ValueError, match="ask for them with format='parquet'"):
            again.download(tmp_path / "rows.parquet")
        with pytest.raises(ValueError, match="ask for them with format='npz'"):
            again.to_numpy()
        again.delete()
        with pytest.raises(GanymedeProblem, match="no sample"):
            samples.download(target)


def test_samples_that_take_longer_than_a_client_waits_are_its_time_out(
    engine: Engine, blobs: BlobStore, served: Served
) -> None:
    job_id = job_with_generator(engine, blobs)

    with Client(served.url) as client, pytest.raises(TimeoutError, match="is still queued"):
        client.jobs.get(job_id).sample(timeout_s=0.2, n=2, seed=1)


def test_samples_that_fail_while_a_client_waits_are_told_as_the_service_tells_them(
    engine: Engine, blobs: BlobStore, served: Served
) -> None:
    job_id = job_with_generator(engine, blobs)

    def fail() -> None:
        order_id, attempt = claim_order(engine)
        with writing(engine) as session:
            orders.fail_order(session, order_id, attempt, code="too_rare", message="Two of 9 rows.")

    with Client(served.url) as client:
        job = client.jobs.get(job_id)
        with pytest.raises(TimeoutError):
            job.sample(timeout_s=0.01, seed=1)
        failing = Timer(0.5, fail)
        failing.start()
        with pytest.raises(GanymedeProblem) as told:
            job.sample(seed=1)
        failing.join()

    assert (told.value.status, told.value.code, told.value.faults[0]["pointer"]) == (422, "too_rare", "/where")


def test_an_export_is_waited_for_where_it_is_and_fetched(
    engine: Engine, blobs: BlobStore, served: Served, tmp_path: Path
) -> None:
    job_id, target = job_with_generator(engine, blobs), tmp_path / "generator.onnx"

    with Client(served.url) as client:
        job = client.jobs.get(job_id)
        with pytest.raises(TimeoutError, match="is still queued"):
            job.export("onnx", target, timeout_s=0.01)
        worker = Timer(0.5, carry_out, (engine, blobs))
        worker.start()
        size_bytes = job.export("onnx", target)
        worker.join()

    assert (size_bytes, target.read_bytes()) == (len(ROWS), ROWS)
    assert served.asked[-1] == f"/jobs/{job_id}/checkpoints/10/exports/onnx?part=generator"


def test_losses_as_arrays_are_what_was_recorded(engine: Engine, served: Served) -> None:
    job_id, attempt = add_running_job(engine)
    rows = np.array([[0.1, 1], [np.nan, 2], [-np.inf, 3], [0.4, 4]], np.float32)
    with writing(engine) as session:
        columns = ("d_loss", "g_loss")
        history.append_rows(session, job_id, attempt=attempt, first_step=1, columns=columns, rows=rows)

    with Client(served.url) as client:
        losses = client.jobs.get(job_id).losses("d_loss", "g_loss", from_step=2)
        arrays = losses.to_numpy()

    assert losses.columns == [*arrays] == ["step", "d_loss", "g_loss"]
    assert losses["d_loss"] == [None, None, 0.4]
    assert [array.dtype for array in arrays.values()] == [np.int64, np.float32, np.float32]
    assert np.array_equal(arrays["step"], [2, 3, 4])
    assert np.array_equal(arrays["d_loss"], rows[1:, 0], equal_nan=True)


def test_a_spec_may_hold_what_numpy_computed(served: Served) -> None:
    spec = {"dataset": "ring", "seed": np.int64(3), "optimizer": {"generator": {"betas": np.array([0.25, 0.75])}}}

    with Client(served.url) as client:
        resolved = client.jobs.create(spec).data["resolved_spec"]

        with pytest.raises(ValueError, match="JSON"):
            client.jobs.create({"dataset": "ring", "optimizer": {"generator": {"lr": np.float32("nan")}}})

    assert (resolved["seed"], resolved["optimizer"]["generator"]["betas"]) == (3, [0.25, 0.75])


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ({"seed": -1}, "  /seed: input should be greater than or equal to 0"),
        ({"sed": 1}, r"  /sed: unknown key 'sed'; did you mean seed\?"),
        (
            {"model": {"architecture": "mlp_of_mine"}},
            r"  /model/architecture: there is no architecture 'mlp_of_mine' \(auto, mlp, .*\)",
        ),
        ({"loop": {"batch_size": 1}}, "  /loop/batch_size: input should be greater than or equal to 2"),
        ({"loop": {"max_seconds": 0}}, "  /loop/max_seconds: input should be greater than 0"),
        ({"labels": {"a b": "c"}}, r"  /labels/a b: .* pattern '\S*'"),
        ({"loop": {"batch_size": 151}}, r"  /loop/batch_size: .*\b120\b.*[^)]"),
    ],
    ids=[
        "a limit in its words",
        "a name in its words",
        "names that are not",
        "a digit of its limit",
        "a limit without digits after the point",
        "a pattern in its words",
        "a number in its words",
    ],
)
def test_a_refusal_says_what_would_be_right_once(served: Served, spec: dict[str, Any], line: str) -> None:
    with Client(served.url) as client, pytest.raises(GanymedeProblem) as refusal:
        client.jobs.create({"dataset": "iris", **spec})

    assert re.fullmatch(line, str(refusal.value).splitlines()[1])


def test_as_many_jobs_are_listed_as_are_asked_for(engine: Engine, served: Served) -> None:
    with writing(engine) as session:
        ids = [add_job(session).id for _ in range(4)]
    with Client(served.url) as client:
        assert [job.id for job in client.jobs.list(limit=3)] == ids[:0:-1]
        assert [job.id for job in client.jobs.list()] == ids[::-1]
        assert list(client.jobs.list(limit=0)) == []


def test_a_stream_is_whole_from_any_message_on_and_ends_with_the_job(engine: Engine, served: Served) -> None:
    with writing(engine) as session:
        job_id = add_job(session).id
    with Client(served.url) as client:
        job = client.jobs.get(job_id)
        messages = job.watch()
        snapshot = next(messages)
        with writing(engine) as session:
            transitions.request_cancel(session, get_job(session, LOCAL_OWNER, job_id))
        rest = list(messages)

        assert (snapshot["id"], snapshot["event"], snapshot["data"]["status"]) == (None, "snapshot", "queued")
        assert [message["id"] for message in rest] == [*range(snapshot["data"]["seq"] + 1, rest[-1]["id"] + 1)]
        assert rest[-1]["data"]["status"] == job.status == "cancelled"
        assert [message["id"] for message in job.watch(after=0)] == [*range(1, rest[-1]["id"] + 1)]


def test_a_job_that_is_watched_is_as_its_messages_say(engine: Engine, served: Served) -> None:
    job_id, attempt = add_running_job(engine)
    progress = Progress(2, 128, 0.1, 20.0, {"step": 2, "d_loss": 0.5})
    with Client(served.url) as client:
        job = client.jobs.get(job_id)
        messages = job.watch()
        next(messages)
        with writing(engine) as session:
            rows = np.array([[0.7], [0.5]], np.float32)
            transitions.flush(session, job_id, attempt, progress)
            history.append_rows(session, job_id, attempt=attempt, first_step=1, columns=("d_loss",), rows=rows)
            add_flush(session, get_job(session, LOCAL_OWNER, job_id), first_step=1, last_step=2, progress=progress)

        kinds = [next(messages)["event"], next(messages)["event"]]

        assert kinds == ["losses", "progress"]
        assert (job.step, job.data["losses"], job.data["progress"]["samples_seen"]) == (
            2,
            {"step": 2, "d_loss": 0.5},
            128,
        )
        messages.close()


def test_where_too_many_watch_a_job_is_looked_at_instead(engine: Engine) -> None:
    with writing(engine) as session:
        job_id, other = add_job(session).id, add_job(session).id
    app = make_client(engine, web_watchers=1).application
    with serving(app) as url, Client(url) as client, Client(url) as first:
        watching = first.jobs.get(other).watch()
        next(watching)
        job = client.jobs.get(job_id)
        with pytest.raises(GanymedeProblem, match="Too many clients watch"):
            next(job.watch())

        told = news(job)
        statuses = [next(told)["status"]]
        first.jobs.get(job_id).cancel()
        statuses += [answer["status"] for answer in told]

        assert statuses == ["queued", "cancelled"]
        app.extensions["web"].streams.stop()


class OneJob(BaseHTTPRequestHandler):
    """Shows one job, whose stream a test writes: by the place that is asked for, what is sent before it breaks off."""

    streams: ClassVar[dict[str, bytes]] = {}
    status = "succeeded"
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()
        if "/stream" in self.path:
            self.wfile.write(self.streams.get(self.path.partition("?")[2], b""))
        else:
            links = {"self": "/jobs/job_1"}
            self.wfile.write(json.dumps({"id": "job_1", "status": self.status, "version": 1, "links": links}).encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def one_job(handler: type[OneJob]) -> Iterator[Job]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            with Client(f"http://127.0.0.1:{server.server_port}") as client:
                yield client.jobs.get("job_1")
        finally:
            server.shutdown()


def test_a_stream_that_breaks_off_in_the_midst_of_a_line_goes_on_after_the_last_whole_one() -> None:
    lines = [b'{"id":1,"event":"status","data":{"name":"a\xe2\x80\xa8b"}}\n', b'{"id":2,"event":"status","data":{}}\n']

    class Breaking(OneJob):
        streams: ClassVar = {"after=0": lines[0] + lines[1][:20], "after=1": lines[1]}
        asked: ClassVar = []

    with one_job(Breaking) as job:
        messages = list(job.watch(after=0))

    assert [message["id"] for message in messages] == [1, 2]
    assert messages[0]["data"]["name"] == "a\u2028b"
    assert [path.rpartition("=")[2] for path in Breaking.asked if "stream" in path] == ["0", "1", "2"]


def test_a_file_that_breaks_off_is_fetched_again(tmp_path: Path) -> None:
    class Breaking(OneJob):
        asked: ClassVar = []

        def do_GET(self) -> None:
            if not self.path.endswith("/losses.csv"):
                super().do_GET()
                return
            self.asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "10")
            self.end_headers()
            self.wfile.write(b"0123456789"[: 3 if self.asked.count(self.path) == 1 else 10])

    with one_job(Breaking) as job:
        size_bytes = job.download(tmp_path / "losses.csv", "losses.csv")

    assert (size_bytes, (tmp_path / "losses.csv").read_bytes()) == (10, b"0123456789")
    assert Breaking.asked.count("/jobs/job_1/losses.csv") == 2


def test_another_server_is_told_from_the_service() -> None:
    class Stranger(OneJob):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>Welcome!</html>")

    with pytest.raises(ServiceUnreachable, match="is not Ganymede"), one_job(Stranger):
        pass


def test_the_place_of_a_job_that_waits_is_told_again_with_each_sign_of_life() -> None:
    class Waiting(OneJob):
        streams: ClassVar = {
            "": b'{"id":null,"event":"snapshot","data":{"seq":4,"id":"job_1","status":"queued",'
            b'"version":1,"links":{"self":"/jobs/job_1"}}}\n' + b" "
        }
        status = "queued"

    with one_job(Waiting) as job:
        messages = job.watch()
        first, second = next(messages), next(messages)

    assert (first["event"], first["data"]["seq"]) == ("snapshot", 4)
    assert (second["id"], second["event"], second["data"]) == (None, "snapshot", job.data)


def test_where_the_service_is_may_be_said_by_variables(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANYMEDE_URL", served.url)

    with Client() as client:
        assert client.is_ready()
