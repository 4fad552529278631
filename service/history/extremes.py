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

# Of 16 to 256 the middle: few bytes beside the payload, yet runs that are too short for overviews are read fast.
OVERVIEW_STEPS = 64

_OFFSET = np.dtype("u1")


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


def overview_of(block: Block) -> Pairs:
    """Return the pairs of a block's cells, which are absolute: steps 1 to OVERVIEW_STEPS are the first."""
    head_last = block.first_step - 1 + -(block.first_step - 1) % OVERVIEW_STEPS
    parts = block.cut(block.first_step, head_last), block.cut(head_last + 1, block.last_step)
    return concatenate([pairs_of(part, OVERVIEW_STEPS) for part in parts if part.values.size])


def concatenate(parts: Sequence[Pairs]) -> Pairs:
    """Put pairs of cells that follow each other into one."""
    return Pairs(
        np.concatenate([part.steps for part in parts], axis=1),
        np.concatenate([part.values for part in parts], axis=1),
    )


def pack_overview(pairs: Pairs) -> bytes:
    """Write pairs of overview cells: the values, then each step as its place in its cell; not compressed."""
    offsets = ((pairs.steps - 1) % OVERVIEW_STEPS).astype(_OFFSET)
    return pairs.values.astype("<f4").tobytes() + offsets.tobytes()


def unpack_overviews(
    overviews: Sequence[bytes], first_steps: Sequence[int], *, columns: int, chosen: Sequence[int]
) -> Pairs:
    """Return the pairs of the chosen columns of segments that follow each other, each with its first step.

    Segments with as many cells are read at once: of a long run that is all but the ends.
    """
    equal = groupby(zip(overviews, first_steps, strict=True), key=lambda segment: len(segment[0]))
    return concatenate([_unpack(list(segments), columns, chosen) for _, segments in equal])


def _unpack(segments: Sequence[tuple[bytes, int]], columns: int, chosen: Sequence[int]) -> Pairs:
    stored = np.frombuffer(b"".join(overview for overview, _ in segments), np.uint8).reshape(len(segments), -1)
    values, offsets = np.split(stored, [stored.shape[1] // 5 * 4], axis=1)
    first_cells = (np.array([first_step for _, first_step in segments]) - 1) // OVERVIEW_STEPS
    cells = first_cells[:, None] + np.arange(offsets.shape[1] // (2 * columns))
    starts = 1 + OVERVIEW_STEPS * cells.reshape(-1, 1)
    return Pairs(
        starts + _by_column(offsets, columns, chosen, _OFFSET), _by_column(values, columns, chosen, np.dtype("<f4"))
    )


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
