"""Rows that meet conditions, by rejection: drawn as all others are, and kept if they pass as they would be exported.

What is kept follows the generator's own law under the conditions exactly, whatever the columns and bounds.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from service.spec.conditions import Condition
from worker.gan.data.training_data import Rows
from worker.gan.sampling import tell_nobody

DRAWS_PER_ROW, SPARE_DRAWS = 1_000, 100_000  # together the most that are drawn before conditions are given up
ENOUGH_TO_TELL = DRAWS_PER_ROW + SPARE_DRAWS  # draws after which a search that will not end is given up
FIRST_DRAWS, MOST_DRAWS = 256, 8_192  # at once; part of the bytes, so never settings


class TooRare(Exception):
    """So few rows meet the conditions that the search was given up; str() says how few."""

    def __init__(self, found: int, drawn: int, wanted: int) -> None:
        share = f"{found:,} of {drawn:,} rows" if found else f"None of {drawn:,} rows"
        super().__init__(
            f"{share} that were drawn met the conditions, and {wanted:,} were asked for. "
            "Widen the conditions or ask for fewer."
        )


def keep_drawing(
    draw: Callable[[int], Rows],
    conditions: Sequence[Condition],
    wanted: int,
    *,
    most: int,
    tell: Callable[[int], None] = tell_nobody,
) -> Rows:
    """Return the first `wanted` rows that meet the conditions; draw makes so many new ones, at most `most` in all.

    tell hears of those that are kept. Raises TooRare.
    """
    kept: list[Rows] = []
    drawn = found = 0
    for size in batch_sizes(most):
        rows = draw(size)
        kept.append(rows.taken(np.flatnonzero(meeting(conditions, rows.values))))
        tell(min(len(kept[-1].values), wanted - found))
        drawn, found = drawn + size, found + len(kept[-1].values)
        if found >= wanted:
            return joined(kept).taken(np.arange(wanted))
        if drawn >= ENOUGH_TO_TELL and 2 * found * most < wanted * drawn:
            break  # at this rate all draws together would not bring half of them
    raise TooRare(found, drawn, wanted)


def batch_sizes(most: int) -> Iterator[int]:
    """Yield sizes that double up to MOST_DRAWS and sum to `most`: few rows cost little, many little each."""
    size = FIRST_DRAWS
    while most > 0:
        yield min(size, most)
        most -= size
        size = min(2 * size, MOST_DRAWS)


def meeting(conditions: Sequence[Condition], rows: np.ndarray) -> np.ndarray:
    """Tell of each row (N, C) in data units whether it meets all conditions, (N,) bool.

    Bounds are compared in the precision of the rows: 13.2 of float32 is written 13.2, and reaches a minimum of 13.2.
    """
    good = np.ones(len(rows), bool)
    for condition in conditions:
        cells = rows[:, condition.column]
        if condition.is_range:
            met = ~np.isnan(cells)
            if condition.minimum is not None:
                met &= cells >= rows.dtype.type(condition.minimum)
            if condition.maximum is not None:
                met &= cells <= rows.dtype.type(condition.maximum)
        else:
            met = np.isin(cells, np.array(condition.values, rows.dtype))
        good &= met | (np.isnan(cells) & condition.missing)
    return good


def joined(parts: Sequence[Rows]) -> Rows:
    """Put rows one after the other."""
    labels = [part.labels for part in parts if part.labels is not None]
    return Rows(np.concatenate([part.values for part in parts]), np.concatenate(labels) if labels else None)
