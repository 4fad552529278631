"""What one column did over a whole run, put together from the statistics of its segments. Needs no values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Extreme:
    """A finite value and the first step that had it."""

    value: float
    step: int


@dataclass(frozen=True)
class ColumnSummary:
    """A column over all its steps; min, max and mean are of the finite values and None if there is none."""

    last: float | None  # None if it is not finite
    min: Extreme | None
    max: Extreme | None
    mean: float | None
    count: int  # of steps
    nonfinite: int


def summarise(segments: Sequence[dict[str, Any]], count: int) -> ColumnSummary:
    """Join the statistics of one column's segments, which are in the order of steps and hold `count` steps."""
    nonfinite = sum(segment["nonfinite"] for segment in segments)
    finite = [segment for segment in segments if segment["min"] is not None]
    lowest = min(finite, key=lambda segment: segment["min"], default=None)
    highest = max(finite, key=lambda segment: segment["max"], default=None)
    return ColumnSummary(
        last=segments[-1]["last"],
        min=None if lowest is None else Extreme(lowest["min"], lowest["min_step"]),
        max=None if highest is None else Extreme(highest["max"], highest["max_step"]),
        mean=sum(segment["sum"] for segment in segments) / (count - nonfinite) if finite else None,
        count=count,
        nonfinite=nonfinite,
    )
