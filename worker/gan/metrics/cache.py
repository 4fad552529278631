"""What was measured once of a data set, kept on disk for jobs that split it alike. Losing it costs seconds."""

import io
import zipfile
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np


class Cache:
    """Lists of arrays by key in a directory; without one nothing is kept. No pickle is read or written."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def load(self, key: str) -> list[np.ndarray] | None:
        """Return what was kept under a key; None when there is nothing that can be read."""
        if self._directory is None:
            return None
        try:
            data = io.BytesIO((self._directory / f"{key}.npz").read_bytes())
            with np.load(data, allow_pickle=False) as arrays:
                return [arrays[f"arr_{number}"] for number in range(len(arrays.files))]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None

    def keep(self, key: str, arrays: list[np.ndarray]) -> None:
        """Keep arrays, whole or not at all. A disk that refuses is no reason to stop measuring."""
        if self._directory is None:
            return
        file = io.BytesIO()
        np.savez(file, *arrays, allow_pickle=False)
        with suppress(OSError):
            self._directory.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=self._directory, delete=False) as part:
                part.write(file.getvalue())
            Path(part.name).replace(self._directory / f"{key}.npz")
