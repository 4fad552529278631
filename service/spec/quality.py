"""The metrics of quality: what each says, of which data, and which may be followed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from service.spec.facts import DatasetFacts, Modality

DEFAULT_SHARE = 0.2  # of the rows, kept aside
DEFAULT_COUNT = 1_000
LEAST_ROWS = 10  # to measure against; of fewer held-out rows nothing can be told
MOST_ROWS = 5_000
MEASURING_POINTS = 5  # in a job whose spec does not say how often to measure
KNOWN_MIXTURES = ("ring", "grid", "subspace")
KNOWN_MODES = (*KNOWN_MIXTURES, "stacked_digits")
KNOWN_PITCHES = ("tones",)  # sounds that are uploaded may turn out to have some

ALL: tuple[Modality, ...] = ("vector", "image", "table", "audio")


@dataclass(frozen=True)
class MetricFacts:
    """A metric. One that has no better end, for a right value lies between, cannot be followed.

    needs names what the data must have besides its modality; a costly one is measured at the end alone, unless it is
    followed.
    """

    name: str
    better: Literal["higher", "lower"] | None
    description: str
    modalities: tuple[Modality, ...] = ALL
    needs: Literal["mixture", "modes", "pitches", "labels", "names"] | None = None
    is_costly: bool = False

    def applies_to(self, facts: DatasetFacts) -> bool:
        """Tell whether it is sure to be measured of this data."""
        has: Mapping[str | None, bool] = {
            None: True,
            "mixture": facts.name in KNOWN_MIXTURES,
            "modes": facts.name in KNOWN_MODES,
            "pitches": facts.name in KNOWN_PITCHES,
            "labels": len(facts.labels) > 1,
            "names": any(column.kind in {"category", "boolean"} for column in facts.table),
        }
        return facts.modality in self.modalities and has[self.needs]


METRICS: dict[str, MetricFacts] = {
    metric.name: metric
    for metric in (
        MetricFacts(
            "modes",
            "higher",
            "Gaussians with a sample within 3 sigma (1.5 sqrt(D) sigma beyond 4 dimensions); "
            "triples of digits that a judge has seen.",
            ("vector", "image"),
            "modes",
        ),
        MetricFacts(
            "high_quality",
            None,
            "Share of samples as near to a centre; 0.98889 when perfect in the plane, "
            "more when modes are too narrow.",
            ("vector",),
            "mixture",
        ),
        MetricFacts(
            "reverse_kl",
            "lower",
            "Divergence of the shares of K modes from equal ones; (K-1)/2N when perfect.",
            ("vector", "image"),
            "modes",
        ),
        MetricFacts(
            "width", None, "Median distance to the nearest centre over the true one.", ("vector",), "mixture"
        ),
        MetricFacts("precision", "higher", "Share of samples among the real rows."),
        MetricFacts("recall", "higher", "Share of real rows among the samples."),
        MetricFacts("density", None, "How densely samples lie among the real rows; 1 is right."),
        MetricFacts("coverage", "higher", "Share of real rows with a sample in their neighbourhood."),
        MetricFacts(
            "nearer_to_train",
            "lower",
            "Share of samples nearer to a training than to a held-out row; 0.5 is right, and real rows have 1, being "
            "training rows.",
        ),
        MetricFacts(
            "copying",
            None,
            "Chance that a sample is nearer to the training rows than a held-out row; 0.5 is right, and real rows have "
            "1, being training rows.",
        ),
        MetricFacts("frechet", "lower", "Distance of the first two moments of features.", ("image", "audio")),
        MetricFacts("kernel_distance", "lower", "Distance of features under a cubic kernel.", ("image", "audio")),
        MetricFacts(
            "smallest_class", "higher", "Share of the class that samples look like least often.", ("image",), "labels"
        ),
        MetricFacts("spectral_convergence", "lower", "Error of the mean spectrum.", ("audio",)),
        MetricFacts("pitches", "higher", "Pitches of the data that some sample hits.", ("audio",), "pitches"),
        MetricFacts(
            "in_tune",
            "higher",
            "Share of samples within 25 cents of their pitch, 20 dB above all three bins away.",
            ("audio",),
            "pitches",
        ),
        MetricFacts("shapes", "higher", "1 - the mean distance between columns, each by itself.", ("table",)),
        MetricFacts("pairs", "higher", "1 - the mean error of how two columns hang together.", ("table",)),
        MetricFacts(
            "category_coverage", "higher", "Share of a column's categories that occur.", ("table",), "names"
        ),
        MetricFacts(
            "detection_auc", "lower", "How well a forest tells samples from real rows; 0.5 is right.", ("table",),
            is_costly=True,
        ),
        MetricFacts(
            "tstr", "higher", "Accuracy on held-out rows of a classifier that learnt from samples.",
            needs="labels",
        ),
    )
}  # fmt: skip

FOLLOWED: dict[Modality, str] = {
    "vector": "coverage",
    "image": "frechet",
    "table": "coverage",
    "audio": "frechet",
}
"""Which metric `best` and an early stop go by where the spec names none."""


def merit(metric: str, metrics: Mapping[str, float | None]) -> float | None:
    """Return the value of a followed metric, turned so that more is better; None where it was not measured."""
    value = metrics.get(metric)
    if value is None:
        return None
    return value if METRICS[metric].better == "higher" else -value


def better_baselines(
    metric: str, metrics: Mapping[str, float | None], baselines: Mapping[str, Mapping[str, float | None]]
) -> list[str]:
    """Return the names of the trivial generators that are ahead of a measured step by a followed metric."""
    reached = merit(metric, metrics)
    merits = {name: merit(metric, its) for name, its in baselines.items()}
    return [name for name, its in merits.items() if reached is not None and its is not None and its > reached]


def has_stalled(merits: list[float], *, patience_points: int, min_delta: float) -> bool:
    """Tell whether the best of the last points is not better by min_delta than the best before them."""
    before, last = merits[:-patience_points], merits[-patience_points:]
    return bool(before) and max(last) <= max(before) + min_delta
