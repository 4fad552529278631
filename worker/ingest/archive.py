"""Zip files read with suspicion: bounded, unencrypted, without overlaps or nesting, and nothing extracted by name."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import TracebackType
from typing import Self
from zipfile import ZipInfo

from worker.ingest.upload import BadUpload, Limits, shown

LOCAL_HEADER_BYTES = 30  # APPNOTE.TXT 4.3.7, without name and extra field
DIRECTORY_ENTRY_BYTES = 46  # 4.3.12, likewise
END_RECORD = struct.Struct("<4s4H2LH")  # 4.3.16
END_64_RECORD = struct.Struct("<4sQ2H2L4Q")  # 4.3.14
END_64_LOCATOR = struct.Struct("<4sLQL")  # 4.3.15
LONGEST_COMMENT = 65_535
LONGEST_NAME = 1_024  # on the average, with its extra field: 200,000 names are read into memory

ENCRYPTED, METHODS = 0x1, (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
NESTED = (b"PK\x03\x04", b"PK\x05\x06", b"Rar!", b"7z\xbc\xaf", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
JUNK = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
PIECE = 2**20

# What zipfile raises at a file that lies; https://docs.python.org/3/library/zipfile.html names only the first.
_FAULTS = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, UnicodeError, ValueError,
    OverflowError, IndexError, OSError,
)  # fmt: skip


class Archive:
    """An opened zip file whose directory has been checked whole; entries are those worth reading, in their order."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._entry_bytes = limits.entry_bytes
        check_directory_size(path, limits)
        with _told_as_damage("The archive"):
            self._zip = zipfile.ZipFile(path)
        try:
            self.entries = _check_entries(self._zip, limits)
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def head(self, entry: ZipInfo, size: int = 16) -> bytes:
        """Return the first bytes of an entry."""
        with _told_as_damage(place(entry)), self._zip.open(entry) as file:
            return file.read(size)

    def read(self, entry: ZipInfo) -> bytes:
        """Return an entry whole, which must be small enough for that; its checksum has been compared."""
        if entry.file_size > self._entry_bytes:
            message = f"{place(entry)} unpacks to {entry.file_size:,} bytes; at most {self._entry_bytes:,} are taken."
            raise BadUpload("entry_too_large", message)
        return b"".join(self.pieces(entry))

    def pieces(self, entry: ZipInfo) -> Iterator[bytes]:
        """Yield an entry piece by piece."""
        size = 0
        with _told_as_damage(place(entry)), self._zip.open(entry) as file:
            while piece := file.read(PIECE):
                size += len(piece)
                yield piece
        if size != entry.file_size:
            raise BadUpload("damaged", f"{place(entry)} is not as long as the archive says.")


def place(entry: ZipInfo) -> str:
    """Name an entry in a sentence."""
    return f"The entry {shown(entry.filename)}"


def folder_of(entry: ZipInfo) -> str:
    """Return the name of the folder that an entry lies in: its class."""
    return PurePosixPath(entry.filename).parent.name


def check_directory_size(path: Path, limits: Limits) -> None:
    """Raise BadUpload unless the directory is of a bounded size: zipfile reads all of it at once."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        tail_at = max(0, size - LONGEST_COMMENT - END_RECORD.size)
        file.seek(tail_at)
        tail = file.read()
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) - at < END_RECORD.size:
            raise BadUpload(
                "damaged", "The zip file ends before its directory; it was probably cut off. Send it again."
            )
        *_, count, directory_bytes, _, _ = END_RECORD.unpack_from(tail, at)
        locator = tail[max(0, at - END_64_LOCATOR.size) : at]
        if locator[:4] == b"PK\x06\x07" and len(locator) == END_64_LOCATOR.size:
            file.seek(min(size, END_64_LOCATOR.unpack(locator)[2]))
            record = file.read(END_64_RECORD.size)
            if record[:4] == b"PK\x06\x06" and len(record) == END_64_RECORD.size:
                *_, count, directory_bytes, _ = END_64_RECORD.unpack(record)
    if count > limits.entries or directory_bytes > limits.entries * (DIRECTORY_ENTRY_BYTES + LONGEST_NAME):
        raise BadUpload(
            "too_many_entries", f"The zip file has {count:,} entries; at most {limits.entries:,} are taken."
        )


def _check_entries(archive: zipfile.ZipFile, limits: Limits) -> list[ZipInfo]:
    every = archive.infolist()
    if len(every) > limits.entries:
        raise BadUpload(
            "too_many_entries", f"The zip file has {len(every):,} entries; at most {limits.entries:,} are taken."
        )
    _check_overlaps(every, archive.start_dir)
    _check_sizes(every, limits)
    for entry in every:
        _check_entry(entry)
    return [entry for entry in every if not entry.is_dir() and not _is_junk(entry)]


def _check_overlaps(entries: list[ZipInfo], directory_at: int) -> None:
    """Refuse entries that share bytes: so a small file can claim to hold a large one a thousand times."""
    spans = sorted((entry.header_offset, _least_end(entry), place(entry)) for entry in entries)
    for number, (start, end, name) in enumerate(spans, 1):
        next_start = spans[number][0] if number < len(spans) else directory_at
        if start < 0 or end > next_start:
            raise BadUpload("overlapping_entries", f"{name} overlaps another part of the zip file.")


def _least_end(entry: ZipInfo) -> int:
    return entry.header_offset + LOCAL_HEADER_BYTES + entry.compress_size


def _check_sizes(entries: list[ZipInfo], limits: Limits) -> None:
    packed, unpacked = sum(entry.compress_size for entry in entries), sum(entry.file_size for entry in entries)
    if unpacked > limits.prepared_bytes:
        raise BadUpload(
            "too_large", f"The zip file unpacks to {unpacked:,} bytes; {limits.prepared_bytes:,} are taken."
        )
    if unpacked > limits.ratio_free_bytes + limits.ratio * packed:
        message = f"The zip file unpacks to more than {limits.ratio} times its size, which data hardly ever does."
        raise BadUpload("suspicious_ratio", message)


def _check_entry(entry: ZipInfo) -> None:
    name, mode = place(entry), entry.external_attr >> 16
    parts = PurePosixPath(entry.filename.replace("\\", "/")).parts
    if ".." in parts or PureWindowsPath(entry.filename).anchor or "\0" in entry.orig_filename:
        raise BadUpload("unsafe_name", f"{name} has a name that leads out of the archive.")
    if stat.S_ISLNK(mode) or (stat.S_IFMT(mode) and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))):
        raise BadUpload("special_entry", f"{name} is a link or a device; an archive of data holds files alone.")
    if entry.flag_bits & ENCRYPTED:
        raise BadUpload("encrypted", f"{name} is encrypted; send the archive without a password.")
    if entry.compress_type not in METHODS:
        raise BadUpload("unknown_compression", f"{name} is compressed by another method than deflate.")


def _is_junk(entry: ZipInfo) -> bool:
    parts = PurePosixPath(entry.filename).parts
    return not parts or any(part in JUNK for part in parts) or parts[-1].startswith("._")


@contextmanager
def _told_as_damage(name: str) -> Iterator[None]:
    try:
        yield
    except _FAULTS as error:
        raise BadUpload("damaged", f"{name} cannot be read: {shown(error)}.") from None
