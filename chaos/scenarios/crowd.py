"""A crowd of clients in a process of its own: each asks by a timetable, and every answer is timed where it arrives."""

import gzip
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPException, HTTPMessage
from multiprocessing import get_context
from typing import Any, Protocol
from urllib.parse import urlsplit

import orjson

POLL_EVERY_S, SUBMIT_EVERY_S = 1.0, 2.0
NO_ANSWER = 0
_TIMEOUT_S = 30.0
_BEGINS_AFTER_S = 1.0  # so that all clients have been made when the first one asks
_ALWAYS = {"Accept-Encoding": "gzip", "Content-Type": "application/json"}


@dataclass(frozen=True)
class Crowd:
    """How many clients ask, and for how long."""

    pollers: int
    submitters: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Timed:
    """An answer, or that there was none."""

    route: str
    status: int
    took_s: float
    late_s: float  # behind the timetable when it was asked for: the client's own fault, and none of the service

    @property
    def method(self) -> str:
        """The method of the request."""
        return self.route.partition(" ")[0]


@dataclass(frozen=True)
class Record:
    """What a crowd has seen."""

    answers: list[Timed]
    created: list[str]  # jobs that were acknowledged
    cpu_s: float  # of the crowd itself


@dataclass(frozen=True)
class Reply:
    """An answer as it came."""

    status: int = NO_ANSWER
    headers: HTTPMessage = field(default_factory=HTTPMessage)
    body: bytes = b""

    def json(self) -> Any:
        """Return what the body says."""
        is_packed = self.headers.get("Content-Encoding") == "gzip"
        return orjson.loads(gzip.decompress(self.body) if is_packed else self.body)


class Turn(Protocol):
    """What a client does at each of its moments: one request or several."""

    def take(self, client: "Client") -> None:
        """Ask."""


class Client:
    """Keeps one connection and times every answer."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self.answers: list[Timed] = []
        self._http = HTTPConnection(str(address.hostname), address.port, timeout=_TIMEOUT_S)
        self._late_s = 0.0

    def repeat(self, turn: Turn, *, first_at: float, every_s: float, ends_at: float) -> list[Timed]:
        """Take a turn at every moment of the timetable; return all answers.

        A moment that goes by while an answer is awaited counts as a request that waits for that answer, too: else a
        service that stands still would be asked, and found slow, less often.
        """
        due = first_at
        while due < ends_at:
            time.sleep(max(0.0, due - time.monotonic()))
            before = len(self.answers)
            self._late_s = time.monotonic() - due
            turn.take(self)
            came_at, due = time.monotonic(), due + every_s
            while due < min(came_at, ends_at):
                self.answers.append(replace(self.answers[before], took_s=came_at - due))
                due += every_s
        self._http.close()
        return self.answers

    def ask(self, route: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> Reply:
        """Send a request and write down how long its answer took."""
        asked_at = time.monotonic()
        reply = self._send(route.partition(" ")[0], path, {**_ALWAYS, **(headers or {})}, body)
        self.answers.append(Timed(route, reply.status, time.monotonic() - asked_at, self._late_s))
        return reply

    def _send(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
        try:
            self._http.request(method, path, body, headers)
            answer = self._http.getresponse()
            return Reply(answer.status, answer.headers, answer.read())
        except (OSError, HTTPException):
            self._http.close()  # the next request opens it again
            return Reply()


class Watch:
    """Shows one resource, and has it sent again only when it has changed."""

    def __init__(self, route: str, path: str) -> None:
        self._route, self._path, self._etag = route, path, '""'

    def take(self, client: Client) -> None:
        reply = client.ask(self._route, self._path, {"If-None-Match": self._etag})
        if reply.status == 200:
            self._etag = reply.headers["ETag"]
            self._look_on(reply)

    def _look_on(self, reply: Reply) -> None:
        """Choose what to ask for next."""


class WatchOfLosses(Watch):
    """Shows the curves of a job, and asks for the steps that it has not got."""

    def __init__(self, job_id: str) -> None:
        self._of_job = f"/jobs/{job_id}/losses?after_step="
        super().__init__("GET /jobs/ID/losses", f"{self._of_job}0")

    def _look_on(self, reply: Reply) -> None:
        self._path = f"{self._of_job}{reply.json()['next_after_step']}"


class Submission:
    """Posts a job and cancels it at once: what runs beside the crowd stays the same all the time."""

    def __init__(self, spec: Mapping[str, Any], created: list[str]) -> None:
        self._body, self._created = orjson.dumps(spec), created

    def take(self, client: Client) -> None:
        reply = client.ask("POST /jobs", "/jobs", {"Idempotency-Key": str(uuid.uuid4())}, self._body)
        if reply.status == 201:
            job_id = reply.json()["id"]
            self._created.append(job_id)
            client.ask("POST /jobs/ID/cancel", f"/jobs/{job_id}/cancel")


def let_ask(crowd: Crowd, url: str, watched: Sequence[str], posted: Mapping[str, Any]) -> Record:
    """Send a crowd, and return what it has seen when its time is over.

    Half of the pollers watch one of the jobs, a quarter the list of jobs, a quarter the losses of one of them.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_ask_from_here, crowd, url, tuple(watched), dict(posted)).result()


def _ask_from_here(crowd: Crowd, url: str, watched: Sequence[str], posted: Mapping[str, Any]) -> Record:
    created: list[str] = []
    pollers: list[Turn] = [_watch(number, watched) for number in range(crowd.pollers)]
    submitters: list[Turn] = [Submission(posted, created) for _ in range(crowd.submitters)]
    begins_at, began_with_s = time.monotonic() + _BEGINS_AFTER_S, time.process_time()
    with ThreadPoolExecutor(crowd.pollers + crowd.submitters) as pool:
        running = [
            pool.submit(
                Client(url).repeat,
                turn,
                first_at=begins_at + every_s * number / len(turns),  # spread evenly
                every_s=every_s,
                ends_at=begins_at + crowd.seconds,
            )
            for turns, every_s in ((pollers, POLL_EVERY_S), (submitters, SUBMIT_EVERY_S))
            for number, turn in enumerate(turns)
        ]
        answers = [answer for one in running for answer in one.result()]
    return Record(answers, created, time.process_time() - began_with_s)


def _watch(number: int, watched: Sequence[str]) -> Watch:
    job_id = watched[number // 4 % len(watched)]
    if number % 4 < 2:
        return Watch("GET /jobs/ID", f"/jobs/{job_id}")
    return Watch("GET /jobs", "/jobs") if number % 4 == 2 else WatchOfLosses(job_id)
