"""Clients of the service that ask again and again, each in a thread of its own, and note every answer with its time."""

import threading
import time
from dataclasses import dataclass
from typing import Any, Self

import httpx2

_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Answer:
    """What a client got. A status of 0 is no answer at all."""

    method: str
    status: int
    asked_at: float  # on the monotonic clock
    took_s: float
    retry_after: str | None
    job_id: str | None

    @property
    def came_at(self) -> float:
        """When it came."""
        return self.asked_at + self.took_s


class Clients:
    """A crowd. Leave the context to send it away; `answers` then is complete."""

    def __init__(self, url: str) -> None:
        self.answers: list[Answer] = []
        self._url = url
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def repeat(self, method: str, path: str, *, every_s: float, body: dict[str, Any] | None = None) -> None:
        """Add a client that sends one request after the other with a pause between."""
        thread = threading.Thread(target=self._repeat, args=(method, path, every_s, body), daemon=True)
        self._threads.append(thread)
        thread.start()

    def created(self) -> list[str]:
        """Return the ids of the jobs that were acknowledged."""
        return [answer.job_id for answer in self.answers if answer.job_id is not None]

    def _repeat(self, method: str, path: str, every_s: float, body: dict[str, Any] | None) -> None:
        with httpx2.Client(base_url=self._url, timeout=_TIMEOUT_S, trust_env=False) as client:
            while not self._stopping.wait(every_s):
                self.answers.append(self._ask(client, method, path, body))

    def _ask(self, client: httpx2.Client, method: str, path: str, body: dict[str, Any] | None) -> Answer:
        asked_at = time.monotonic()
        try:
            answer = client.request(method, path, json=body)
        except httpx2.TransportError:
            return Answer(method, 0, asked_at, time.monotonic() - asked_at, None, None)
        took_s = time.monotonic() - asked_at
        job_id = answer.json()["id"] if answer.status_code == 201 else None
        return Answer(method, answer.status_code, asked_at, took_s, answer.headers.get("retry-after"), job_id)
