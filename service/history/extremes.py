"""Minima and maxima of short runs of steps: what a bucket of a chart shows, and the stored overview of a segment.

A pair is the lowest and the highest finite value of a run, in the order in which they occurred. Pairs of pairs are the
pairs of the whole, so an overview may stand in for its rows wherever buckets consist of whole overview cells.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from service.history.segments import Block, Steps, Values

# Steps of a cell, level by level. Of 16 to 256 the first is the middle: few bytes beside the payload, yet runs that are
# too short for overviews are read fast. As each level's are eight times as long as those before, a chart of 2,000
# points is made of some 17,000 cells at most, up to 65 million steps.
CELLS = (64, 512, 4096)
OVERVIEW_STEPS = CELLS[0]  # which stands in each segment; the others have rows of their own
CELLS_IN_ROW = 512


_VALUE = np.dtype("<f4")


@dataclass(frozen=True)
class Pairs:
    """Per column and cell the two extremes in the order of time: steps and values are (C, cells, 2)."""

    steps: Steps
    values: Values


def pairs_of(block: Block, width: int) -> Pairs:
    """Return the pairs of each `width` consecutive steps of a block; the last run may be shorter.

    The first of equal values counts. A run without any finite value shows its first value twice.
    """
    return _reduce(np.broadcast_to(block.steps, block.values.shape), block.values, width)


def merge(pairs: Pairs, width: int) -> Pairs:
    """Return the pairs of each `width` consecutive cells; the last run may be shorter."""
    columns = pairs.values.shape[0]
    return _reduce(pairs.steps.reshape(columns, -1), pairs.values.reshape(columns, -1), 2 * width)


def overview_of(block: Block, cell_steps: int = OVERVIEW_STEPS) -> Pairs:
    """Return the pairs of a block's cells, which are absolute: steps 1 to cell_steps are the first."""
    head_last = block.first_step - 1 + -(block.first_step - 1) % cell_steps
    parts = block.cut(block.first_step, head_last), block.cut(head_last + 1, block.last_step)
    return concatenate([pairs_of(part, cell_steps) for part in parts if part.values.size])


def concatenate(parts: Sequence[Pairs]) -> Pairs:
    """Put pairs of cells that follow each other into one."""
    return Pairs(
        np.concatenate([part.steps for part in parts], axis=1),
        np.concatenate([part.values for part in parts], axis=1),
    )


def pack_overview(pairs: Pairs, cell_steps: int = OVERVIEW_STEPS) -> bytes:
    """Write pairs of overview cells: the values, then each step as its place in its cell; not compressed."""
    offsets = ((pairs.steps - 1) % cell_steps).astype(_offset(cell_steps))
    return pairs.values.astype(_VALUE).tobytes() + offsets.tobytes()


def unpack_overviews(
    overviews: Sequence[bytes],
    first_steps: Sequence[int],
    *,
    columns: int,
    chosen: Sequence[int],
    cell_steps: int = OVERVIEW_STEPS,
) -> Pairs:
    """Return the pairs of the chosen columns of overviews that follow each other, each with its first step.

    Those with as many cells are read at once: of a long run that is all but the ends.
    """
    equal = groupby(zip(overviews, first_steps, strict=True), key=lambda overview: len(overview[0]))
    return concatenate([_unpack(list(some), columns, chosen, cell_steps) for _, some in equal])


def _unpack(some: Sequence[tuple[bytes, int]], columns: int, chosen: Sequence[int], cell_steps: int) -> Pairs:
    offset = _offset(cell_steps)
    stored = np.frombuffer(b"".join(overview for overview, _ in some), np.uint8).reshape(len(some), -1)
    numbers = stored.shape[1] // (_VALUE.itemsize + offset.itemsize)
    values, offsets = np.split(stored, [numbers * _VALUE.itemsize], axis=1)
    first_cells = (np.array([first_step for _, first_step in some]) - 1) // cell_steps
    cells = first_cells[:, None] + np.arange(numbers // (2 * columns))
    starts = 1 + cell_steps * cells.reshape(-1, 1)
    return Pairs(starts + _by_column(offsets, columns, chosen, offset), _by_column(values, columns, chosen, _VALUE))


def _offset(cell_steps: int) -> np.dtype[Any]:
    """Return how a place in a cell is written."""
    return np.min_scalar_type(cell_steps - 1).newbyteorder("<")


def _by_column(stored: npt.NDArray[np.uint8], columns: int, chosen: Sequence[int], dtype: np.dtype[Any]) -> Any:
    """Return the bytes (segments, bytes) of the chosen columns as pairs (C, cells, 2)."""
    planes = stored.reshape(len(stored), columns, -1)[:, list(chosen)].transpose(1, 0, 2)
    return np.ascontiguousarray(planes).reshape(len(chosen), -1).view(dtype).reshape(len(chosen), -1, 2)


def _reduce(steps: Steps, values: Values, width: int) -> Pairs:
    columns, finite = values.shape[0], np.isfinite(values)
    lowest = _runs(values, finite, width, missing=np.inf).argmin(axis=2)
    highest = _runs(values, finite, width, missing=-np.inf).argmax(axis=2)
    within = np.stack([np.minimum(lowest, highest), np.maximum(lowest, highest)], axis=2)
    places = (within + width * np.arange(within.shape[1])[:, None]).reshape(columns, -1)
    return Pairs(
        np.take_along_axis(steps, places, axis=1).reshape(within.shape),
        np.take_along_axis(values, places, axis=1).reshape(within.shape),
    )


def _runs(values: Values, finite: npt.NDArray[np.bool_], width: int, *, missing: float) -> Values:
    """Return values (C, N) as runs (C, runs, width), with a number for what is not finite or missing at the end."""
    columns, count = values.shape
    if not finite.all():
        values = np.where(finite, values, np.float32(missing))
    if lacking := -count % width:
        values = np.pad(values, ((0, 0), (0, lacking)), constant_values=missing)
    return values.reshape(columns, -1, width)
