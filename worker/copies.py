"""Prepared files of data sets on this machine, where blobs are elsewhere: fetched once, and kept within a bound."""

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

from service.blobs import BlobStore, Directory, read_pieces
from service.errors import BlobDamaged


class Copies:
    """A directory that processes share. Within its `with` block a process keeps all that it has asked for; of the
    others the least recently used go first, once all together take more than `most_bytes`.
    """

    def __init__(self, blobs: BlobStore, directory: Path, most_bytes: int) -> None:
        self._blobs, self._directory, self._most_bytes = blobs, directory, most_bytes
        self._held = ExitStack()  # of open files, locked until they are closed, which the end of a process does too

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def path_of(self, file: dict[str, Any]) -> Path:
        """Return where a recorded file lies on this machine; raise BlobMissing, or BlobDamaged when it is another.

        A file of a directory is looked at where it is and not hashed: the data is opened with each attempt, and may be
        larger than what can be read in a minute.
        """
        if isinstance(self._blobs, Directory):
            path = self._blobs.path_of(file["key"])
            if path.stat().st_size != file["size"]:
                raise BlobDamaged(f"{file['key']} does not have its recorded size")
            return path
        path = self._directory / f"{file['sha256']}.npy"
        while not self._hold(path, file["size"]):
            self._fetch(file, path)
        return path

    def _hold(self, path: Path, size_bytes: int) -> bool:
        """Keep a copy from being removed; False when there is none, or only a part of it."""
        try:
            copy = path.open("rb")
        except FileNotFoundError:
            return False
        fcntl.flock(copy, fcntl.LOCK_SH)
        # Somebody may have removed it between the two lines; whoever does so holds it alone.
        if os.fstat(copy.fileno()).st_nlink == 0 or os.fstat(copy.fileno()).st_size != size_bytes:
            copy.close()
            return False
        os.utime(copy.fileno())
        self._held.enter_context(copy)
        return True

    def _fetch(self, file: dict[str, Any], path: Path) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._make_room(file["size"])
        digest = hashlib.sha256()
        with _unfinished(self._directory) as copy:
            for piece in read_pieces(self._blobs, file["key"]):
                digest.update(piece)
                copy.write(piece)
            copy.flush()
            if digest.hexdigest() != file["sha256"]:
                raise BlobDamaged(f"{file['key']} does not have its recorded hash")
            Path(copy.name).replace(path)

    def _make_room(self, size_bytes: int) -> None:
        """Remove copies that nobody uses, and what a killed process has left of one, until so much more may come."""
        found = [(path.stat(), path) for path in self._directory.iterdir() if path.is_file()]
        excess_bytes = size_bytes + sum(stat.st_size for stat, _ in found) - self._most_bytes
        for stat, path in sorted(found, key=lambda each: each[0].st_mtime_ns):
            if excess_bytes <= 0:
                return
            if _remove_unless_held(path):
                excess_bytes -= stat.st_size


@contextmanager
def _unfinished(directory: Path) -> Iterator[BinaryIO]:
    """Open a file under a name of its own, which is removed unless the caller has given it another."""
    path = directory / f".{secrets.token_hex(8)}"
    try:
        with path.open("xb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            yield file
    finally:
        path.unlink(missing_ok=True)


def _remove_unless_held(path: Path) -> bool:
    with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as copy:
        fcntl.flock(copy, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
        return True
    return False
