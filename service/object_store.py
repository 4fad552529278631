"""Blobs in an object store, S3-compatible or in memory. Other places for blobs are in service.blobs."""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from service.errors import BlobMissing, StorageAway

HIDDEN = "."  # begins the names of what is no job's
_RANGE_BYTES = 4 * 2**20  # of an object, fetched at once


class ObjectStore:
    """Blobs in an object store by way of obstore, whose puts are atomic and durable. Must not be used before a fork."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def put(self, key: str, data: bytes) -> None:
        with _told_as_ours():
            self._store.put(key, data)

    def put_lightly(self, key: str, data: bytes) -> None:
        self.put(key, data)

    def put_pieces(self, key: str, pieces: Iterable[bytes | memoryview]) -> None:
        with _told_as_ours():
            self._store.put(key, iter(pieces), use_multipart=True)

    def open(self, key: str) -> io.BufferedIOBase:
        from obstore import open_reader

        try:
            with _told_as_ours():
                return io.BufferedReader(_ObjectReader(open_reader(self._store, key, buffer_size=_RANGE_BYTES)))
        except FileNotFoundError:
            raise BlobMissing(f"{key} is not in the blob store") from None

    def delete(self, key: str) -> None:
        with suppress(FileNotFoundError), _told_as_ours():
            self._store.delete(key)

    def list(self, prefix: str = "") -> Iterator[str]:
        with _told_as_ours():
            for batch in self._store.list(prefix.rpartition("/")[0] or None):
                paths = [entry["path"] for entry in batch]
                yield from (path for path in paths if path.startswith(prefix) and not path.startswith(HIDDEN))

    def list_directories(self, prefix: str = "") -> Iterator[str]:
        with _told_as_ours():
            for path in self._store.list_with_delimiter(prefix.rstrip("/") or None)["common_prefixes"]:
                yield path.rpartition("/")[2]

    def tidy(self, prefix: str) -> None:
        return  # an object appears whole or not at all, and its directories are only part of its name


class _ObjectReader(io.RawIOBase):
    """An object that is read range by range. One long answer would run into the time a request may take."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _told_as_ours():
            data = memoryview(self._file.read(len(buffer)))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with _told_as_ours():
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())


@contextmanager
def _told_as_ours() -> Iterator[None]:
    """Raise StorageAway for what the library reports. A missing object is a FileNotFoundError already."""
    from obstore.exceptions import BaseError

    try:
        yield
    except BaseError as error:
        raise StorageAway("the object store does not answer as it should") from error
