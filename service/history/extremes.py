"""Minima and maxima of short runs of steps: what a bucket of a chart shows, and the stored overview of a segment.

A pair is the lowest and the highest finite value of a run, in the order in which they occurred. Pairs of pairs are the
pairs of the whole, so an overview may stand in for its rows wherever buckets consist of whole overview cells.
"""

from collections.abc import Sequence
from dataclasses import dataclass

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


def unpack_overview(overview: bytes, first_step: int, *, columns: int, chosen: Sequence[int]) -> Pairs:
    """Return the pairs of the chosen columns of a segment that begins with first_step."""
    cells = len(overview) // (columns * 2 * 5)
    size = columns * cells * 2
    values: npt.NDArray[np.float32] = np.frombuffer(overview, "<f4", size).reshape(columns, cells, 2)[list(chosen)]
    offsets = np.frombuffer(overview, _OFFSET, size, offset=4 * size).reshape(columns, cells, 2)[list(chosen)]
    first_cell = (first_step - 1) // OVERVIEW_STEPS
    starts = 1 + OVERVIEW_STEPS * np.arange(first_cell, first_cell + cells, dtype=np.int64)
    return Pairs(starts[:, None] + offsets, values)


def _reduce(steps: Steps, values: Values, width: int) -> Pairs:
    columns, count = values.shape
    padding = ((0, 0), (0, -count % width))
    finite = np.isfinite(values)
    low = np.pad(np.where(finite, values, np.inf), padding, constant_values=np.inf).reshape(columns, -1, width)
    high = np.pad(np.where(finite, values, -np.inf), padding, constant_values=-np.inf).reshape(columns, -1, width)
    within = np.sort(np.stack([low.argmin(axis=2), high.argmax(axis=2)], axis=2), axis=2)
    places = (within + width * np.arange(within.shape[1])[:, None]).reshape(columns, -1)
    return Pairs(
        np.take_along_axis(steps, places, axis=1).reshape(within.shape),
        np.take_along_axis(values, places, axis=1).reshape(within.shape),
    )
