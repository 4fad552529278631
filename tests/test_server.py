"""The web process as it really runs: under gunicorn, beside a broker that is not there."""

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaos.receiver import a_receiver
from ganymede.up import free_port
from tests.house import wait_until

TITLE = "ganymede: web"
PROGRAM = "from service.server import serve; from service.settings import Settings; serve(Settings(_env_file=None))"
POST = b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
IMPATIENT = (
    f"import service.deadlines, service.gateway; service.gateway.HEAD_S = service.deadlines.PIECE_S = 1.0; {PROGRAM}"
)


@dataclass
class Served:
    """A web process and the port it listens on."""

    process: "subprocess.Popen[bytes]"
    port: int

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Return the status and the JSON of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {}, encode_chunked=not isinstance(body, str | None))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def wait_for_both(self) -> list[psutil.Process]:
        """Return the two processes that answer as soon as both do."""
        head = psutil.Process(self.process.pid)
        wait_until(lambda: [titled(process) for process in head.children()] == [TITLE] * 2, "two processes answer")
        return head.children()

    def watch(self, job_id: str) -> socket.socket:
        """Return a connection into which a stream comes."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.sendall(f"GET /jobs/{job_id}/stream HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return connection

    def read_metrics(self) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", "/metrics", headers={"Connection": "close"})
        return connection.getresponse().read().decode()

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        return self.ask("POST", path, json.dumps(body), {"Content-Type": "application/json"})

    def post_job(self) -> tuple[int, Any]:
        return self.post("/jobs", {"dataset": "ring"})


def titled(process: psutil.Process) -> str:
    return " ".join(process.cmdline()).strip()


def start(home: Path, *, program: str = PROGRAM, **variables: str) -> "subprocess.Popen[bytes]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GANYMEDE_")}
    environment |= {"GANYMEDE_HOME": str(home), "GANYMEDE_SCAN_S": "0.2", **variables}
    with (home / "web.log").open("wb") as log:
        return subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=log, stderr=log)


@pytest.fixture
def served(tmp_path: Path, sqlite_template: Path) -> Iterator[Served]:
    with _serving(tmp_path, sqlite_template, GANYMEDE_WEBHOOK_HOSTS="127.0.0.1") as served:
        yield served


@pytest.fixture
def impatient(tmp_path: Path, sqlite_template: Path) -> Iterator[Served]:
    """A web process of two threads, which waits for a second where others wait for twenty."""
    few = {"GANYMEDE_WEB_PROCESSES": "1", "GANYMEDE_WEB_THREADS": "2"}
    with _serving(tmp_path, sqlite_template, program=IMPATIENT, **few) as served:
        yield served


@contextmanager
def _serving(home: Path, database: Path, **variables: str) -> Iterator[Served]:
    (home / "ganymede.db").write_bytes(database.read_bytes())
    port = free_port()
    process = start(home, GANYMEDE_BIND=f"127.0.0.1:{port}", **variables)
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert process.poll() is None, (home / "web.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
    try:
        yield Served(process, port)
    finally:
        process.terminate()
        process.wait(timeout=15)


def test_a_job_is_accepted_while_the_broker_is_away(served: Served) -> None:
    began = time.monotonic()
    status, job = served.post_job()

    assert (status, job["status"]) == (201, "queued")
    assert time.monotonic() - began < 2


def test_its_processes_carry_one_title_and_no_torch(served: Served) -> None:
    served.ask("GET", "/readyz")

    family = [psutil.Process(served.process.pid), *served.wait_for_both()]

    assert titled(family[0]) == TITLE
    assert [process for process in family if "libtorch" in Path(f"/proc/{process.pid}/maps").read_text()] == []


def test_its_processes_count_together_and_go_on_where_a_killed_one_stopped(served: Served) -> None:
    killed = served.wait_for_both()[0]

    for _ in range(20):
        served.ask("GET", "/healthz")
    killed.kill()
    killed.wait(10)
    for _ in range(5):
        served.ask("GET", "/healthz")

    assert 'ganymede_requests_total{method="GET",route="/healthz",status="200"} 25.0' in served.read_metrics()


def test_webhooks_are_told_of_everything_in_order_though_one_of_its_processes_is_killed(served: Served) -> None:
    victims = served.wait_for_both()
    with a_receiver() as receiver:
        served.post("/webhooks", {"url": receiver.url, "events": ["*"]})
        jobs = []
        for number in range(30):
            jobs.append(served.post_job()[1]["id"])
            if number == 15:
                victims[0].kill()
            served.ask("POST", f"/jobs/{jobs[-1]}/cancel")
        expected = {(job_id, seq) for job_id in jobs for seq in (1, 2)}
        wait_until(lambda: {request.told for request in receiver.requests} == expected, "every message")

    first = list(dict.fromkeys(request.told for request in receiver.requests))
    assert all(first.index((job_id, 1)) < first.index((job_id, 2)) for job_id in jobs)
    assert len({request.id for request in receiver.requests}) == 2 * len(jobs)


def test_being_asked_to_stop_answers_those_who_wait_and_ends(served: Served) -> None:
    _, job = served.post_job()
    answers: list[tuple[int, Any]] = []
    waiting = threading.Thread(target=lambda: answers.append(served.ask("GET", f"/jobs/{job['id']}?wait=50")))
    waiting.start()
    time.sleep(0.5)

    served.process.terminate()
    waiting.join(timeout=10)

    assert [status for status, _ in answers] == [200]
    assert served.process.wait(timeout=10) == 0


def test_watchers_take_no_thread_and_their_streams_end_with_the_process(served: Served) -> None:
    _, job = served.post_job()
    with ExitStack() as stack:
        watchers = [stack.enter_context(served.watch(job["id"])) for _ in range(40)]
        assert [watcher.recv(9) for watcher in watchers] == [b"HTTP/1.1 "] * 40

        began = time.monotonic()
        assert served.ask("POST", f"/jobs/{job['id']}/pause")[0] == 202
        assert time.monotonic() - began < 5
        for watcher in watchers:
            assert b'"paused"' in receive_until(watcher, b"\n\n", count=2)

        served.process.terminate()
        assert [receive_until(watcher, b"\n\n") for watcher in watchers] == [b""] * 40
    assert served.process.wait(timeout=10) == 0


def receive_until(connection: socket.socket, mark: bytes, count: int = 1) -> bytes:
    """Return what comes up to some marks, or up to the end."""
    text = b""
    while text.count(mark) < count and (piece := connection.recv(65_536)):
        text += piece
    return text


def test_a_body_without_a_length_is_bounded_too(served: Served) -> None:
    pieces = (b" " * 65_536 for _ in range(5))

    status, problem = served.ask(
        "POST", "/jobs", pieces, {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    )

    assert (status, problem["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    "begun",
    [
        b"G",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n",
        POST + b"Content-Length: 100\r\n\r\n{",
        POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}",
        POST + b"Transfer-Encoding: chunked\r\n\r\n9\r\n{",
    ],
)
def test_a_request_that_does_not_go_on_is_ended_and_keeps_nobody_waiting(impatient: Served, begun: bytes) -> None:
    with ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", impatient.port), timeout=30)) for _ in range(4)
        ]
        for client in clients:
            client.sendall(begun)

        status, _ = impatient.ask("GET", "/healthz")
        answers = [read_all(client) for client in clients]

    assert status == 200
    assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in answers)
    assert all(b'"code":"request_timeout"' in answer for answer in answers)


def test_a_client_that_leaves_its_side_open_keeps_nobody_waiting(impatient: Served) -> None:
    began = time.monotonic()
    with ExitStack() as stack:
        for _ in range(8):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", impatient.port), timeout=30))
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert read_all(client).startswith(b"HTTP/1.1 200 ")
        status, _ = impatient.ask("GET", "/healthz")

    assert status == 200
    assert time.monotonic() - began < 8  # gunicorn by itself would wait for 2 s each time, and for each one


def read_all(client: socket.socket) -> bytes:
    """Read until the other end closes its side."""
    pieces = []
    while piece := client.recv(65_536):
        pieces.append(piece)
    return b"".join(pieces)


def test_it_refuses_to_let_everybody_in(tmp_path: Path) -> None:
    process = start(tmp_path, GANYMEDE_BIND=f"0.0.0.0:{free_port()}", GANYMEDE_AUTH="off")

    assert process.wait(timeout=30) == 1
    assert "loopback" in (tmp_path / "web.log").read_text()


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414, "uri_too_long"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 431, "header_too_large"),
        (b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", 400, "malformed_request"),
        (b"no request at all\r\n\r\n", 400, "malformed_request"),
    ],
)
def test_what_is_no_request_is_refused_as_a_problem(
    served: Served, request_bytes: bytes, status: int, code: str
) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall(request_bytes)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        problem = json.loads(answer.read())

    assert (answer.status, problem["code"], problem["status"]) == (status, code, status)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["X-Request-Id"] == problem["request_id"]
