"""The HTTP client, against an application that is served in this process."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Thread

import pytest
from flask import request
from sqlalchemy import Engine
from werkzeug.serving import make_server

from ganymede.client import Client
from service.db import writing
from tests.building import add_job
from tests.conversation import make_client
from tests.house import wait_until


@dataclass
class Served:
    """An application at an address, and what it was asked."""

    url: str
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def served(engine: Engine) -> Iterator[Served]:
    """Serve an application that lets one client wait at a time."""
    app = make_client(engine, web_threads=2).application
    server = make_server("127.0.0.1", 0, app, threaded=True)
    served = Served(f"http://127.0.0.1:{server.port}")
    app.before_request(lambda: served.asked.append(request.full_path))
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


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
