"""Which format an upload has, told from its first bytes and never from its name."""

from collections.abc import Callable
from pathlib import Path

from service.spec.facts import DatasetFacts
from worker.ingest.archive import NESTED, Archive
from worker.ingest.bench import Bench
from worker.ingest.idx import GZIP_MAGIC, is_gzipped_idx, looks_like_idx, prepare_idx, prepare_idx_archive
from worker.ingest.npy import MAGIC as NPY_MAGIC
from worker.ingest.npz import prepare_npy, prepare_npz
from worker.ingest.parquet import MAGIC as PARQUET_MAGIC
from worker.ingest.parquet import prepare_parquet
from worker.ingest.photos import prepare_photos
from worker.ingest.separated import prepare_separated
from worker.ingest.sounds import prepare_sound, prepare_sounds
from worker.ingest.upload import TAKEN, BadUpload, shown

ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
PNG_MAGIC, JPEG_MAGIC = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
HEAD_BYTES = 512

# What people send instead, and what to do about it.
KNOWN_OTHERS = (
    (PNG_MAGIC, "one PNG picture; put all pictures into a zip file"),
    (JPEG_MAGIC, "one JPEG picture; put all pictures into a zip file"),
    (b"GIF8", "a GIF; send a zip of PNG or JPEG pictures"),
    (b"%PDF", "a PDF; send a table as CSV or Parquet"),
    (b"\xff\xfe", "UTF-16 text; save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text; save it as UTF-8"),
    (b"fLaC", "FLAC; convert it to WAV"),
    (b"OggS", "Ogg; convert it to WAV"),
    (b"ID3", "MP3; convert it to WAV"),
    (b"RF64", "a WAV of more than 4 GiB; cut it into a zip of several"),
    (b"\x80\x04\x95", "a Python pickle, which can carry code; save arrays as npz"),
    (b"\x89HDF", "HDF5; save arrays as npz or tables as Parquet"),
    (b"\x1f\x8b", "gzip data other than IDX; unpack it first"),
    (b"{", "JSON; send a table as CSV or Parquet"),
    (b"[", "JSON; send a table as CSV or Parquet"),
)


def prepare_any(bench: Bench, path: Path) -> DatasetFacts:
    """Prepare a file by what its bytes say it is."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise BadUpload("empty", f"The file is empty; send {TAKEN}.")
    if head.startswith(ZIP_MAGICS):
        with Archive(path, bench.limits) as archive:
            return _choose_archive(archive)(bench, archive)
    return _choose_file(head)(bench, path)


def _choose_file(head: bytes) -> Callable[[Bench, Path], DatasetFacts]:
    if head.startswith(NPY_MAGIC):
        return prepare_npy
    if head.startswith(PARQUET_MAGIC):
        return prepare_parquet
    if _is_wave(head):
        return prepare_sound
    if looks_like_idx(head) or (head.startswith(GZIP_MAGIC) and is_gzipped_idx(head)):
        return prepare_idx
    _refuse_known(head, "The file is")
    if b"\0" in head.partition(b"\n")[0]:
        raise BadUpload("unknown_format", f"The file is none that can be read; send {TAKEN}.")
    return prepare_separated


def _choose_archive(archive: Archive) -> Callable[[Bench, Archive], DatasetFacts]:
    """Choose by the first entry; the others are held to it when they are read."""
    if not archive.entries:
        raise BadUpload("empty", "The zip file holds no files.")
    first = archive.entries[0]
    head = archive.head(first, HEAD_BYTES)
    if head.startswith((PNG_MAGIC, JPEG_MAGIC)):
        return prepare_photos
    if head.startswith(NPY_MAGIC):
        return prepare_npz
    if _is_wave(head):
        return prepare_sounds
    if looks_like_idx(head) or head.startswith(GZIP_MAGIC):
        return prepare_idx_archive
    name = f"The entry {shown(first.filename)}"
    if first.filename == "[Content_Types].xml":
        raise BadUpload("unknown_format", "The file is an Office document; save the table as CSV.")
    if head.startswith(NESTED):
        raise BadUpload("nested_archive", f"{name} is an archive itself; put the files into one zip directly.")
    _refuse_known(head, f"{name} is")
    raise BadUpload("unknown_format", f"{name} is no PNG, JPEG, WAV, npy or IDX file.")


def _is_wave(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"WAVE"


def _refuse_known(head: bytes, subject: str) -> None:
    for magic, meaning in KNOWN_OTHERS:
        if head.startswith(magic):
            raise BadUpload("unknown_format", f"{subject} {meaning}.")
