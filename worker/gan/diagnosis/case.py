"""What a rule is shown, and what it answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

import numpy as np

from service.spec.job import JobSpec
from worker.gan.diagnosis.checkup import Checkup


@dataclass(frozen=True)
class Past:
    """The best that any check-up of the training has measured."""

    diversity: float = 0.0
    coverage: float = 0.0

    def and_then(self, checkup: Checkup) -> "Past":
        """Return the past once the check-up belongs to it; what is not finite was never good."""
        return Past(_better(self.diversity, checkup.diversity), _better(self.coverage, checkup.coverage))


@dataclass(frozen=True)
class Case:
    """The newest rows of a training by column, each (n,), and check-ups, and whether the rule stands raised.

    merits are the followed metric at each measured step, turned so that more is better. A rule that stands raised asks
    for more before it is cleared than it asked for to be raised.
    """

    spec: JobSpec
    last_step: int
    rows: Mapping[str, np.ndarray]
    checkups: Sequence[Checkup]
    past: Past
    is_raised: bool = False
    merits: Mapping[int, float] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """How many rows there are."""
        return len(self.rows["d_loss"])

    def newest(self, column: str, count: int) -> np.ndarray:
        """Return the last values of a column."""
        return self.rows[column][-count:]


@dataclass(frozen=True)
class Finding:
    """The numbers that raise a rule, None where one is not finite, and the steps that they were seen in."""

    first_step: int
    last_step: int
    numbers: dict[str, float | None]


Rule = Callable[[Case], Finding | None]
"""Returns None where nothing is wrong, or there is too little to judge by."""


def found(case: Case, length: int, **numbers: float) -> Finding:
    """Answer with numbers that were seen in the last rows."""
    rounded = {name: float(f"{number:.4g}") if isfinite(number) else None for name, number in numbers.items()}
    return Finding(max(1, case.last_step - length + 1), case.last_step, rounded)


def _better(before: float, now: float) -> float:
    return max(before, now) if isfinite(now) else before
