"""Samples on demand in the client: as a file, or as numpy arrays."""

import io
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from ganymede.transport import LONG_POLL_S, RETRY_S, OnProgress, Transport, write_whole

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


FORMATS = frozenset({"png", "csv", "wav", "npz", "parquet", "zip", "gif"})
SOON_S = 2.0  # within which most samples are drawn; who waits longer hears how far they are


class SampleSpec(TypedDict, total=False):
    """Which samples are wanted, as POST /jobs/ID/samples takes it; all may be left out."""

    n: int
    seed: int
    mode: str
    keys: int
    closed: bool
    latents: Sequence[Sequence[float]]
    fps: float
    classes: Sequence[str | int]
    where: Mapping[str, Any]
    truncation: float
    checkpoint: int | str
    part: str
    format: str


class Samples:
    """Samples that were drawn. The same seed with the same wish gives the same bytes."""

    def __init__(self, transport: Transport, location: str, *, seed: int, format: str, content: bytes | None) -> None:
        self._transport = transport
        self._location = location
        self._content = content  # None where it has not come yet
        self.seed = seed
        self.format = format

    def download(self, target: Path | str) -> int:
        """Write the file; return its size in bytes. Raises ValueError where its name speaks of another format."""
        target = Path(target)
        if (named := target.suffix[1:]) in FORMATS - {self.format}:
            raise ValueError(f"{target.name}: these samples are {self.format}; ask for them with format={named!r}")
        if self._content is not None:
            return write_whole(target, [self._content])
        return self._transport.download(f"{self._location}/file", target)

    def delete(self) -> None:
        """Remove the samples from the service."""
        self._transport.send("DELETE", self._location)

    def to_numpy(self) -> "dict[str, NDArray[np.generic]]":
        """Return `samples` (N, ...) in the data's units; with classes `labels` (N,) and `label_names`; `sample_rate`.

        Raises ValueError where the samples were asked for in another format than npz.
        """
        import numpy as np

        if self.format != "npz":
            raise ValueError(f"these samples are {self.format}; ask for them with format='npz'")
        if self._content is None:
            self._content = self._transport.send("GET", f"{self._location}/file").content
        with np.load(io.BytesIO(self._content)) as arrays:
            return dict(arrays)


def draw(transport: Transport, path: str, wish: SampleSpec, timeout_s: float, on_progress: OnProgress) -> Samples:
    """Ask for samples of a job and wait until they are drawn; raises TimeoutError, or GanymedeProblem for why not."""
    deadline_s = time.monotonic() + timeout_s
    wait = {"wait": min(SOON_S, timeout_s)}
    answer = transport.send("POST", f"{path}/samples", json=wish, params=wait)
    location, is_there = answer.headers["Location"], answer.status_code != HTTPStatus.ACCEPTED
    if not is_there:
        try:
            _await(transport, location, answer.json(), deadline_s, on_progress)
        except KeyboardInterrupt:  # whoever interrupts it wants them no more
            transport.send("DELETE", location)
            raise
    return Samples(
        transport,
        location,
        seed=int(answer.headers["Sample-Seed"]),
        format=wish["format"],
        content=answer.content if is_there else None,
    )


def _await(
    transport: Transport, location: str, order: dict[str, Any], deadline_s: float, on_progress: OnProgress
) -> None:
    """Wait until samples are ready; raise why there are none."""
    while order["status"] in {"queued", "rendering"}:
        on_progress(order["progress"]["made"], order["progress"]["n"])
        if (left_s := deadline_s - time.monotonic()) <= 0:
            raise TimeoutError(f"{order['id']} is still {order['status']}")
        before, query = order["version"], {"wait": min(LONG_POLL_S, left_s), "since": order["version"]}
        order = transport.object("GET", location, params=query)
        if order["version"] == before:
            time.sleep(RETRY_S)  # more clients wait than the service has threads for
    if order["status"] == "failed":
        transport.send("GET", f"{location}/file")  # which is refused, and tells why
