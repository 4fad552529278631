"""Quality of an attempt: measured at its cadence and shown through the outbox. How is in worker.gan.metrics."""

from pathlib import Path

import torch
from sqlalchemy.orm import Session

from service.models import Job
from service.spec.job import DatasetRef, JobSpec
from service.spec.quality import METRICS, has_stalled, merit
from service.store.quality import add_quality, add_yardstick
from worker.gan.data.split import Split
from worker.gan.data.training_data import TrainingData
from worker.gan.metrics.cache import Cache
from worker.gan.metrics.comparison import Comparison, compare
from worker.gan.metrics.yardstick import METRICS_VERSION, Metrics, Yardstick, key_of, make_yardstick
from worker.gan.training import Training
from worker.outbox import Outbox
from worker.treatment import Row
from worker.vigil import Vigil

_DEADLINE_S = 600.0


def split_of(spec: JobSpec) -> Split:
    """Return which rows a job trains on. A spec of before there was quality keeps nothing aside."""
    seed = spec.seed if spec.quality.split_seed is None else spec.quality.split_seed
    return Split(spec.quality.held_out or 0.0, seed or 0)


class Measurer:
    """Measures for one attempt. Nothing here touches the randomness of training."""

    def __init__(self, outbox: Outbox, vigil: Vigil, *, spec: JobSpec, ref: DatasetRef, cache: Path) -> None:
        self._outbox, self._vigil, self._spec, self._ref = outbox, vigil, spec, ref
        self._cache = Cache(cache)
        self._metric = spec.quality.metric or ""
        self._yardstick: Yardstick | None = None

    def measure(self, training: Training) -> None:
        """Show the metrics of this step, unless it has diverged or nothing is to be measured."""
        self._measure(training, thoroughly=METRICS[self._metric].is_costly)

    def measure_last(self, training: Training) -> None:
        """Show also those that are too costly to be measured again and again."""
        self._measure(training, thoroughly=True)

    def has_stalled(self, training: Training) -> bool:
        """Tell whether the job is to stop early here."""
        rules = self._spec.quality.early_stop
        if rules is None:
            return False
        merits = [training.merits[step] for step in sorted(training.merits)]
        return has_stalled(merits, patience_points=rules.patience_points, min_delta=rules.min_delta)

    def _measure(self, training: Training, *, thoroughly: bool) -> None:
        self._outbox.losses()
        if not self._spec.quality.every_steps or training.data.held_out is None or self._outbox.verdict:
            return
        with self._vigil.phase("measure quality", _DEADLINE_S):
            yardstick = self._yardstick = self._yardstick or self._begin(training.opened)
            metrics = measure_training(training, yardstick, thoroughly=thoroughly)
        worth = merit(self._metric, metrics)
        if worth is not None:
            training.merits[training.step_number] = worth
        self._outbox.add(_quality_row(training.step_number, metrics, self._metric, worth))

    def _begin(self, data: TrainingData) -> Yardstick:
        """Make the yardstick, and show what it says of real data and of baselines."""
        split, count = split_of(self._spec), self._spec.quality.count
        yardstick = make_yardstick(self._ref, data, count=count, split=split, cache=self._cache)
        key = key_of(data.facts, split, METRICS_VERSION, len(yardstick.real.values))
        self._outbox.add(_yardstick_row(compare(yardstick, data, self._cache, key)))
        return yardstick


def measure_training(training: Training, yardstick: Yardstick, *, thoroughly: bool) -> Metrics:
    """Measure what the generator makes of latents that are the same at each step, of the classes of the real rows."""
    labels = None
    if training.spec.model.conditional and yardstick.real.labels is not None:
        labels = torch.from_numpy(yardstick.real.labels)
    samples = training.sample_for_quality(yardstick.count if labels is None else len(labels), labels)
    made = yardstick.as_rows(training.data.to_data_units(samples), None if labels is None else labels.numpy())
    return yardstick.measure_thoroughly(made) if thoroughly else yardstick.measure(made)


def _quality_row(step: int, metrics: Metrics, metric: str, worth: float | None) -> Row:
    def show(session: Session, job: Job) -> None:
        add_quality(session, job, step=step, metrics=metrics, metric=metric, merit=worth)

    return show


def _yardstick_row(comparison: Comparison) -> Row:
    def show(session: Session, job: Job) -> None:
        add_yardstick(session, job, real=comparison.real, baselines=comparison.baselines)

    return show
