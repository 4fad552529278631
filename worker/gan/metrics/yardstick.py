"""Everything that quality is measured against: held-out rows, features, judges, and what trivial generators reach."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import sklearn
import torch

from service.spec.facts import DatasetFacts
from service.spec.job import DatasetRef
from worker.gan.data.split import Split
from worker.gan.data.training_data import Rows, TrainingData
from worker.gan.metrics.baselines import baselines_for
from worker.gan.metrics.cache import Cache
from worker.gan.metrics.classifiers import detection_auc, train_on_made_test_on_real
from worker.gan.metrics.features import Features, features_for, label_column, label_free
from worker.gan.metrics.frechet import frechet_distance, kernel_distance
from worker.gan.metrics.judges import JUDGES_VERSION, Judge, as_fractions, kept_judges, teach_judges
from worker.gan.metrics.laws import Law, law_of
from worker.gan.metrics.neighbours import Neighbourhood
from worker.gan.metrics.pitches import Pitches, learn_pitches
from worker.gan.metrics.sounds import spectral_convergence
from worker.gan.metrics.tables import column_metrics

MOST_TRAINING_ROWS = 5_000  # that baselines and judges learn from
LEAST_TRAINING_ROWS, MOST_NUMBERS = 1_000, 2**21  # among which nearest neighbours are looked for
METRICS_VERSION = 3  # raise it whenever the same samples would be measured otherwise

Metrics = dict[str, float | None]
"""Numbers by name; None is one that is not finite."""


@dataclass(frozen=True)
class Yardstick:
    """Measures rows in data units, as they are exported, against as many held-out rows `real`."""

    facts: DatasetFacts
    train: Rows
    real: Rows
    judges: Sequence[Judge]
    features: Features
    features_but_label: Features
    neighbourhood: Neighbourhood
    law: Law | None = None
    pitches: Pitches | None = None

    @property
    def count(self) -> int:
        """How many rows should be made to be measured."""
        return max(len(self.real.values), self.law.samples if self.law is not None else 0)

    def as_rows(self, values: np.ndarray, labels: np.ndarray | None) -> Rows:
        """Return made rows with their labels: those in the table itself, or those that they were made for."""
        column = label_column(self.facts)
        if column is None:
            return Rows(values, labels)
        codes = np.nan_to_num(values[:, column], nan=len(self.facts.table[column].categories))
        return Rows(values, codes.astype(np.int64))

    def measure(self, made: Rows) -> Metrics:
        """Return what is cheap enough to be measured again and again. made has at least as many rows as `real`."""
        metrics: Metrics = {} if self.law is None else {**self.law.metrics(made.values)}
        made = self._as_many_as_real(made)
        metrics |= self._of_neighbours(made)
        match self.facts.modality:
            case "image":
                metrics |= self._of_judges(made.values)
            case "audio":
                metrics |= self._of_sounds(made)
            case "table":
                metrics |= column_metrics(self.facts, self.real.values, made.values)
        return {name: _finite(value) for name, value in (metrics | self._of_labels(made)).items()}

    def measure_thoroughly(self, made: Rows) -> Metrics:
        """Return the same and what takes seconds."""
        metrics = self.measure(made)
        if self.facts.modality == "table":
            some = self._as_many_as_real(made).values
            metrics["detection_auc"] = detection_auc(self.features(self.real.values), self.features(some))
        return metrics

    def of_training_rows(self) -> Metrics:
        """Measure training rows as if a generator had made them: what real data of this size reaches. Modes are counted
        in fresh draws of their law, for there may be fewer training rows than it takes.
        """
        metrics = self.measure_thoroughly(self._training_rows_like_real())
        if self.law is not None:
            metrics |= self.law.metrics(self.law.draw(_random()))
        return metrics

    def of_baselines(self, data: TrainingData) -> dict[str, Metrics]:
        """Measure generators that need no training, each exported as a trained one would be."""
        measured = {}
        for name, draw in baselines_for(self.facts).items():
            random = _random()
            drawn = [draw(self.train, self.real, random) for _ in range(-(-self.count // len(self.real.values)))]
            exported = np.concatenate([data.to_data_units(data.encoding.forward(part)) for part in drawn])
            measured[name] = self.measure_thoroughly(self.as_rows(exported, self._labels_of(len(drawn))))
        return measured

    def tstr(self, made: Rows) -> float | None:
        """Return the accuracy on real rows of a classifier that learnt from made ones; None without labels."""
        if made.labels is None or self.real.labels is None:
            return None
        parts = self.features_but_label(made.values), made.labels, self.features_but_label(self.real.values)
        return train_on_made_test_on_real(*parts, self.real.labels)

    def _training_rows_like_real(self) -> Rows:
        if self.train.labels is not None and self.real.labels is not None:
            return self.train.taken(_alike(self.train.labels, self.real.labels))
        return self.train.taken(_evenly(len(self.train.values), min(len(self.real.values), len(self.train.values))))

    def _labels_of(self, times: int) -> np.ndarray | None:
        return None if self.real.labels is None else np.tile(self.real.labels, times)

    def _as_many_as_real(self, made: Rows) -> Rows:
        return made.taken(np.arange(min(len(made.values), len(self.real.values))))

    def _of_neighbours(self, made: Rows) -> dict[str, float]:
        features = self.features(made.values)
        return self.neighbourhood.metrics(features) | self.neighbourhood.memorisation(features)

    def _of_judges(self, made: np.ndarray) -> dict[str, float]:
        pictures = [as_fractions(self.facts, values) for values in (self.real.values, made)]
        units = [[judge.units(part) for part in pictures] for judge in self.judges]
        metrics = {
            "frechet": float(np.mean([frechet_distance(*pair) for pair in units])),
            "kernel_distance": float(np.mean([kernel_distance(*pair) for pair in units])),
        }
        if self.train.labels is not None:
            scores = np.mean([judge.scores(pair[1]) for judge, pair in zip(self.judges, units, strict=True)], axis=0)
            shares = np.bincount(scores.argmax(axis=1), minlength=scores.shape[1]) / len(made)
            metrics["smallest_class"] = float(shares.min())
        return metrics

    def _of_sounds(self, made: Rows) -> dict[str, float]:
        features = self.features(self.real.values), self.features(made.values)
        return {
            "frechet": frechet_distance(*features),
            "kernel_distance": kernel_distance(*features),
            "spectral_convergence": spectral_convergence(self.real.values, made.values),
            **({} if self.pitches is None else self.pitches.metrics(made)),
        }

    def _of_labels(self, made: Rows) -> Metrics:
        accuracy = self.tstr(made)
        return {} if accuracy is None else {"tstr": accuracy}


def make_yardstick(ref: DatasetRef, data: TrainingData, *, count: int, split: Split, cache: Cache) -> Yardstick:
    """Take the measure of an opened data set of which part was held out; at most `count` of those rows are used."""
    if data.held_out is None:
        raise ValueError("nothing was kept aside to measure against")
    train = training_rows(data)
    # What real rows reach is told from as many training rows, so there may be no more of the others.
    real = data.held_out.taken(_evenly(len(data.held_out.values), min(count, len(train.values))))
    key = key_of(data.facts, split, JUDGES_VERSION)
    is_picture, is_sound = data.facts.modality == "image", data.facts.modality == "audio"
    judges = kept_judges(cache, key, lambda: teach_judges(data.facts, train)) if is_picture else []
    features = features_for(data.facts, train, judges)
    known = features(train.values)
    some = _evenly(len(known), max(LEAST_TRAINING_ROWS, MOST_NUMBERS // known.shape[1]))
    return Yardstick(
        data.facts,
        train,
        real,
        judges,
        features=features,
        features_but_label=label_free(data.facts, train) or features,
        neighbourhood=Neighbourhood.of(known[some], features(real.values)),
        law=law_of(ref, data.facts, train, cache=cache, key=key),
        pitches=learn_pitches(data.facts, train) if is_sound else None,
    )


def training_rows(data: TrainingData) -> Rows:
    """Return rows that are trained on, as they would be exported."""
    most = min(MOST_TRAINING_ROWS, max(LEAST_TRAINING_ROWS, 4 * MOST_NUMBERS // prod(data.facts.shape)))
    which = _evenly(len(data.samples), most)
    samples = data.samples[torch.from_numpy(which)]
    return Rows(data.to_data_units(samples), None if data.labels is None else data.labels.numpy()[which])


def key_of(facts: DatasetFacts, split: Split, *versions: object) -> str:
    """Name what follows from the content of a data set and how it is split."""
    named = [facts.name, facts.sha256, list(facts.shape), split.held_out, split.seed, *versions, np.__version__]
    return hashlib.sha256(json.dumps([*named, sklearn.__version__, torch.__version__]).encode()).hexdigest()


def _random() -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(0))


def _evenly(count: int, most: int) -> np.ndarray:
    """Return at most so many of the numbers below count, evenly spaced."""
    return np.linspace(0, count - 1, min(count, most)).astype(int)


def _alike(labels: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the numbers of rows of the classes that are wanted, of each as many as wanted where there are so many."""
    chosen = []
    for label, count in zip(*np.unique(wanted, return_counts=True), strict=True):
        members = np.flatnonzero(labels == label)
        chosen.append(members[_evenly(len(members), count)])  # neighbours may be of one hand: the digits' are
    return np.concatenate(chosen)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
