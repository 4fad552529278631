"""A job in the client, and what can be asked of it."""

import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self, Unpack, cast

from ganymede.answers import (
    CheckpointAnswer,
    ColumnSummaryAnswer,
    DiagnosisAnswer,
    EventAnswer,
    JobAnswer,
    Message,
    ProgressAnswer,
    QualityAnswer,
    SampleAnswer,
)
from ganymede.exports import fetch_export
from ganymede.losses import Losses
from ganymede.resource import Resource, without_none
from ganymede.samples import Samples, SampleSpec, draw
from ganymede.transport import LONG_POLL_S, RETRY_S, OnProgress, ServiceUnreachable, Transport, ignore

TERMINAL = frozenset({"succeeded", "failed", "cancelled"})


class Job(Resource[JobAnswer]):
    """A training job. Its history, samples and checkpoints can be had from its first second on."""

    @property
    def status(self) -> str:
        """What was heard last: queued, running, pausing, paused, cancelling, cancelled, succeeded or failed."""
        return self.data["status"]

    @property
    def has_ended(self) -> bool:
        """Whether nothing will happen any more."""
        return self.status in TERMINAL

    @property
    def step(self) -> int:
        """How far it was when it was last heard of."""
        return self.data["progress"]["step"]

    def refresh(self, wait_s: float = 0.0) -> Self:
        """Hear of the job again: as soon as it has changed or ended, or as it is after `wait_s`."""
        since, deadline_s = self.data["version"], time.monotonic() + wait_s
        while True:
            left_s = max(0.0, deadline_s - time.monotonic())
            self._ask("GET", params={"wait": f"{left_s:.3f}", "since": str(since)} if wait_s else {})
            if self.data["version"] > since or self.has_ended or time.monotonic() + RETRY_S > deadline_s:
                return self
            time.sleep(RETRY_S)  # the service has more clients that wait than threads to let them

    def wait(self, timeout_s: float = float("inf")) -> Self:
        """Return once the job has ended.

        Raises:
            TimeoutError: it had not within `timeout_s`.
        """
        deadline_s = time.monotonic() + timeout_s
        while not self.has_ended:
            if (left_s := deadline_s - time.monotonic()) <= 0:
                raise TimeoutError(f"{self.id} is still {self.status} after {timeout_s:g} s")
            self.refresh(min(LONG_POLL_S, left_s))
        return self

    def watch(self, after: int | None = None) -> Iterator[Message]:
        """Yield what happens to the job, each message once and in order, until it has ended; `data` follows.

        Without `after`, the id of a message, the first is a `snapshot`: the job as it is; more of them follow as long
        as it is queued and its place may change. Where a connection breaks off, another goes on after the last message.

        Raises:
            ServiceUnreachable: the service was away for longer than the client is patient.
            GanymedeProblem: `too_many_watchers`; wait for the job instead, or come back.
        """
        away_since_s: float | None = None
        while True:
            is_silent = True
            try:
                for line in self._transport.lines(f"{self.path}/stream", **without_none(after=after)):
                    away_since_s = None
                    if line is None:
                        yield from self._place()
                        continue
                    message, is_silent = cast("Message", line), False
                    after = message["data"]["seq"] if message["id"] is None else message["id"]
                    self._follow(message)
                    yield message
                if is_silent and self.refresh().has_ended:
                    return
                away_since_s = None
            except ServiceUnreachable:
                away_since_s = away_since_s or time.monotonic()
                if time.monotonic() - away_since_s > self._transport.patience_s:
                    raise
            time.sleep(RETRY_S if is_silent else 0)

    def _place(self) -> Iterator[Message]:
        """Yield the job as it is while it is queued: nothing happens to it when others leave the queue."""
        if self.status == "queued":
            yield {"id": None, "event": "snapshot", "data": {**self.refresh().data}}

    def _follow(self, message: Message) -> None:
        told = message["data"]
        match message["event"]:
            case "snapshot":
                self.data = cast("JobAnswer", {name: told[name] for name in told if name != "seq"})
            case _ if self.has_ended:
                pass  # what is told again has been heard of
            case "progress":
                self.data["progress"] = cast("ProgressAnswer", {name: told[name] for name in self.data["progress"]})
            case "losses":
                newest = {name: values[-1] for name, values in told["columns"].items() if values}
                self.data["losses"] = newest or self.data["losses"]
            case _:
                self.refresh()

    def change(self, **changes: Any) -> Self:
        """Change name, labels, priority or max_steps."""
        return self._ask("PATCH", json=changes)

    def cancel(self) -> Self:
        """Ask for the end of the job; what it made so far stays."""
        return self._ask("POST", "/cancel")

    def pause(self) -> Self:
        """Ask the job to save itself and to give its place up."""
        return self._ask("POST", "/pause")

    def resume(self) -> Self:
        """Queue the paused job again; it continues where it was."""
        return self._ask("POST", "/resume")

    def save(self) -> Self:
        """Ask the running job for a checkpoint now."""
        return self._ask("POST", "/checkpoints")

    def fork(self, checkpoint: int | str = "latest", /, **overrides: Any) -> "Job":
        """Queue a job that continues this one from a checkpoint, with parts of its spec changed."""
        body = {"checkpoint": checkpoint, "overrides": overrides}
        return create_job(self._transport, f"{self.path}/fork", body)

    def delete(self) -> None:
        """Remove the job, which has ended, with everything it made."""
        self._transport.send("DELETE", self.path)

    def losses(
        self,
        *columns: str,
        from_step: int | None = None,
        to_step: int | None = None,
        after_step: int | None = None,
        max_points: int | None = None,
        downsample: str | None = None,
        lineage: bool = False,
    ) -> Losses:
        """Return the history: these columns, or all, of every step, unless less is asked for.

        Where there are more steps than `max_points`, `downsample` chooses: minmax, lttb or mean. `lineage` begins with
        the history of what a fork continues.
        """
        query = without_none(
            columns=",".join(columns) or None,
            from_step=from_step,
            to_step=to_step,
            after_step=after_step,
            max_points=max_points,
            downsample=downsample,
            lineage="true" if lineage else None,
        )
        return Losses(cast("Any", self._transport.object("GET", f"{self.path}/losses", params=query)))

    def losses_summary(self) -> dict[str, ColumnSummaryAnswer]:
        """Return last, least and greatest value, mean and counts of each column."""
        summary = self._transport.object("GET", f"{self.path}/losses/summary")
        return cast("dict[str, ColumnSummaryAnswer]", summary["columns"])

    def events(self, after: int = 0) -> Iterator[EventAnswer]:
        """Yield what has happened to the job, of after an event's number."""
        return cast(
            "Iterator[EventAnswer]", self._transport.pages(f"{self.path}/events", {"after": after, "limit": 200})
        )

    def diagnosis(self) -> DiagnosisAnswer:
        """Return where each rule stands, with the numbers behind it and what to try."""
        return cast("DiagnosisAnswer", self._transport.object("GET", f"{self.path}/diagnosis"))

    def quality(self) -> Iterator[QualityAnswer]:
        """Yield the measured steps, each with the metrics of real data and of generators without training."""
        return cast("Iterator[QualityAnswer]", self._transport.pages(f"{self.path}/quality"))

    def samples(self) -> Iterator[SampleAnswer]:
        """Yield the sampling points, by step: the same latents through all of training."""
        return cast("Iterator[SampleAnswer]", self._transport.pages(f"{self.path}/samples"))

    def checkpoints(self) -> Iterator[CheckpointAnswer]:
        """Yield the checkpoints that are kept, by step."""
        return cast("Iterator[CheckpointAnswer]", self._transport.pages(f"{self.path}/checkpoints"))

    def sample(
        self, timeout_s: float = float("inf"), *, on_progress: OnProgress = ignore, **wish: Unpack[SampleSpec]
    ) -> Samples:
        """Draw new samples and return them once they are there: as numbers (npz) unless another format is wished for.

        While that takes long, on_progress is called with how many are made, and how many there are to be.

        Raises:
            TimeoutError: they were not drawn within `timeout_s`; the service goes on, and the same wish with
                a seed finds them.
        """
        return draw(self._transport, self.path, {"format": "npz", **wish}, timeout_s, on_progress)

    def download(
        self, target: Path | str, what: str = "archive.zip", *, on_progress: OnProgress = ignore, **query: str | int
    ) -> int:
        """Write a file of the job, whole or not at all; return its size in bytes.

        `what` is its path below the job, by default everything in one: `samples/latest`, `samples/300`, `losses.svg`,
        `losses` with `format="csv"`, `timeline.gif`, `checkpoints/latest/file` with `part="ema"`.
        """
        return self._transport.download(f"{self.path}/{what}", Path(target), on_progress, **query)

    def export(
        self,
        form: str,
        target: Path | str,
        *,
        checkpoint: int | str = "latest",
        part: str | None = None,
        timeout_s: float = float("inf"),
        on_progress: OnProgress = ignore,
    ) -> int:
        """Write the generator of a checkpoint as `onnx` or for `torch_export`; return the file's size in bytes.

        Raises:
            TimeoutError: it was not rendered within `timeout_s`; the service goes on, and the same call finds it.
        """
        path = f"{self.path}/checkpoints/{checkpoint}/exports/{form}"
        wish: dict[str, Any] = {"part": part, "timeout_s": timeout_s, "on_progress": on_progress}
        return fetch_export(self._transport, path, Path(target), **wish)

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.status}, step {self.step} of {self.data['progress']['max_steps']}>"


def create_job(transport: Transport, path: str, body: Mapping[str, Any]) -> Job:
    """Create a job, once, however often the request has to be sent."""
    key = {"Idempotency-Key": str(uuid.uuid4())}
    return Job(transport, cast("JobAnswer", transport.object("POST", path, json=body, may_repeat=True, headers=key)))
