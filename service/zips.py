"""Zip files made while they are sent: no entry is ever whole in memory, and equal content gives equal bytes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
_READABLE = 0o644 << 16
_DENSE = frozenset({"npz", "parquet", "png", "safetensors", "wav", "zip"})  # suffixes of what hardly shrinks


@dataclass(frozen=True)
class Entry:
    """A file of a zip. size_bytes, of which it has no more, decides whether its header has room for large sizes."""

    name: str
    pieces: Iterable[bytes]
    size_bytes: int


class _Sink:
    """Takes what a zip writes and hands it on. That it cannot be sought in, ZipFile finds out by itself."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._written.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Keep everything until it is taken."""

    def take(self) -> bytes:
        taken = b"".join(self._written)
        self._written.clear()
        return taken


def stream_zip(entries: Iterable[Entry]) -> Iterator[bytes]:
    """Yield the bytes of a zip. What an entry raises is raised, and breaks the zip off where it is."""
    sink = _Sink()
    with ZipFile(sink, "w") as archive:  # type: ignore[call-overload]
        for entry in entries:
            with archive.open(_header_of(entry), "w") as file:
                for piece in entry.pieces:
                    file.write(piece)
                    yield sink.take()
    yield sink.take()


def _header_of(entry: Entry) -> ZipInfo:
    header = ZipInfo(entry.name, _DATE)
    header.compress_type = ZIP_STORED if entry.name.rpartition(".")[2] in _DENSE else ZIP_DEFLATED
    header.external_attr = _READABLE
    header.file_size = entry.size_bytes
    return header
