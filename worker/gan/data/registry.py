"""Data sets by name, opened for training. What is known of them before that is in service.spec.datasets."""

from collections.abc import Callable
from typing import Any

from service.spec.datasets import DATASETS
from service.spec.facts import DatasetFacts
from service.spec.job import DatasetRef
from worker.gan.data.points import open_grid, open_moons, open_ring, open_spiral, open_subspace, open_swiss_roll
from worker.gan.data.scikit_learn import open_digits, open_stacked_digits, open_table
from worker.gan.data.split import EVERYTHING, Split
from worker.gan.data.survey import open_survey
from worker.gan.data.tones import open_tones
from worker.gan.data.training_data import DatasetChanged, Rows, TrainingData, open_rows

OPENERS: dict[str, Callable[[DatasetFacts, Any], Rows]] = {
    "ring": open_ring,
    "grid": open_grid,
    "moons": open_moons,
    "swiss_roll": open_swiss_roll,
    "spiral": open_spiral,
    "subspace": open_subspace,
    "digits": open_digits,
    "iris": open_table,
    "wine": open_table,
    "breast_cancer": open_table,
    "survey": open_survey,
    "stacked_digits": open_stacked_digits,
    "tones": open_tones,
}


def open_dataset(ref: DatasetRef, split: Split = EVERYTHING) -> TrainingData:
    """Open a data set by name, part of it kept aside.

    Raises DatasetChanged when the reference carries another content's hash.
    """
    dataset = DATASETS[ref.name]
    params = dataset.params.model_validate(ref.params)
    facts = dataset.facts(params)
    if ref.sha256 not in (None, facts.sha256):
        raise DatasetChanged(ref.name, str(ref.sha256), facts.sha256)
    return open_rows(facts, OPENERS[ref.name](facts, params), split)
