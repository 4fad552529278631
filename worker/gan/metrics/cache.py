"""What was measured once of a data set, kept on disk for jobs that split it alike. Losing it costs seconds."""

import io
import zipfile
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np

_MOST_BYTES = 256 * 2**20


class Cache:
    """Lists of arrays by key in a directory; without one nothing is kept. No pickle is read or written."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def load(self, key: str) -> list[np.ndarray] | None:
        """Return what was kept under a key; None when there is nothing that can be read."""
        if self._directory is None:
            return None
        try:
            file = self._directory / f"{key}.npz"
            data = io.BytesIO(file.read_bytes())
            file.touch()  # what is used stays longest
            with np.load(data, allow_pickle=False) as arrays:
                return [arrays[f"arr_{number}"] for number in range(len(arrays.files))]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None

    def keep(self, key: str, arrays: list[np.ndarray]) -> None:
        """Keep arrays, whole or not at all; the oldest go. A disk that refuses is no reason to stop measuring."""
        if self._directory is None:
            return
        file = io.BytesIO()
        np.savez(file, *arrays, allow_pickle=False)
        with suppress(OSError):
            self._directory.mkdir(parents=True, exist_ok=True)
            _make_room(self._directory, len(file.getbuffer()))
            with NamedTemporaryFile(dir=self._directory, delete=False) as part:
                try:
                    part.write(file.getbuffer())
                    part.flush()
                    Path(part.name).replace(self._directory / f"{key}.npz")
                except OSError:
                    Path(part.name).unlink()
                    raise


def _make_room(directory: Path, size_bytes: int) -> None:
    found = [(path.stat(), path) for path in directory.iterdir()]
    excess_bytes = size_bytes + sum(stat.st_size for stat, _ in found) - _MOST_BYTES
    for stat, path in sorted(found, key=lambda each: each[0].st_mtime_ns):
        if excess_bytes <= 0:
            return
        path.unlink(missing_ok=True)
        excess_bytes -= stat.st_size
