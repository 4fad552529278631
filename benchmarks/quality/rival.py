"""ctgan, the rival of bar B9: trained by a Python of its own on the rows that our recipe trains on.

It takes no gap among numbers, so the mean stands in a gap's place and a column of marks beside it tells where the gaps
are; a gap among choices is one more choice.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.quality.bars import Bar
from benchmarks.quality.trials import Trial, fingerprint, opened, spec_of
from service.spec.facts import TableColumn
from service.spec.tables import is_choice
from worker.gan.data.training_data import TrainingData
from worker.gan.metrics.cache import Cache
from worker.gan.metrics.yardstick import METRICS_VERSION

RIVAL = "ctgan"
PROGRAM = Path(__file__).with_name("train_ctgan.py")
REQUIREMENTS = Path(__file__).with_name("ctgan.txt")
HOME = Path(__file__).parent.parent.parent / "build" / "ctgan"  # where `make quality` installs it
EPOCHS = 300  # ctgan's default
NO_CHOICE = -1.0


@dataclass(frozen=True)
class Made:
    """Rows (N, C) within the range and the decimals of their columns, gaps as NaN, and what the training loop took."""

    rows: np.ndarray
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class FileColumn:
    """A column of the files that are exchanged."""

    name: str
    values: np.ndarray
    is_discrete: bool


def is_installed() -> bool:
    """Tell whether there is a Python that has ctgan."""
    return (HOME / "installed").exists()


def rival_fingerprint(bar: Bar) -> str:
    """Name what ctgan's figures follow from."""
    protocol = spec_of(bar, seed=0).model_dump(mode="json", include={"dataset", "quality"})
    return fingerprint(REQUIREMENTS.read_text(), protocol, METRICS_VERSION)


def try_rival(bar: Bar, seed: int, *, cache: Path) -> Trial:
    """Train ctgan on the half that the recipe trains on with this seed, and measure alike what it makes."""
    data, yardstick = opened(spec_of(bar, seed), cache)
    made = kept_or_made(data, count=yardstick.count, seed=seed)
    return Trial(
        bar.id,
        bar.dataset,
        RIVAL,
        seed,
        rival_fingerprint(bar),
        made.seconds,
        made.cpu_seconds,
        yardstick.measure_thoroughly(yardstick.as_rows(made.rows, None)),
        real={},
        baselines={},
    )


def kept_or_made(data: TrainingData, *, count: int, seed: int) -> Made:
    """Train ctgan, or take what it made of the same rows before: it is slow, and the way of measuring may change."""
    rows = data.to_data_units(data.specimens(len(data.samples)))
    key = fingerprint(REQUIREMENTS.read_text(), data.facts.sha256, len(rows), count, seed)
    kept = Cache(HOME / "made").load(key)
    if kept is not None:
        return Made(kept[0], *kept[1].tolist())
    made = train_ctgan(HOME / "bin" / "python", data.facts.table, rows, count=count, seed=seed)
    Cache(HOME / "made").keep(key, [made.rows, np.array([made.seconds, made.cpu_seconds])])
    return made


def train_ctgan(
    python: Path, columns: Sequence[TableColumn], rows: np.ndarray, *, count: int, seed: int, epochs: int = EPOCHS
) -> Made:
    """Train ctgan on rows (N, C), gaps as NaN, and let it make `count` more.

    Raises subprocess.CalledProcessError when it fails.
    """
    written = list(without_gaps(columns, rows))
    with TemporaryDirectory(prefix="ganymede-ctgan-") as directory:
        training, made = Path(directory, "training.csv"), Path(directory, "made.csv")
        write_file(training, written)
        options = [f"--count={count}", f"--seed={seed}", f"--epochs={epochs}"]
        options += [f"--discrete={column.name}" for column in written if column.is_discrete]
        taken = _run([str(python), "-W", "ignore", str(PROGRAM), str(training), str(made), *options])
        return Made(with_gaps(columns, np.loadtxt(made, delimiter=",", skiprows=1, ndmin=2)), **taken)


def write_file(path: Path, written: Sequence[FileColumn]) -> None:
    """Write columns of numbers under their names."""
    table = np.stack([column.values for column in written], axis=1)
    header = ",".join(column.name for column in written)
    np.savetxt(path, table, "%.12g", delimiter=",", header=header, comments="")


def without_gaps(columns: Sequence[TableColumn], rows: np.ndarray) -> Iterator[FileColumn]:
    """Yield what ctgan sees of rows (N, C)."""
    for column, cells in zip(columns, rows.T, strict=True):
        if is_choice(column):
            yield FileColumn(column.name, np.nan_to_num(cells, nan=NO_CHOICE), is_discrete=True)
            continue
        yield FileColumn(column.name, np.nan_to_num(cells, nan=float(np.nanmean(cells))), is_discrete=False)
        if column.missing:
            yield FileColumn(column.name + " is missing", np.isnan(cells).astype(float), is_discrete=True)


def with_gaps(columns: Sequence[TableColumn], table: np.ndarray) -> np.ndarray:
    """Turn what ctgan made into rows (N, C) again."""
    made = iter(table.T)
    return np.stack([_cells(column, next(made), made) for column in columns], axis=1)


def _cells(column: TableColumn, values: np.ndarray, following: Iterator[np.ndarray]) -> np.ndarray:
    if is_choice(column):
        return np.where(values == NO_CHOICE, np.nan, values)
    whole = values.clip(column.minimum, column.maximum).round(column.decimals or 0)
    return np.where(next(following) == 1, np.nan, whole) if column.missing else whole


def _run(command: Sequence[str]) -> dict[str, float]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    taken: dict[str, float] = json.loads(answer.stdout)
    return taken
