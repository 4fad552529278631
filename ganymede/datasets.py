"""Uploaded data sets in the client: `client.datasets`."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self, cast

from ganymede.answers import DatasetEntry
from ganymede.resource import Resource, path_of, without_none
from ganymede.transport import LONG_POLL_S, RETRY_S, OnProgress, Transport, ignore

SETTLED = frozenset({"ready", "failed"})
PIECE_BYTES = 256 * 1024
UPLOAD_TIMEOUT_S = 300.0  # for the service to write a large file to its disk once it has it all


class Dataset(Resource[DatasetEntry]):
    """Data that a job can be trained on."""

    @property
    def status(self) -> str:
        """What was heard last: preparing, ready or failed."""
        return self.data["status"]

    def refresh(self, wait_s: float = 0.0) -> Self:
        """Hear of the data set again: as soon as it has changed, or as it is after `wait_s`."""
        since = str(self.data["version"])
        return self._ask("GET", params={"wait": f"{wait_s:.3f}", "since": since} if wait_s else {})

    def wait(self, timeout_s: float = float("inf")) -> Self:
        """Return once the data set is ready or has failed.

        Raises:
            TimeoutError: it was neither within `timeout_s`.
        """
        deadline_s = time.monotonic() + timeout_s
        while self.status not in SETTLED:
            if (left_s := deadline_s - time.monotonic()) <= 0:
                raise TimeoutError(f"{self.id} is still {self.status} after {timeout_s:g} s")
            before = self.data["version"]
            if self.refresh(min(LONG_POLL_S, left_s)).data["version"] == before:
                time.sleep(min(RETRY_S, left_s))  # more clients wait than the service has threads for
        return self

    def preview(self, target: Path | str) -> int:
        """Write the preview of the ready data set, a PNG or a CSV, to a file; return its size in bytes."""
        return self._transport.download(f"{self.path}/preview", Path(target))

    def delete(self) -> None:
        """Remove the data set, which no live job needs."""
        self._transport.send("DELETE", self.path)


class Datasets:
    """What a job can be trained on: your own, and the built-in ones."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def upload(
        self,
        file: Path | str,
        *,
        name: str | None = None,
        modality: str | None = None,
        on_progress: OnProgress = ignore,
        **options: str | float | None,
    ) -> Dataset:
        """Send a file in pieces, however large; the same bytes with the same options are one data set.

        Options are `label`, `sample_rate` and `seconds`. An upload that breaks off leaves nothing; call it again.
        """
        file = Path(file)
        answer = self._transport.send(
            "POST",
            "/datasets",
            params=without_none(name=name or file.name, modality=modality, **options),
            headers={"Content-Type": "application/octet-stream", "Content-Length": str(file.stat().st_size)},
            content=_pieces(file, on_progress),
            timeout=UPLOAD_TIMEOUT_S,
        )
        return self._made(answer.json())

    def get(self, dataset_id: str) -> Dataset:
        """Return a data set as it is now."""
        return self._made(self._transport.object("GET", path_of("datasets", dataset_id)))

    def list(self) -> Iterator[Dataset]:
        """Yield your data sets, newest first, then the built-in ones."""
        return map(self._made, self._transport.pages("/datasets"))

    def _made(self, answer: dict[str, Any]) -> Dataset:
        return Dataset(self._transport, cast("DatasetEntry", answer))


def _pieces(file: Path, on_progress: OnProgress) -> Iterator[bytes]:
    total, sent = file.stat().st_size, 0
    with file.open("rb") as reader:
        while piece := reader.read(PIECE_BYTES):
            yield piece
            sent += len(piece)
            on_progress(sent, total)
