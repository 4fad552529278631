"""Gunicorn's worker: requests that it cannot parse are answered as problems like all others, streams leave it, and no
client keeps a thread for longer than its request needs.
"""

import secrets
import socket as sockets
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ
from socket import socket
from typing import Any

from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.util import write_nonblock
from gunicorn.workers.gthread import ThreadWorker

from service.answers.problem import MEDIA_TYPE, Problem
from service.clock import monotonic_s
from service.deadlines import HEAD_S, Body, Deadlines
from service.streams import Stream

_GIVE_UP_MS = 60_000  # on what a client's machine does not acknowledge; by itself Linux takes a quarter of an hour
_LINGER_S = 2.0  # for the other end to close its side, once the answer is sent
_LINGER_BYTES = 64 * 1024


class Gateway(ThreadWorker):  # type: ignore[misc]
    """Sees requests before the application does, as gunicorn would refuse them in HTML, and answers after it."""

    wsgi: Any

    def init_process(self) -> None:
        self._deadlines = Deadlines()
        self._deadlines.start()
        self._lingering: deque[Any] = deque()  # closed connections whose other end is not, the oldest first
        super().init_process()

    def load_wsgi(self) -> None:
        super().load_wsgi()
        answer = self.wsgi

        def answer_in_time(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            environ["wsgi.input"] = Body(self._deadlines, environ["gunicorn.socket"], environ["wsgi.input"])
            return hand_over(answer(environ, start_response), environ, start_response)

        self.wsgi = answer_in_time

    def handle(self, conn: Any) -> Any:
        if hasattr(sockets, "TCP_USER_TIMEOUT"):
            conn.sock.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_USER_TIMEOUT, _GIVE_UP_MS)
        with self._deadlines.within(conn.sock, HEAD_S) as conn.head:
            stays = super().handle(conn)
        if conn.head is not None and conn.head.is_over:
            detail = f"The request line and headers took more than {HEAD_S:g} s."
            with suppress(OSError):
                write_nonblock(conn.sock, refusal("request_timeout", detail))
        return stays

    def handle_request(self, req: Any, conn: Any) -> bool:
        self._deadlines.end(conn.head)
        conn.head = None  # it has come, be it at the last moment
        stays: bool = super().handle_request(req, conn)
        if conn.sock.fileno() == -1:  # a stream has it
            conn.sock = socket()  # for gunicorn to close instead
        return stays

    def finish_request(self, conn: Any, fs: "Future[Any]") -> None:
        """Close a connection as gunicorn does, but let nobody else wait until its other end is closed, too."""
        if fs.cancelled() or fs.exception() is not None or fs.result():
            super().finish_request(conn, fs)
            return
        conn.timeout, conn.drained_bytes = monotonic_s() + _LINGER_S, 0
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(sockets.SHUT_WR)
            self.poller.register(conn.sock, EVENT_READ, partial(self._drain, conn))
        except (OSError, ValueError):  # it is closed, or never was open
            self._close(conn)
        else:
            self._lingering.append(conn)

    def murder_pending(self) -> None:
        super().murder_pending()
        while self._lingering and self._lingering[0].timeout < monotonic_s():
            self._stop_lingering(self._lingering[0])

    def _drain(self, conn: Any, connection: socket) -> None:
        """Read what is left unread, or the other end would be told of an error in place of the answer."""
        try:
            data = connection.recv(_LINGER_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        conn.drained_bytes += len(data)
        if not data or conn.drained_bytes > _LINGER_BYTES:
            self._stop_lingering(conn)

    def _stop_lingering(self, conn: Any) -> None:
        self._lingering.remove(conn)
        self.poller.unregister(conn.sock)
        self._close(conn)

    def _close(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.close()

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
