"""Gunicorn's worker: requests that it cannot parse are answered as problems like all others, and streams leave it."""

import secrets
import socket as sockets
from collections.abc import Callable, Iterable
from socket import socket
from typing import Any

from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.util import write_nonblock
from gunicorn.workers.gthread import ThreadWorker

from service.answers.problem import MEDIA_TYPE, Problem
from service.streams import Stream

_GIVE_UP_MS = 60_000  # on what a watcher's machine does not acknowledge; by itself Linux takes a quarter of an hour


class Gateway(ThreadWorker):  # type: ignore[misc]
    """Sees requests before the application does, as gunicorn would refuse them in HTML, and answers after it."""

    wsgi: Any

    def load_wsgi(self) -> None:
        super().load_wsgi()
        answer = self.wsgi
        self.wsgi = lambda environ, start_response: hand_over(answer(environ, start_response), environ, start_response)

    def handle_request(self, req: Any, conn: Any) -> bool:
        stays: bool = super().handle_request(req, conn)
        if conn.sock.fileno() == -1:  # a stream has it
            conn.sock = socket()  # for gunicorn to close instead
        return stays

    def handle_error(self, req: Any, client: socket, addr: Any, exc: BaseException) -> None:
        if not isinstance(exc, ParseException):
            super().handle_error(req, client, addr, exc)
            return
        self.log.info("request not understood: %s", exc)
        try:
            write_nonblock(client, refusal(code_of(exc), str(exc)))
        except OSError:
            return  # the client is gone


def hand_over(body: Iterable[bytes], environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Give the connection to a body that is a stream, so that no thread waits for it; leave any other as it is."""
    if not isinstance(body, Stream):
        return body
    head = start_response.__self__  # type: ignore[attr-defined]  # gunicorn's response
    head.chunked = False  # the body ends where the connection does
    head.force_close()
    head.send_headers()
    connection = socket(fileno=environ["gunicorn.socket"].detach())
    if hasattr(sockets, "TCP_USER_TIMEOUT"):
        connection.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_USER_TIMEOUT, _GIVE_UP_MS)
    body.flow_into(connection)
    return []


def code_of(error: ParseException) -> str:
    """Return the code of the problem that a request could not be parsed for."""
    if isinstance(error, LimitRequestHeaders):
        return "header_too_large"
    return "uri_too_long" if isinstance(error, LimitRequestLine) else "malformed_request"


def refusal(code: str, detail: str) -> bytes:
    """Return a whole HTTP answer that closes the connection."""
    problem = Problem.of(code, detail, instance="", request_id=secrets.token_hex(8))
    body = problem.model_dump_json().encode()
    head = (
        f"HTTP/1.1 {problem.status} {problem.title}\r\nConnection: close\r\nContent-Type: {MEDIA_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\nX-Request-Id: {problem.request_id}\r\n\r\n"
    )
    return head.encode("latin-1") + body
