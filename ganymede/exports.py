"""Exports in the client: asked for until a worker has rendered them, then fetched."""

import time
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from ganymede.resource import without_none
from ganymede.transport import LONG_POLL_S, RETRY_S, OnProgress, Transport

_FIRST_BYTE = {"Range": "bytes=0-0"}  # enough to see that there is a file


def fetch_export(
    transport: Transport, path: str, target: Path, *, part: str | None, timeout_s: float, on_progress: OnProgress
) -> int:
    """Write an export to a file once it is rendered; return its size in bytes. Raises TimeoutError."""
    query, deadline_s = without_none(part=part), time.monotonic() + timeout_s
    while True:
        began_s = time.monotonic()
        wait = {"wait": f"{max(0.0, min(LONG_POLL_S, deadline_s - began_s)):.3f}"}
        answer = transport.send("GET", path, params=query | wait, headers=_FIRST_BYTE)
        here = urlsplit(answer.headers["Location"])  # what was the latest checkpoint may not be any more
        path, query = here.path, dict(parse_qsl(here.query))
        if answer.status_code != HTTPStatus.ACCEPTED:
            return transport.download(path, target, on_progress, **query)
        if time.monotonic() >= deadline_s:
            raise TimeoutError(f"{path} is still {answer.json()['status']}")
        time.sleep(max(0.0, RETRY_S - (time.monotonic() - began_s)))  # the service may have let nobody wait
