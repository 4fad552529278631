"""The bars by id: which data a default recipe has to learn, and which figures it has to reach in how many seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Beside = Literal["real", "copula"]

HALF_HELD_OUT: dict[str, Any] = {"quality": {"held_out": 0.5, "every_steps": 0}}


@dataclass(frozen=True)
class Rule:
    """What the median over the seeds has to be: within bounds, which may move with a row that stands beside it."""

    metric: str
    least: float | None = None
    most: float | None = None
    beside: Beside | None = None

    def holds(self, value: float | None, beside: float | None = None) -> bool:
        """Tell whether a value is within the bounds; beside is the figure of the row that the rule names."""
        if value is None or (self.beside is not None and beside is None):
            return False
        offset = beside or 0.0
        return (self.least is None or value >= self.least + offset) and (
            self.most is None or value <= self.most + offset
        )

    def __str__(self) -> str:
        bounds = [
            f"{sign} {self._bound(bound)}"
            for sign, bound in ((">=", self.least), ("<=", self.most))
            if bound is not None
        ]
        return f"{self.metric} {' and '.join(bounds)}"

    def _bound(self, bound: float) -> str:
        return f"{bound:g}" if self.beside is None else f"{self.beside} {bound:+g}"


@dataclass(frozen=True)
class Bar:
    """A data set, the rules of its figures, and the seconds that training may take on one thread."""

    id: str
    dataset: str
    rules: Sequence[Rule]
    seconds: float
    seeds: int = 10
    protocol: Mapping[str, Any] = field(default_factory=lambda: HALF_HELD_OUT)

    def __str__(self) -> str:
        return f"{self.id}, {self.dataset}"


WIDTH = Rule("width", 0.8, 1.25)

BARS = (
    Bar("B1", "ring", (Rule("modes", 8), Rule("high_quality", 0.95, 0.995), Rule("reverse_kl", most=0.01), WIDTH), 30),
    Bar("B2", "grid", (Rule("modes", 25), Rule("high_quality", 0.95, 0.995), Rule("reverse_kl", most=0.02), WIDTH), 30),
    # Two of ten modes with less than a hundredth of the samples each would make the divergence 0.2.
    Bar("B3", "subspace", (Rule("modes", 9), Rule("high_quality", 0.8), Rule("reverse_kl", most=0.1)), 90),
    Bar(
        "B4",
        "digits",
        (
            Rule("recall", 0.78),
            Rule("coverage", 0.93),
            Rule("density", 0.9, 1.25),
            Rule("frechet", most=0.6),
            Rule("tstr", 0.95),
            Rule("smallest_class", 0.07),
            Rule("nearer_to_train", most=0.75),
        ),
        45,
    ),
    Bar(
        "B6",
        "breast_cancer",
        (
            Rule("coverage", 0.93),
            Rule("detection_auc", most=0.66),
            Rule("pairs", 0.965),
            Rule("tstr", -0.01, beside="real"),
            Rule("recall", 0.85),
        ),
        20,
    ),
    Bar("B6", "iris", (Rule("tstr", -0.03, beside="copula"),), 20),
    Bar("B6", "wine", (Rule("tstr", -0.03, beside="copula"),), 20),
)
