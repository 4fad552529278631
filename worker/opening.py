"""The data of an attempt, opened: built-in by name, uploaded from its prepared files, which lie on this machine."""

import hashlib
import secrets
from pathlib import Path
from typing import Any

from service.blobs import BlobStore, Directory, read_pieces
from service.errors import BlobDamaged
from service.spec.job import DatasetRef
from worker.attempt import Prepared
from worker.gan.data.prepared import open_prepared
from worker.gan.data.registry import open_dataset
from worker.gan.data.split import Split
from worker.gan.data.training_data import DatasetChanged, TrainingData


def open_data(
    ref: DatasetRef, prepared: Prepared | None, split: Split, *, blobs: BlobStore, cache: Path
) -> TrainingData:
    """Open a data set; raises DatasetChanged when it is not the content that the spec was made for."""
    if prepared is None:
        return open_dataset(ref, split)
    if ref.sha256 not in (None, prepared.facts.sha256):
        raise DatasetChanged(ref.name, str(ref.sha256), prepared.facts.sha256)
    rows, labels = (find_locally(prepared.files.get(part), blobs, cache) for part in ("rows", "labels"))
    if rows is None:
        raise BlobDamaged(f"{ref.name} has no rows")
    return open_prepared(prepared.facts, rows, labels, split)


def find_locally(file: dict[str, Any] | None, blobs: BlobStore, cache: Path) -> Path | None:
    """Return the path of a recorded file on this machine, fetched once into the cache when blobs are elsewhere.

    Raises BlobDamaged when its size, or the hash of what was fetched, is not the recorded one. A file of a directory is
    not hashed: the data is opened with each attempt, and may be larger than what can be read in a minute.
    """
    if file is None:
        return None
    path = blobs.path_of(file["key"]) if isinstance(blobs, Directory) else cache / f"{file['sha256']}.npy"
    if not isinstance(blobs, Directory) and not path.exists():
        _fetch(file, blobs, path)
    if path.stat().st_size != file["size"]:
        raise BlobDamaged(f"{file['key']} does not have its recorded size")
    return path


def _fetch(file: dict[str, Any], blobs: BlobStore, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(8)}")
    digest = hashlib.sha256()
    try:
        with temporary.open("xb") as copy:
            for piece in read_pieces(blobs, file["key"]):
                digest.update(piece)
                copy.write(piece)
        if digest.hexdigest() != file["sha256"]:
            raise BlobDamaged(f"{file['key']} does not have its recorded hash")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
