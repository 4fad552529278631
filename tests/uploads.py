"""Files as owners send them, made in memory, and their preparation in a directory of a test."""

import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from worker.ingest.prepare import prepare
from worker.ingest.upload import MIB, Limits, Options, Prepared, Upload

SMALL = Limits(prepared_bytes=64 * MIB, entry_bytes=8 * MIB)


def prepare_bytes(data: bytes, directory: Path, options: Options | None = None, limits: Limits = SMALL) -> Prepared:
    """Prepare an upload of these bytes; its files lie in directory/prepared."""
    (directory / "upload").write_bytes(data)
    target = directory / "prepared"
    target.mkdir()
    return prepare(Upload(directory / "upload", "mine", "ab" * 32, options or Options()), target, limits)


def rows_of(directory: Path) -> np.ndarray:
    """Return the rows that a preparation has written."""
    return np.asarray(np.load(directory / "prepared" / "rows.npy", allow_pickle=False))


def labels_of(directory: Path) -> list[int]:
    """Return the labels that a preparation has written."""
    return [int(label) for label in np.load(directory / "prepared" / "labels.npy", allow_pickle=False)]


def make_zip(entries: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Pack files."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return file.getvalue()


def make_picture(array: np.ndarray, form: str = "PNG", mode: str | None = None, **options: object) -> bytes:
    """Write (H, W[, C]) uint8 as a PNG or JPEG file, perhaps in another mode."""
    file = io.BytesIO()
    image = Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(file, form, **options)
    return file.getvalue()


def make_npy(array: np.ndarray) -> bytes:
    """Write one array."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def make_npz(**arrays: np.ndarray) -> bytes:
    """Write arrays by name."""
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def make_idx(array: np.ndarray) -> bytes:
    """Write uint8 as the MNIST files are."""
    return (
        bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}L", *array.shape) + array.astype(np.uint8).tobytes()
    )


def make_wav(sound: np.ndarray, rate: int = 16_000, subtype: str = "PCM_16") -> bytes:
    """Write a sound (frames[, channels]) by way of libsndfile, which our own reader knows nothing of."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, sound, rate, subtype=subtype, format="WAV")
    return file.getvalue()
