"""The real data sets that ship with scikit-learn: digits and three tables of measures."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from torch import Tensor

from service.spec.datasets import NoParams
from service.spec.facts import DatasetFacts
from worker.gan.data.normal_scores import NormalScores
from worker.gan.data.training_data import DatasetChanged, TrainingData

WHITE = 16  # the digits' grid of greys is 0..16

LOADERS: dict[str, Callable[..., Any]] = {
    "digits": load_digits,
    "iris": load_iris,
    "wine": load_wine,
    "breast_cancer": load_breast_cancer,
}


def open_digits(facts: DatasetFacts, _: NoParams) -> TrainingData:
    """Read the digits, black at -1 and white at 1."""
    rows, labels = load_recorded(facts)
    samples = torch.from_numpy(rows).float().reshape(-1, *facts.shape) / (WHITE / 2) - 1
    return TrainingData(facts, samples, torch.from_numpy(labels), to_greys)


def to_greys(samples: Tensor) -> np.ndarray:
    """Return to the digits' own grid of greys, 0..16."""
    greys = ((samples + 1) * (WHITE / 2)).round().clamp(0, WHITE)
    return greys.to("cpu", torch.uint8).numpy()


def open_table(facts: DatasetFacts, _: NoParams) -> TrainingData:
    """Read a table of numbers as whitened normal scores."""
    rows, labels = load_recorded(facts)
    scores = NormalScores(rows)
    return TrainingData(facts, scores.forward(rows), torch.from_numpy(labels), scores.backward)


def load_recorded(facts: DatasetFacts) -> tuple[np.ndarray, np.ndarray]:
    """Load rows (N, D) float64 and classes (N,) int64.

    Raises DatasetChanged when this version of scikit-learn brings other numbers than were recorded.
    """
    rows, labels = LOADERS[facts.name](return_X_y=True)
    rows, labels = rows.astype("<f8", order="C"), labels.astype("<i8")
    found = hashlib.sha256(rows.tobytes() + labels.tobytes()).hexdigest()
    if found != facts.sha256:
        raise DatasetChanged(facts.name, facts.sha256, found)
    return rows, labels
