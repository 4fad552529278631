"""Uploaded data sets in the client: `client.datasets`."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypedDict, cast

from ganymede.transport import RETRY_S, Transport

SETTLED = frozenset({"ready", "failed"})
LONG_POLL_S = 20.0
PIECE_BYTES = 256 * 1024
UPLOAD_TIMEOUT_S = 300.0  # for the service to write a large file to its disk once it has it all


class Dataset(TypedDict):
    """A data set as the service shows it."""

    id: str
    name: str | None
    builtin: bool
    status: str
    version: int
    sha256: str | None
    size_bytes: int | None
    stored_bytes: int
    content: dict[str, Any] | None
    warnings: list[dict[str, str]]
    error: dict[str, str] | None
    created_at: str | None
    finished_at: str | None
    links: dict[str, str]


class Datasets:
    """What a job can be trained on."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def upload(
        self,
        file: Path,
        *,
        name: str | None = None,
        modality: str | None = None,
        on_progress: Callable[[int], object] = lambda _: None,
        **options: str | float | None,
    ) -> Dataset:
        """Send a file in pieces, however large; the same bytes with the same options are one data set.

        on_progress is called with the bytes of each piece. An upload that breaks off leaves nothing; call it again.
        """
        said = {"name": name or file.name, "modality": modality, **options}
        answer = self._transport.send(
            "POST",
            "/datasets",
            params={key: value for key, value in said.items() if value is not None},
            headers={"Content-Type": "application/octet-stream", "Content-Length": str(file.stat().st_size)},
            content=_pieces(file, on_progress),
            timeout=UPLOAD_TIMEOUT_S,
        )
        return cast("Dataset", answer.json())

    def show(self, dataset_id: str) -> Dataset:
        """Return a data set as it is now."""
        return self._show(dataset_id, {})

    def list(self) -> Iterator[Dataset]:
        """Yield your data sets, newest first, then the built-in ones."""
        return cast("Iterator[Dataset]", self._transport.pages("/datasets"))

    def wait(self, dataset_id: str, timeout_s: float = float("inf")) -> Dataset:
        """Return the data set once it is ready or has failed.

        Raises:
            TimeoutError: it was neither within `timeout_s`.
        """
        deadline_s = time.monotonic() + timeout_s
        dataset = self.show(dataset_id)
        while dataset["status"] not in SETTLED:
            if (left_s := deadline_s - time.monotonic()) <= 0:
                raise TimeoutError(f"{dataset_id} is still {dataset['status']} after {timeout_s:g} s")
            before, wait_s = dataset["version"], min(LONG_POLL_S, left_s)
            dataset = self._show(dataset_id, {"wait": f"{wait_s:.3f}", "since": str(before)})
            if dataset["version"] == before:
                time.sleep(min(RETRY_S, left_s))  # more clients wait than the service has threads for
        return dataset

    def preview(self, dataset_id: str, target: Path) -> int:
        """Write the preview of a ready data set, a PNG or a CSV, to a file; return its size in bytes."""
        return self._transport.download(f"/datasets/{dataset_id}/preview", target)

    def delete(self, dataset_id: str) -> None:
        """Remove an uploaded data set that no live job needs."""
        self._transport.send("DELETE", f"/datasets/{dataset_id}")

    def _show(self, dataset_id: str, query: dict[str, str]) -> Dataset:
        return cast("Dataset", self._transport.object("GET", f"/datasets/{dataset_id}", params=query))


def _pieces(file: Path, on_progress: Callable[[int], object]) -> Iterator[bytes]:
    with file.open("rb") as reader:
        while piece := reader.read(PIECE_BYTES):
            yield piece
            on_progress(len(piece))
