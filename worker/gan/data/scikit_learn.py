"""The real data sets that ship with scikit-learn: digits, alone and stacked, and three tables of measures."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine

from service.spec.datasets import DIGITS, NoParams, StackedDigitsParams
from service.spec.facts import DatasetFacts
from worker.gan.data.points import data_random
from worker.gan.data.training_data import DatasetChanged, Rows

LOADERS: dict[str, Callable[..., Any]] = {
    "digits": load_digits,
    "iris": load_iris,
    "wine": load_wine,
    "breast_cancer": load_breast_cancer,
}


def open_digits(facts: DatasetFacts, _: NoParams) -> Rows:
    """Read the digits (N, 1, 8, 8), 0 to 16."""
    rows, labels = load_recorded(facts)
    return Rows(rows.astype(np.uint8).reshape(-1, *facts.shape), labels)


def open_stacked_digits(facts: DatasetFacts, params: StackedDigitsParams) -> Rows:
    """Draw a digit for each channel of each picture (N, 3, 8, 8), every one as likely as any other."""
    digits, _ = load_recorded(DIGITS)
    channels, *side = facts.shape
    chosen = data_random().integers(len(digits), size=(params.count, channels))
    return Rows(digits.astype(np.uint8).reshape(-1, *side)[chosen], None)


def open_table(facts: DatasetFacts, _: NoParams) -> Rows:
    """Read a table of numbers (N, D)."""
    return Rows(*load_recorded(facts))


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
