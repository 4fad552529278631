"""Gunicorn's worker, with the requests that it cannot parse answered as problems like all others."""

import secrets
from socket import socket
from typing import Any

from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.util import write_nonblock
from gunicorn.workers.gthread import ThreadWorker

from service.answers.problem import MEDIA_TYPE, Problem


class Gateway(ThreadWorker):  # type: ignore[misc]
    """Sees requests before the application does; gunicorn itself would refuse them in HTML."""

    def handle_error(self, req: Any, client: socket, addr: Any, exc: BaseException) -> None:
        if not isinstance(exc, ParseException):
            super().handle_error(req, client, addr, exc)
            return
        self.log.info("request not understood: %s", exc)
        try:
            write_nonblock(client, refusal(code_of(exc), str(exc)))
        except OSError:
            return  # the client is gone


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
