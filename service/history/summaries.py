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


def join_statistics(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the statistics of what one column's parts are together; they are in the order of steps."""
    finite = [part for part in parts if part["min"] is not None] or parts[:1]
    lowest, highest = min(finite, key=lambda part: part["min"]), max(finite, key=lambda part: part["max"])
    return {
        "last": parts[-1]["last"],
        "min": lowest["min"],
        "min_step": lowest["min_step"],
        "max": highest["max"],
        "max_step": highest["max_step"],
        "sum": sum(part["sum"] for part in parts),
        "nonfinite": sum(part["nonfinite"] for part in parts),
    }


def summarise(parts: Sequence[dict[str, Any]], count: int) -> ColumnSummary:
    """Join the statistics of one column's parts, which are in the order of steps and hold `count` steps."""
    whole = join_statistics(parts)
    is_finite = whole["min"] is not None
    return ColumnSummary(
        last=whole["last"],
        min=Extreme(whole["min"], whole["min_step"]) if is_finite else None,
        max=Extreme(whole["max"], whole["max_step"]) if is_finite else None,
        mean=whole["sum"] / (count - whole["nonfinite"]) if is_finite else None,
        count=count,
        nonfinite=whole["nonfinite"],
    )
