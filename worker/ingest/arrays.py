"""Arrays as data sets: what shape makes a picture, a vector or a sound, and the rows as they are stored."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from service.spec.facts import DatasetFacts, Modality
from worker.ingest.bench import Bench, require_samples
from worker.ingest.sounds import USUAL_RATE
from worker.ingest.upload import BadUpload

CHANNELS = (1, 3, 4)
DEEPEST = 255
CHUNK_BYTES = 2**24
LONGEST_VECTOR = 10_000


@dataclass(frozen=True)
class Scale:
    """How stored numbers become pixels: (number - black) * gain, rounded; white is the brightest pixel's value."""

    black: float
    gain: float
    white: int

    def pixels(self, numbers: np.ndarray) -> np.ndarray:
        """Return uint8."""
        if numbers.dtype == np.uint8 and self.black == 0 and self.gain == 1:
            return numbers
        scaled: np.ndarray = np.rint((numbers.astype(np.float64) - self.black) * self.gain)
        return scaled.clip(0, self.white).astype(np.uint8)


def prepare_array(bench: Bench, values: np.ndarray, labels: np.ndarray | None) -> DatasetFacts:
    """Prepare an array by its shape: (N, H, W[, C]) pictures, (N, D) vectors, or sounds where the owner says so."""
    require_samples(values.shape[0] if values.ndim else 0, "samples")
    if values.ndim == 2 and bench.options.modality == "audio":
        facts = prepare_sounds(bench, values)
    elif values.ndim == 2:
        facts = prepare_vectors(bench, values)
    elif values.ndim in (3, 4):
        facts = prepare_pictures(bench, values)
    else:
        message = f"The array has the shape {values.shape}; pictures are (N, H, W) or (N, H, W, C), vectors (N, D)."
        raise BadUpload("unfit_array", message)
    return facts if labels is None else with_labels(bench, facts, labels)


def with_labels(bench: Bench, facts: DatasetFacts, labels: np.ndarray) -> DatasetFacts:
    """Write the classes (N,) or (N, 1) of the rows; returns the facts with their names."""
    flat = labels.reshape(-1) if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if flat.ndim != 1 or (flat.dtype.kind == "f" and not np.array_equal(flat, np.rint(flat))):
        raise BadUpload("unfit_labels", f"The labels have the shape {labels.shape}; give each sample one whole number.")
    names, classes = np.unique(flat.astype(np.int64), return_inverse=True)
    bench.write_labels(classes.astype(np.int64), len(names), facts.count)
    return replace(facts, labels=tuple(str(name) for name in names))


def prepare_vectors(bench: Bench, values: np.ndarray) -> DatasetFacts:
    """Store vectors (N, D) as float32."""
    bench.check_modality("an array (N, D)", "vector", "audio")
    count, width = values.shape
    if width > LONGEST_VECTOR:
        raise BadUpload("too_wide", f"The vectors have {width:,} numbers; at most {LONGEST_VECTOR:,} are taken.")
    with bench.write_rows(np.float32, (width,)) as writer:
        for first, chunk in chunks(values):
            writer.append(finite(chunk.astype(np.float32), first))
    return _facts(bench, "vector", (width,), count)


def prepare_sounds(bench: Bench, values: np.ndarray) -> DatasetFacts:
    """Store sounds (N, frames) of numbers from -1 to 1 as float32 (N, 1, frames)."""
    count, frames = values.shape
    if values.dtype.kind != "f" or frames > bench.limits.frames:
        message = f"Sounds are floats from -1 to 1, at most {bench.limits.frames:,} frames each, not {values.dtype}."
        raise BadUpload("unfit_array", message)
    bench.remark_unused("seconds", "arrays of sounds")
    with bench.write_rows(np.float32, (1, frames)) as writer:
        for first, chunk in chunks(values):
            sounds = finite(chunk.astype(np.float32), first)
            if np.abs(sounds).max() > 1:
                raise BadUpload("out_of_range", "Sounds lie between -1 and 1; divide them by their largest value.")
            writer.append(sounds[:, None, :])
    return _facts(bench, "audio", (1, frames), count, sample_rate=bench.options.sample_rate or USUAL_RATE)


def prepare_pictures(bench: Bench, values: np.ndarray) -> DatasetFacts:
    """Store pictures as uint8 (N, C, H, W)."""
    bench.check_modality("an array of pictures", "image")
    to_channels_first = layout(values.shape)
    scale = find_scale(bench, values)
    _, *shape = to_channels_first(values[:1]).shape
    if shape[1] * shape[2] > bench.limits.pixels:
        raise BadUpload("too_many_pixels", f"A picture has more than {bench.limits.pixels:,} pixels.")
    with bench.write_rows(np.uint8, tuple(shape)) as writer:
        for _, chunk in chunks(values):
            writer.append(scale.pixels(to_channels_first(chunk)))
    return _facts(bench, "image", tuple(shape), len(values), white=scale.white)


class Layout:
    """Moves axes to (n, C, H, W)."""

    def __init__(self, source: int | None) -> None:
        self._source = source

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        return pictures[:, None] if self._source is None else np.moveaxis(pictures, self._source, 1)


def layout(shape: tuple[int, ...]) -> Layout:
    """Tell where the channels are: last, as (N, H, W, C), or first, or nowhere in grey pictures (N, H, W)."""
    if len(shape) == 3:
        return Layout(None)
    for axis in (3, 1):
        if shape[axis] in CHANNELS:
            return Layout(axis)
    raise BadUpload("unfit_array", f"The array has the shape {shape}; the last axis of pictures is 1, 3 or 4 channels.")


def find_scale(bench: Bench, values: np.ndarray) -> Scale:
    """Choose by the range of all numbers: [0, 1] and [-1, 1] are stretched to 0 to 255, others are pixels already."""
    low, high = value_range(values)
    floats = values.dtype.kind == "f"
    if low < -1 or high > DEEPEST or (low < 0 and not floats):
        message = f"The pixels lie between {low:g} and {high:g}; use 0 to 255, or floats from 0 to 1 or from -1 to 1."
        raise BadUpload("out_of_range", message)
    if low < 0:
        if high > 1:
            raise BadUpload("out_of_range", f"The pixels lie between {low:g} and {high:g}; a mixture of two scales.")
        return Scale(-1, DEEPEST / 2, DEEPEST)
    if high <= 1:
        return Scale(0, DEEPEST, DEEPEST)
    if high < DEEPEST / 2 and not floats:
        bench.remark("dark_pictures", f"The brightest pixel is {high:g}, which is taken as white.")
        return Scale(0, 1, int(high))
    return Scale(0, 1, DEEPEST)


def value_range(values: np.ndarray) -> tuple[float, float]:
    """Return the least and the largest number; raises BadUpload when one is not finite."""
    bounds = [
        (float(part.min()), float(part.max())) for first, chunk in chunks(values) for part in (finite(chunk, first),)
    ]
    return min(low for low, _ in bounds), max(high for _, high in bounds)


def chunks(values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield rows in bounded pieces with the number of the first."""
    row_bytes = values[:1].size * 8  # as float64
    step = max(1, CHUNK_BYTES // max(1, row_bytes))
    for first in range(0, len(values), step):
        yield first, np.asarray(values[first : first + step])


def finite(chunk: np.ndarray, first: int) -> np.ndarray:
    """Return the rows; raises BadUpload with the number of the first that holds NaN or infinity."""
    if chunk.dtype.kind == "f":
        good = np.isfinite(chunk).reshape(len(chunk), -1).all(axis=1)
        if not good.all():
            row = first + int(np.flatnonzero(~good)[0])
            raise BadUpload("not_finite", f"Sample {row} (counted from 0) holds NaN or infinity; give finite numbers.")
    return chunk


def _facts(
    bench: Bench,
    modality: Modality,
    shape: tuple[int, ...],
    count: int,
    *,
    white: int = DEEPEST,
    sample_rate: int | None = None,
) -> DatasetFacts:
    return DatasetFacts(
        bench.upload.name, modality, shape, count, bench.upload.sha256, white=white, sample_rate=sample_rate
    )
