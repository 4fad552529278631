"""An opened data set. Networks and loop see `samples`; a person sees what `to_data_units` makes of the generator's."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from service.spec.facts import DatasetFacts


class DatasetChanged(Exception):
    """The content found is not the content that the spec was made for."""

    def __init__(self, name: str, expected: str, found: str) -> None:
        super().__init__(f"data set {name} has the content {found}, not {expected}")
        self.name, self.expected, self.found = name, expected, found


@dataclass(frozen=True)
class TrainingData:
    """A data set in memory.

    samples is (N, *facts.shape) float32 in network units: vectors and tables have mean 0 and unit spread, pictures lie
    in [-1, 1]. labels is (N,) int64, an index into facts.labels. to_data_units turns a batch in network units into
    what is exported: the data's own units, range and rounding.
    """

    facts: DatasetFacts
    samples: Tensor
    labels: Tensor | None
    to_data_units: Callable[[Tensor], np.ndarray]
