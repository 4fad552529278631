"""Where files are kept: a directory, or an object store (service.object_store), behind one small interface.

Bytes become visible only through a database row written after `put` has returned, so a half-written blob is never seen.
"""

import errno
import hashlib
import io
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol
from urllib.parse import urlsplit

import numpy as np

from service.crashpoints import crash_point
from service.errors import BlobDamaged, BlobMissing
from service.object_store import HIDDEN, ObjectStore

if TYPE_CHECKING:
    from obstore.store import RetryConfig

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a disk, a quota, or what a file may hold is full

# Whoever uses the store waits for it, in a way of its own: what is asked of it ends soon when it is away.
_RETRYING: "RetryConfig" = {"max_retries": 2, "retry_timeout": timedelta(seconds=15)}

Piece = bytes | memoryview  # of bytes

_TEMPORARY = ".tmp-"
_PIECE_BYTES = 2**20
_SYNC_BYTES = 64 * 2**20  # written to the disk as they come, so that the last wait for it is short


class BlobStore(Protocol):
    """Keys are relative paths made by `blob_key`; never anything a client sent."""

    def put(self, key: str, data: bytes) -> None:
        """Store bytes durably; on return they survive a crash of the machine."""

    def put_lightly(self, key: str, data: bytes) -> None:
        """Store bytes that can be made again: whole on return, but a crash of the machine may take or damage them."""

    def put_pieces(self, key: str, pieces: Iterable[Piece]) -> None:
        """Store bytes as they come, as durably as `put`. What the pieces raise is raised, and nothing is left."""

    def open(self, key: str) -> io.BufferedIOBase:
        """Return a seekable reader; raise BlobMissing."""

    def delete(self, key: str) -> None:
        """Remove a blob; one that is not there is no error."""

    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the keys that begin with a prefix; those that begin with a dot are no job's and are left out."""

    def list_directories(self, prefix: str = "") -> Iterator[str]:
        """Yield the names right under a prefix, empty or ending in a slash, that have something under them."""

    def tidy(self, prefix: str) -> None:
        """Remove what broken-off puts have left, and empty directories, where nobody may write any more."""


def make_blobs(url: str) -> BlobStore:
    """Return the store of a file://, s3:// or memory:// URL. S3 credentials come from the usual AWS_* variables."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Directory(Path(parts.path))
    if parts.scheme == "memory":
        from obstore.store import MemoryStore

        return ObjectStore(MemoryStore())
    if parts.scheme == "s3":
        from obstore.store import S3Store

        return ObjectStore(S3Store.from_url(url, retry_config=_RETRYING))
    raise ValueError(f"the blob store must be a file://, s3:// or memory:// URL, not {url!r}")


def blob_key(job_id: str, attempt: int, name: str, sha256: str) -> str:
    """Return the key of a job's file. The attempt and the content's hash in it keep two attempts from ever clashing."""
    stem, dot, suffix = name.rpartition(".")
    return f"{job_id}/{attempt}/{stem}-{sha256[:16]}{dot}{suffix}"


def sha256_of(data: bytes) -> str:
    """Return the SHA-256 of bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def store_file(blobs: BlobStore, *, job_id: str, attempt: int, name: str, pieces: Sequence[Piece]) -> dict[str, Any]:
    """Store a job's file that lies in memory in pieces, without a copy of it; return what a row records of it."""
    file = _describe(job_id, attempt, name, pieces)
    blobs.put_pieces(file["key"], pieces)
    return file


def store_lightly(blobs: BlobStore, *, job_id: str, attempt: int, name: str, data: bytes) -> dict[str, Any]:
    """Store a file that can be made again as store_file does, without waiting until it would survive a crash."""
    file = _describe(job_id, attempt, name, (data,))
    blobs.put_lightly(file["key"], data)
    return file


def _describe(job_id: str, attempt: int, name: str, pieces: Sequence[Piece]) -> dict[str, Any]:
    """Return what a row records of a file: key, size and SHA-256."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    key = blob_key(job_id, attempt, name, digest.hexdigest())
    return {"key": key, "size": sum(map(len, pieces)), "sha256": digest.hexdigest()}


def store_pieces(blobs: BlobStore, key: str, pieces: Iterable[bytes]) -> dict[str, Any]:
    """Store bytes as they come and return what a row records of them. The key must be of this attempt alone."""
    digest, size = hashlib.sha256(), 0

    def counted() -> Iterator[bytes]:
        nonlocal size
        for piece in pieces:
            digest.update(piece)
            size += len(piece)
            yield piece

    blobs.put_pieces(key, counted())
    return {"key": key, "size": size, "sha256": digest.hexdigest()}


def read_pieces(blobs: BlobStore, key: str) -> Iterator[bytes]:
    """Yield a blob piece by piece; raise BlobMissing."""
    with blobs.open(key) as reader:
        while piece := reader.read(_PIECE_BYTES):
            yield piece


def read_verified(blobs: BlobStore, file: dict[str, Any]) -> bytes:
    """Return the bytes of a recorded file; raise BlobMissing, or BlobDamaged when their hash differs."""
    with blobs.open(file["key"]) as reader:
        data = reader.read()
    if sha256_of(data) != file["sha256"]:
        raise BlobDamaged(f"{file['key']} does not have its recorded hash")
    return data


def open_verified(blobs: BlobStore, file: dict[str, Any]) -> io.BufferedIOBase:
    """Return a reader of bytes that have the recorded hash; raise BlobMissing or BlobDamaged. Hashes in pieces."""
    with ExitStack() as stack:
        reader = stack.enter_context(blobs.open(file["key"]))
        if hashlib.file_digest(reader, "sha256").hexdigest() != file["sha256"]:
            raise BlobDamaged(f"{file['key']} does not have its recorded hash")
        reader.seek(0)
        stack.pop_all()  # the caller closes it
    return reader


def verify(blobs: BlobStore, file: dict[str, Any]) -> None:
    """Raise BlobMissing or BlobDamaged unless the stored bytes have the recorded hash."""
    open_verified(blobs, file).close()


def compare(blobs: BlobStore, key: str, pieces: Iterable[Piece]) -> None:
    """Raise BlobMissing or BlobDamaged unless the stored bytes are these; a third of the work of another hash."""
    read = np.empty(_PIECE_BYTES, np.uint8)
    with blobs.open(key) as reader:
        for piece in pieces:
            whole = np.frombuffer(piece, np.uint8)
            for part in np.split(whole, range(_PIECE_BYTES, len(whole), _PIECE_BYTES)):
                if reader.readinto(read[: len(part)].data) != len(part) or not np.array_equal(read[: len(part)], part):
                    raise BlobDamaged(f"{key} does not hold what was stored")
        if reader.read(1):
            raise BlobDamaged(f"{key} holds more than was stored")


class Directory:
    """Blobs as files of a directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, data: bytes) -> None:
        self.put_pieces(key, (data,))

    def put_lightly(self, key: str, data: bytes) -> None:
        target = self._path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        with _replacing(target) as temporary:
            temporary.write_bytes(data)

    def put_pieces(self, key: str, pieces: Iterable[Piece]) -> None:
        target = self._path(key)
        _make_directories(target.parent)
        with _replacing(target) as temporary:
            with temporary.open("xb") as file:
                _write_all(file, pieces)
                file.flush()
                os.fsync(file.fileno())
            crash_point("save.written")
        crash_point("save.renamed")
        _fsync_directory(target.parent)

    def open(self, key: str) -> io.BufferedIOBase:
        try:
            return self._path(key).open("rb")
        except FileNotFoundError:
            raise BlobMissing(f"{key} is not in the blob store") from None

    def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def list(self, prefix: str = "") -> Iterator[str]:
        # os.walk passes over directories that somebody removes meanwhile.
        for directory, _, names in os.walk(self._root / prefix.rpartition("/")[0]):
            for name in sorted(names):
                key = Path(directory, name).relative_to(self._root).as_posix()
                if key.startswith(prefix) and not name.startswith(HIDDEN):
                    yield key

    def list_directories(self, prefix: str = "") -> Iterator[str]:
        with suppress(FileNotFoundError):
            yield from sorted(path.name for path in self._path(prefix).iterdir() if path.is_dir())

    def tidy(self, prefix: str) -> None:
        for directory, _, names in os.walk(self._path(prefix), topdown=False):
            for name in names:
                if name.startswith(_TEMPORARY):
                    Path(directory, name).unlink(missing_ok=True)
            with suppress(OSError):  # it is not empty, or somebody else has removed it
                Path(directory).rmdir()

    def path_of(self, key: str) -> Path:
        """Return where a blob lies, for who maps it into memory."""
        return self._path(key)

    def _path(self, key: str) -> Path:
        path = self._root / key
        if not path.is_relative_to(self._root) or ".." in path.parts:
            raise ValueError(f"{key!r} is not a blob key")
        return path


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """Yield where to write what takes the place of a file at the end; what is broken off leaves nothing."""
    temporary = target.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")
    try:
        yield temporary
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _write_all(file: BinaryIO, pieces: Iterable[Piece]) -> None:
    unsynced = 0
    for piece in pieces:
        file.write(piece)
        unsynced += len(piece)
        if unsynced >= _SYNC_BYTES:
            file.flush()
            os.fdatasync(file.fileno())
            unsynced = 0


def _make_directories(directory: Path) -> None:
    """Create a directory and its parents so that their names survive a crash, too."""
    if directory.is_dir():
        return
    _make_directories(directory.parent)
    directory.mkdir(exist_ok=True)
    _fsync_directory(directory.parent)


def _fsync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
