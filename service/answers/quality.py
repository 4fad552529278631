"""Measured quality, as clients see it."""

from collections.abc import Sequence
from typing import Self

from pydantic import BaseModel, Field, model_validator

from service.answers.writing import PageAnswer
from service.models import Quality, Yardstick
from service.spec.quality import METRICS, MetricFacts, better_baselines

Metrics = dict[str, float | None]


class QualityAnswer(BaseModel):
    """What was measured at a step, and what it is compared with."""

    step: int
    attempt: int
    checkpoint: int | None = Field(description="The step of the checkpoint that has these weights, null where none is.")
    metrics: Metrics = Field(description="By the names in /catalog; null where a number is not finite.")
    real: Metrics | None = Field(description="What as many training rows reach, as if a generator had made them.")
    baselines: dict[str, Metrics] | None = Field(description="What generators that need no training reach, by name.")
    behind: list[str] = Field(description="The baselines that are better by the metric that `best` goes by.")

    @classmethod
    def of(cls, row: Quality, *, saved: Sequence[int], yardstick: Yardstick | None, followed: str | None) -> Self:
        """Tell a measured step; `saved` are the steps of the checkpoints that are kept, `followed` is a metric."""
        baselines = {} if yardstick is None else yardstick.baselines
        return cls(
            step=row.step,
            attempt=row.attempt,
            checkpoint=row.step if row.step in saved else None,
            metrics=row.metrics,
            real=yardstick and yardstick.real,
            baselines=yardstick and yardstick.baselines,
            behind=[] if followed is None else better_baselines(followed, row.metrics, baselines),
        )


class MetricMeaning(BaseModel):
    """What the numbers of a metric mean."""

    better: str | None = Field(description="higher or lower; null where a right value lies between.")
    description: str


class QualityPage(PageAnswer[QualityAnswer]):
    """Measured steps, ascending."""

    legend: dict[str, MetricMeaning] = Field({}, description="What the metrics of this page mean.")

    @model_validator(mode="after")
    def _explain(self) -> Self:
        occurring = dict.fromkeys(name for row in self.data for name in row.metrics)
        self.legend = {
            name: MetricMeaning(better=METRICS[name].better, description=METRICS[name].description)
            for name in occurring
            if name in METRICS
        }
        return self


class MetricAnswer(BaseModel):
    """A metric of quality."""

    name: str
    better: str | None = Field(description="higher or lower; null where a right value lies between.")
    description: str
    modalities: list[str]
    needs: str | None = Field(
        description="What the data must have besides: a known mixture, known modes, pitches, labels, names."
    )
    is_costly: bool = Field(description="Measured at the end alone unless it is followed.")

    @classmethod
    def of(cls, metric: MetricFacts) -> Self:
        """Tell a metric."""
        return cls.model_validate(metric, from_attributes=True)
