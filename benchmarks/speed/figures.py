"""Figures with their spread, from rounds that take turns, so that a noisy machine is noisy to all."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Runner = Callable[[int], float]
"""Takes so many steps and returns the seconds that it took."""


class PeerAbsent(Exception):
    """What a row compares with is not installed, or cannot run here."""


@dataclass(frozen=True)
class Figure:
    """The median of rounds and their quartiles."""

    value: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float], *, value: float | None = None) -> "Figure":
        """Summarise one value for each round; another figure than their median may stand for them."""
        several = values if len(values) > 1 else [*values, *values]
        low, middle, high = statistics.quantiles(several, n=4, method="inclusive")
        return cls(middle if value is None else value, low, high, len(values))


@dataclass(frozen=True)
class Effort:
    """How long is measured: rounds, and about how many seconds each variant runs in a round."""

    rounds: int
    block_s: float

    def shared(self, share: float) -> "Effort":
        """Return the effort with blocks of a share of their length."""
        return Effort(self.rounds, self.block_s * share)


FULL = Effort(rounds=15, block_s=1.0)
SHORT = Effort(rounds=5, block_s=0.2)


def timed(step: Callable[[], object]) -> Runner:
    """Make a runner of something that takes one step."""

    def run(steps: int) -> float:
        began = time.perf_counter()
        for _ in range(steps):
            step()
        return time.perf_counter() - began

    return run


def took_s(work: Callable[[], object]) -> float:
    """Return the seconds that a piece of work takes."""
    return timed(work)(1)


def interleave(runners: Mapping[str, Runner], effort: Effort) -> dict[str, list[float]]:
    """Return the seconds a step of each runner, round by round; all take the same number of steps in turns, the order
    reversed every other round. What each does first warms it up.
    """
    for run in runners.values():
        run(2)
    slowest = max(run(2) / 2 for run in runners.values())
    steps = max(1, round(effort.block_s / slowest))
    taken: dict[str, list[float]] = {name: [] for name in runners}
    for number in range(effort.rounds):
        for name in reversed(list(runners)) if number % 2 else runners:
            taken[name].append(runners[name](steps) / steps)
    return taken


def ratio(above: Sequence[float], below: Sequence[float]) -> Figure:
    """Compare two variants round by round."""
    return Figure.of([one / other for one, other in zip(above, below, strict=True)])
