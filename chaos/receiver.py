"""A receiver of webhooks on this machine, which answers as it is told and keeps what it was sent."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def id(self) -> str:
        """Of the message, the same each time it is sent."""
        return self.headers["webhook-id"]

    @property
    def payload(self) -> dict[str, Any]:
        """What the message says."""
        payload: dict[str, Any] = orjson.loads(self.body)
        return payload

    @property
    def told(self) -> tuple[str, int]:
        """The job that is told of, and the number of the event."""
        return self.payload["data"]["job"], self.payload["data"]["seq"]


@dataclass
class Receiver:
    """What was received so far, and how the next request is answered."""

    url: str = ""
    requests: list[Received] = field(default_factory=list)
    accepted: list[Received] = field(default_factory=list)  # in the order in which they were answered
    answer: Callable[[Received], int] = lambda _: 204
    location: str = ""  # sent with every answer

    @property
    def types(self) -> list[str]:
        """Of what was received, in order."""
        return [request.payload["type"] for request in self.requests]


@contextmanager
def a_receiver() -> Iterator[Receiver]:
    """Receive on a free port of the loopback."""
    receiver, lock = Receiver(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received = Received(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            with lock:
                receiver.requests.append(received)
            status = receiver.answer(received)
            if status < 300:
                with lock:
                    receiver.accepted.append(received)
            self.send_response(status)
            self.send_header("Location", receiver.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
