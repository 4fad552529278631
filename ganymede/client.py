"""A typed HTTP client of the REST contract. It knows neither Flask nor torch, and raises a problem as an exception."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self, TypedDict, cast

from ganymede.datasets import Datasets
from ganymede.sweeps import Sweeps
from ganymede.transport import RETRY_S, GanymedeProblem, ServiceUnreachable, Transport, write_whole
from ganymede.webhooks import Webhooks

TERMINAL = frozenset({"succeeded", "failed", "cancelled"})
DEFAULT_URL = "http://127.0.0.1:8000"
LONG_POLL_S = 20.0
SOON_S = 2.0  # within which most samples are drawn; who waits longer hears how far they are

__all__ = ["Client", "Drawn", "GanymedeProblem", "Job", "Message", "Progress", "ServiceUnreachable"]


class Progress(TypedDict):
    """How far a job is."""

    step: int
    max_steps: int
    fraction: float
    steps_per_second: float | None
    eta_seconds: float | None
    samples_seen: int


class Execution(TypedDict):
    """How the steps of a job are carried out."""

    step: str
    threads: int
    reason: str


class LatestSamples(TypedDict):
    """The newest sampling point, and the formats in which its file can be had."""

    step: int
    formats: list[str]


class Parent(TypedDict):
    """What a fork continues, and from which step."""

    job: str
    step: int


class Job(TypedDict):
    """A training job as the service shows it."""

    id: str
    status: str
    reason: str | None
    version: int
    name: str | None
    labels: dict[str, str]
    priority: int
    owner: str
    spec: dict[str, Any]
    resolved_spec: dict[str, Any]
    attempt: int
    queue_position: int | None
    worker: str | None
    execution: Execution | None
    progress: Progress
    losses: dict[str, float | None] | None
    latest_samples: LatestSamples | None
    parent: Parent | None
    sweep: str | None
    error: dict[str, str] | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    links: dict[str, str]


class Made(TypedDict):
    """How far samples on demand are."""

    made: int
    n: int
    fraction: float


class Drawn(TypedDict):
    """Samples on demand as the service shows them."""

    id: str
    job: str
    status: str
    version: int
    progress: Made
    request: dict[str, Any]
    file: dict[str, Any] | None
    error: dict[str, str] | None
    created_at: str
    finished_at: str | None
    links: dict[str, str]


class Message(TypedDict):
    """What happened to a job. Ids count from 1 without gaps; a `snapshot` has none."""

    id: int | None
    event: str
    data: dict[str, Any]


class Client:
    """A connection to one service, under one key.

    Once the service has answered, a request that is safe to repeat is repeated for `patience_s` while it is away, so
    that a long watch survives a restart. Creating a job is safe too: it carries an idempotency key.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        key: str | None = None,
        *,
        patience_s: float = 10.0,
    ) -> None:
        self._transport = Transport(url, key, patience_s=patience_s)
        self._patience_s = patience_s
        self.url = self._transport.url
        self.datasets = Datasets(self._transport)
        self.webhooks = Webhooks(self._transport)
        self.sweeps = Sweeps(self._transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.close()

    def create_job(self, spec: Mapping[str, Any]) -> Job:
        """Queue a job; only `dataset` is required."""
        key = {"Idempotency-Key": str(uuid.uuid4())}
        return self._job("POST", "/jobs", json=spec, may_repeat=True, headers=key)

    def plan_job(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Return the resolved spec and its estimate; nothing is stored."""
        return self._transport.object("POST", "/jobs", json=spec, params={"dry_run": "true"})

    def job(self, job_id: str) -> Job:
        """Return a job as it is now."""
        return self._job("GET", f"/jobs/{job_id}")

    def jobs(self, **filters: str | int) -> Iterator[Job]:
        """Yield jobs, newest first, through all pages; filters are the query of GET /jobs."""
        return cast("Iterator[Job]", self._transport.pages("/jobs", filters))

    def changed_job(self, job_id: str, since: int, wait_s: float = LONG_POLL_S) -> Job:
        """Return the job as soon as its version passes `since` or it is terminal, or as it is after `wait_s`."""
        deadline_s = time.monotonic() + wait_s
        while True:
            left_s = max(0.0, deadline_s - time.monotonic())
            job = self._job("GET", f"/jobs/{job_id}", params={"wait": f"{left_s:.3f}", "since": str(since)})
            if job["version"] > since or job["status"] in TERMINAL or time.monotonic() + RETRY_S > deadline_s:
                return job
            time.sleep(RETRY_S)  # the service has more clients that wait than threads to let them

    def wait(self, job_id: str, timeout_s: float = float("inf")) -> Job:
        """Return the job once it is terminal.

        Raises:
            TimeoutError: it was not within `timeout_s`.
        """
        deadline_s = time.monotonic() + timeout_s
        job = self.job(job_id)
        while job["status"] not in TERMINAL:
            if (left_s := deadline_s - time.monotonic()) <= 0:
                raise TimeoutError(f"{job_id} is still {job['status']} after {timeout_s:g} s")
            job = self.changed_job(job_id, job["version"], min(LONG_POLL_S, left_s))
        return job

    def stream(self, job_id: str, after: int | None = None) -> Iterator[Message]:
        """Yield what happens to a job, each message once and in order, until it has ended.

        Without `after`, the id of a message, the first is a `snapshot`. Where a connection breaks off, another goes on
        after the last message; raises ServiceUnreachable when the service is away for `patience_s`.
        """
        away_since_s: float | None = None
        while True:
            is_silent = True
            try:
                for line in self._transport.lines(f"/jobs/{job_id}/stream", **_without_none(after=after)):
                    message, away_since_s, is_silent = cast("Message", line), None, False
                    after = message["data"]["seq"] if message["id"] is None else message["id"]
                    yield message
                if is_silent and self.job(job_id)["status"] in TERMINAL:
                    return
                away_since_s = None
            except ServiceUnreachable:
                away_since_s = away_since_s or time.monotonic()
                if time.monotonic() - away_since_s > self._patience_s:
                    raise
            time.sleep(RETRY_S if is_silent else 0)

    def change_job(self, job_id: str, **changes: Any) -> Job:
        """Change name, labels, priority or max_steps."""
        return self._job("PATCH", f"/jobs/{job_id}", json=changes)

    def cancel(self, job_id: str) -> Job:
        """Ask for the end of a job; what it made so far stays."""
        return self._job("POST", f"/jobs/{job_id}/cancel")

    def pause(self, job_id: str) -> Job:
        """Ask a job to save itself and to give its place up."""
        return self._job("POST", f"/jobs/{job_id}/pause")

    def resume(self, job_id: str) -> Job:
        """Queue a paused job again; it continues where it was."""
        return self._job("POST", f"/jobs/{job_id}/resume")

    def fork(self, job_id: str, checkpoint: int | str = "latest", overrides: Mapping[str, Any] | None = None) -> Job:
        """Queue a job that continues another one from a checkpoint, with parts of its spec changed."""
        key, body = {"Idempotency-Key": str(uuid.uuid4())}, {"checkpoint": checkpoint, "overrides": overrides or {}}
        return self._job("POST", f"/jobs/{job_id}/fork", json=body, may_repeat=True, headers=key)

    def save(self, job_id: str) -> Job:
        """Ask a running job for a checkpoint now."""
        return self._job("POST", f"/jobs/{job_id}/checkpoints")

    def archive(self, job_id: str, target: Path) -> int:
        """Write everything that a job has left into one zip; return its size in bytes."""
        return self.download(f"/jobs/{job_id}/archive.zip", target)

    def delete_job(self, job_id: str) -> None:
        """Remove a terminal job with everything it made."""
        self._transport.send("DELETE", f"/jobs/{job_id}")

    def losses(self, job_id: str, **query: str | int) -> dict[str, Any]:
        """Return the columnar history; the query is that of GET /jobs/ID/losses."""
        return self._transport.object("GET", f"/jobs/{job_id}/losses", params=query)

    def losses_summary(self, job_id: str) -> dict[str, Any]:
        """Return last, min, max, mean and counts of each column."""
        return self._transport.object("GET", f"/jobs/{job_id}/losses/summary")

    def samples(self, job_id: str) -> Iterator[dict[str, Any]]:
        """Yield the sampling points of a job, by step."""
        return self._transport.pages(f"/jobs/{job_id}/samples", {})

    def sample(
        self,
        job_id: str,
        target: Path,
        timeout_s: float = float("inf"),
        *,
        tell: Callable[[Drawn], object] = lambda _: None,
        **wish: Any,
    ) -> int:
        """Draw samples and write their file; return its size in bytes. The wish is that of POST /jobs/ID/samples.

        While they take long, tell hears how far they are.

        Raises:
            TimeoutError: they were not drawn within `timeout_s`; the service goes on, and the same wish with
                a seed finds them.
        """
        deadline_s = time.monotonic() + timeout_s
        wait = {"wait": min(SOON_S, timeout_s)}
        answer = self._transport.send("POST", f"/jobs/{job_id}/samples", json=wish, params=wait)
        if answer.status_code != HTTPStatus.ACCEPTED:
            return write_whole(target, [answer.content])
        self._wait_for_samples(cast("Drawn", answer.json()), deadline_s, tell)
        return self.download(f"{answer.headers['Location']}/file", target)

    def drawn(self, sample_id: str) -> Drawn:
        """Return how far samples on demand are."""
        return cast("Drawn", self._transport.object("GET", f"/samples/{sample_id}"))

    def delete_sample(self, sample_id: str) -> None:
        """Remove samples on demand; those that wait or are being drawn are drawn no more."""
        self._transport.send("DELETE", f"/samples/{sample_id}")

    def quality(self, job_id: str) -> Iterator[dict[str, Any]]:
        """Yield the measured steps of a job, each with the metrics of real data and of baselines."""
        return self._transport.pages(f"/jobs/{job_id}/quality", {})

    def checkpoints(self, job_id: str) -> Iterator[dict[str, Any]]:
        """Yield the checkpoints of a job, by step."""
        return self._transport.pages(f"/jobs/{job_id}/checkpoints", {})

    def catalog(self) -> dict[str, Any]:
        """Return what there is to choose from: data sets, architectures, objectives, loops, recipes."""
        return self._transport.object("GET", "/catalog")

    def is_ready(self) -> bool:
        """Tell whether the service can take jobs now; never raises, never waits long."""
        return self._transport.is_ready()

    def content(self, path: str, **query: str | int) -> bytes:
        """Return the body of any resource."""
        return self._transport.send("GET", path, params=query).content

    def download(self, path: str, target: Path, **query: str | int) -> int:
        """Write a resource to a file, whole or not at all; return its size in bytes."""
        return self._transport.download(path, target, **query)

    def _wait_for_samples(self, order: Drawn, deadline_s: float, tell: Callable[[Drawn], object]) -> None:
        """Wait until samples are ready or have failed; of the latter the download tells why."""
        path = f"/samples/{order['id']}"
        while order["status"] in {"queued", "rendering"}:
            tell(order)
            if (left_s := deadline_s - time.monotonic()) <= 0:
                raise TimeoutError(f"{order['id']} is still {order['status']}")
            before, query = order["version"], {"wait": min(LONG_POLL_S, left_s), "since": order["version"]}
            order = cast("Drawn", self._transport.object("GET", path, params=query))
            if order["version"] == before:
                time.sleep(RETRY_S)  # more clients wait than the service has threads for

    def _job(self, method: str, path: str, **request: Any) -> Job:
        return cast("Job", self._transport.send(method, path, **request).json())


def _without_none(**query: int | None) -> dict[str, str | int]:
    return {name: value for name, value in query.items() if value is not None}
