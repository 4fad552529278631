"""What part of a history is asked for, how densely, and what is wrong with the question. No numpy."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from service.errors import Fault, InvalidInput

Downsample = Literal["minmax", "lttb", "mean", "none"]
Row = Literal["step", "extremes", "mean"]

# The first, the last, the lowest and the highest: what every thinned answer promises to hold.
FEWEST_POINTS = 4


@dataclass(frozen=True)
class Query:
    """A question for a job's history; columns None asks for all, max_points None for every step."""

    columns: tuple[str, ...] | None = None
    from_step: int | None = None
    to_step: int | None = None
    after_step: int | None = None  # excluded, unlike the other two
    max_points: int | None = None
    downsample: Downsample = "minmax"

    def first(self, recorded_first: int) -> int:
        """Return the first step asked for of a history that begins with recorded_first."""
        return max(recorded_first, self.from_step or 1, (self.after_step or 0) + 1)

    def last(self, recorded_last: int) -> int:
        """Return the last step asked for of a history that ends with recorded_last."""
        return recorded_last if self.to_step is None else min(recorded_last, self.to_step)


def resolve_columns(query: Query, recorded: Sequence[str]) -> Query:
    """Return the query with its columns named, each once; `step` goes without saying as it is in every answer.

    Raises InvalidInput with every fault of the query at once.
    """
    faults = [*_unknown_columns(query, recorded), *_range_faults(query), *_density_faults(query)]
    if faults:
        raise InvalidInput(faults)
    asked = recorded if query.columns is None else dict.fromkeys(query.columns)
    return replace(query, columns=tuple(column for column in asked if column != "step"))


def _unknown_columns(query: Query, recorded: Sequence[str]) -> list[Fault]:
    known = ["step", *recorded]
    if query.columns is not None and set(query.columns) <= {"step"}:
        return [Fault("columns", "missing", "Name at least one column besides step.", allowed=known)]
    return [
        Fault("columns", "unknown_column", f"This job records no column {column!r}.", allowed=known, got=column)
        for column in query.columns or ()
        if column not in known
    ]


def _range_faults(query: Query) -> list[Fault]:
    if query.from_step is None or query.to_step is None or query.from_step <= query.to_step:
        return []
    message = f"from_step lies behind to_step {query.to_step}."
    return [Fault("from_step", "empty_range", message, allowed={"maximum": query.to_step}, got=query.from_step)]


def _density_faults(query: Query) -> list[Fault]:
    if query.max_points is None:
        return []
    if query.max_points < FEWEST_POINTS:
        message = f"max_points is at least {FEWEST_POINTS}: first, last, lowest and highest are always kept."
        return [Fault("max_points", "out_of_range", message, allowed={"minimum": FEWEST_POINTS}, got=query.max_points)]
    if query.downsample == "none":
        methods = [method for method in get_args(Downsample) if method != "none"]
        message = "Every step and at most max_points of them cannot both be had: leave out one."
        return [Fault("downsample", "contradiction", message, allowed=methods, got="none")]
    return []
