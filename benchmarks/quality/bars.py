"""The bars by id: which data a default recipe has to learn, and which figures it has to reach in how many seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

FIRST_SEED = 101  # those below, recipes were looked for with
TEN_SEEDS = range(FIRST_SEED, FIRST_SEED + 10)

Beside = Literal["real", "copula", "ctgan"]

HALF_HELD_OUT: dict[str, Any] = {"quality": {"held_out": 0.5, "every_steps": 0}}


@dataclass(frozen=True)
class Rule:
    """What the median over the seeds has to be within: of the figure, or of its difference, seed by seed, from `factor`
    times the same figure of a row that stands beside it, where one is named.
    """

    metric: str
    least: float | None = None
    most: float | None = None
    beside: Beside | None = None
    factor: float = 1.0

    def judged(self, value: float | None, beside: float | None = None) -> float | None:
        """Return what the bounds are held to: the value, or how far it is beyond the figure of the row that the rule
        names; None where one was not measured.
        """
        if value is None or (self.beside is not None and beside is None):
            return None
        return value - self.factor * (beside or 0.0)

    def holds(self, judged: float | None) -> bool:
        """Tell whether what is judged is within the bounds."""
        if judged is None:
            return False
        return (self.least is None or judged >= self.least) and (self.most is None or judged <= self.most)

    def __str__(self) -> str:
        bounds = [
            f"{sign} {self._bound(bound)}"
            for sign, bound in ((">=", self.least), ("<=", self.most))
            if bound is not None
        ]
        return f"{self.metric} {' and '.join(bounds)}"

    def _bound(self, bound: float) -> str:
        if self.beside is None:
            return f"{bound:g}"
        row = self.beside if self.factor == 1 else f"{self.factor:g} {self.beside}"
        return f"{row} {bound:+g}" if bound else row


@dataclass(frozen=True)
class Bar:
    """A data set and the rules of its figures; shown are figures that stand beside them."""

    id: str
    dataset: str
    rules: Sequence[Rule]
    shown: Sequence[str] = ()
    seeds: range = TEN_SEEDS
    protocol: Mapping[str, Any] = field(default_factory=lambda: HALF_HELD_OUT)

    def __str__(self) -> str:
        return f"{self.id}, {self.dataset}"

    @property
    def rivals(self) -> set[Beside]:
        """Name what else is trained on the same rows."""
        return {rule.beside for rule in self.rules if rule.beside == "ctgan"}


SMALL_TABLE = (
    Rule("tstr", -0.03, beside="copula"),
    Rule("coverage", 0, beside="copula"),
    Rule("recall", -0.07, beside="copula"),
    Rule("detection_auc", most=0, beside="copula"),
    Rule("seconds", most=20),
)
"""About as far from a normal copula of each class as the bar of breast_cancer is from its own."""

WIDTH = Rule("width", 0.8, 1.25)
DEFAULT_SECONDS = Rule("seconds", most=240)  # what any default recipe may take of small data

BARS = (
    Bar(
        "B1",
        "ring",
        (
            Rule("modes", 8),
            Rule("high_quality", 0.95, 0.995),
            Rule("reverse_kl", most=0.01),
            WIDTH,
            Rule("seconds", most=30),
        ),
    ),
    Bar(
        "B2",
        "grid",
        (
            Rule("modes", 25),
            Rule("high_quality", 0.95, 0.995),
            Rule("reverse_kl", most=0.02),
            WIDTH,
            Rule("seconds", most=30),
        ),
    ),
    Bar(
        "B3",
        "subspace",
        (
            Rule("modes", 9),
            Rule("high_quality", 0.8),
            # Two of ten modes with less than a hundredth of the samples each would make it 0.2.
            Rule("reverse_kl", most=0.1),
            Rule("seconds", most=90),
        ),
        shown=("width",),
    ),
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
            Rule("seconds", most=45),
        ),
    ),
    Bar(
        "B5",
        "stacked_digits",
        (Rule("modes", 1_000), Rule("reverse_kl", most=0.1), DEFAULT_SECONDS),
        # A normal law fills all modes as well, with pictures that no one would take for digits.
        shown=("frechet", "recall", "coverage"),
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
            Rule("seconds", most=20),
        ),
        shown=("density", "shapes", "nearer_to_train"),
    ),
    Bar("B6", "iris", SMALL_TABLE, shown=("density", "nearer_to_train")),
    Bar("B6", "wine", SMALL_TABLE, shown=("density", "nearer_to_train")),
    Bar(
        "B7",
        "tones",
        (Rule("pitches", 12), Rule("in_tune", 0.9), DEFAULT_SECONDS),
        shown=("frechet", "spectral_convergence", "recall", "coverage"),
    ),
    Bar(
        "B8",
        "dirac",
        (Rule("radius_error", most=1e-6), Rule("loss_error", most=1e-6), Rule("gradient_error", most=1e-6)),
        seeds=TEN_SEEDS[:1],
    ),
    Bar(
        "B9",
        "survey",
        (
            Rule("pairs", 0, beside="ctgan"),
            Rule("shapes", 0, beside="ctgan"),
            Rule("detection_auc", most=0, beside="ctgan"),
            # It trains once, perhaps on another day, so the clock would compare what else the machine had to do.
            Rule("cpu_seconds", most=0, beside="ctgan", factor=0.1),
        ),
        shown=("tstr", "recall", "coverage", "category_coverage"),
        seeds=TEN_SEEDS[:3],
    ),
)
