"""The place where one upload is prepared: its rows as they are written, its remarks, and the sums it must keep to."""

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from worker.ingest.upload import LABELS, MOST_CLASSES, ROWS, SMALLEST, BadUpload, Limits, Remark, Upload, shown

Shape = tuple[int, ...]


class RowWriter:
    """An .npy file that grows row by row.

    It is written, never mapped: on a full disk a write is an error, and a mapped page would be the end of the process.
    """

    def __init__(self, path: Path, dtype: type[np.generic], shape: Shape, *, most_bytes: int) -> None:
        self._dtype, self._shape, self._most_bytes = np.dtype(dtype), shape, most_bytes
        self._file = path.open("xb")
        self.count = 0
        self._write_header()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # numpy leaves room in the header for the first axis to grow, so that it can be written again over itself.
        with self._file:
            self._file.seek(0)
            self._write_header()

    def append(self, rows: np.ndarray) -> None:
        """Add rows (n, *shape); raises BadUpload when the data set becomes too large."""
        self.count += len(rows)
        if self.count * self._dtype.itemsize * int(np.prod(self._shape)) > self._most_bytes:
            raise BadUpload("too_large", f"The data set is larger than {self._most_bytes:,} bytes once prepared.")
        self._file.write(np.ascontiguousarray(rows, self._dtype).data)

    def _write_header(self) -> None:
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (self.count, *self._shape)}
        np.lib.format.write_array_header_1_0(self._file, header)


class Bench:
    """Everything that parsers share while they prepare one upload into a directory."""

    def __init__(self, upload: Upload, target: Path, limits: Limits) -> None:
        self.upload, self.limits = upload, limits
        self.options = upload.options
        self.remarks: list[Remark] = []
        self._target = target
        self._scratch = 0

    def remark(self, code: str, message: str) -> None:
        """Tell the owner something."""
        self.remarks.append(Remark(code, message))

    def remark_unused(self, option: str, kind: str) -> None:
        """Tell that something that was asked for means nothing to what came."""
        if getattr(self.options, option) is not None:
            self.remark("option_unused", f"{option} means nothing for {kind} and was not used.")

    def write_rows(self, dtype: type[np.generic], shape: Shape) -> RowWriter:
        """Begin the rows of the data set; shape is that of one row as it is stored."""
        return RowWriter(self._target / ROWS, dtype, shape, most_bytes=self.limits.prepared_bytes)

    def scratch(self) -> Path:
        """Return the path of a new file that lasts as long as the preparation."""
        self._scratch += 1
        return self._target / f"scratch-{self._scratch}"

    def clear_scratch(self) -> None:
        """Remove the scratch files."""
        for path in self._target.glob("scratch-*"):
            path.unlink()

    def write_labels(self, labels: np.ndarray, classes: int, count: int) -> None:
        """Write the class (N,) of every row as an index; raises BadUpload when they do not fit the rows."""
        if len(labels) != count:
            raise BadUpload("labels_differ", f"There are {len(labels):,} labels for {count:,} samples; give one each.")
        if classes > MOST_CLASSES:
            raise BadUpload("too_many_classes", f"There are {classes:,} classes; at most {MOST_CLASSES:,} are taken.")
        with RowWriter(self._target / LABELS, np.int64, (), most_bytes=self.limits.prepared_bytes) as writer:
            writer.append(labels)

    def check_modality(self, found: str, *accepted: str) -> None:
        """Raise BadUpload when the owner asked for what this file cannot be."""
        wanted = self.options.modality
        if wanted is not None and wanted not in accepted:
            possible = " or ".join(accepted)
            raise BadUpload("wrong_modality", f"The file is {found}, which makes {possible} data, not {wanted} data.")


def require_samples(count: int, what: str) -> None:
    """Raise BadUpload when there are too few."""
    if count < SMALLEST:
        raise BadUpload("too_few", f"The file has {count} {what}; at least {SMALLEST} are needed to train.")


def classes_of_folders(folders: list[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the classes that folders stand for and the class of each sample; none when there is one folder alone."""
    names = sorted(set(folders))
    if len(names) < 2:
        return (), np.zeros(0, np.int64)
    numbers = {name: number for number, name in enumerate(names)}
    return tuple(shown(name)[1:-1] for name in names), np.array([numbers[folder] for folder in folders], np.int64)
