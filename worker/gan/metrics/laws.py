"""Data sets whose modes are known: what they are, and how a perfect generator would fill them."""

from typing import Protocol

import numpy as np

from service.spec.datasets import STACKED_DIGITS
from service.spec.facts import DatasetFacts
from service.spec.job import DatasetRef
from worker.gan.data.training_data import Rows
from worker.gan.metrics.cache import Cache
from worker.gan.metrics.mixtures import known_mixture
from worker.gan.metrics.stacks import learn_stacks


class Law(Protocol):
    """A law whose modes can be counted."""

    @property
    def samples(self) -> int:
        """How many rows the modes are counted by."""

    def metrics(self, made: np.ndarray) -> dict[str, float]:
        """Tell how well rows in data units follow the law."""

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """Draw so many rows as a perfect generator would."""


def law_of(ref: DatasetRef, facts: DatasetFacts, train: Rows, *, cache: Cache, key: str) -> Law | None:
    """Return the law of a data set; None where it is not known. What has to be learnt of it is kept under the key."""
    if ref.name == STACKED_DIGITS.name:
        return learn_stacks(facts, train, cache=cache, key=key)
    return known_mixture(ref)
