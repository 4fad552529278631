"""An opened data set: what networks and loop see, how it becomes what a person sees, and what is kept aside."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from service.spec.facts import DatasetFacts
from service.spec.sizes.timbre import specimens_of
from service.spec.tables import lies_in_the_plane
from worker.gan.data.encoding import Encoding, learn_encoding
from worker.gan.data.split import Split
from worker.gan.data.timbre import SOUNDS_AT_ONCE, Timbre

HELD_BYTES = 2**28  # larger data is encoded batch by batch, from wherever its rows are
SPECIMENS = 10_000  # rows that stand for all of them where a statistic is taken
BACKDROP_POINTS = 2_000


class DatasetChanged(Exception):
    """The content found is not the content that the spec was made for."""

    def __init__(self, name: str, expected: str, found: str) -> None:
        super().__init__(f"data set {name} has the content {found}, not {expected}")
        self.name, self.expected, self.found = name, expected, found


@dataclass(frozen=True)
class Rows:
    """Rows (N, ...) in data units, perhaps memory-mapped, and their labels (N,) int64, indices into facts.labels."""

    values: np.ndarray
    labels: np.ndarray | None

    def taken(self, which: np.ndarray) -> "Rows":
        """Return some of the rows, copied."""
        return Rows(self.values[which], None if self.labels is None else self.labels[which])


class EncodedRows:
    """Samples of data that is too large to be held: rows are read and encoded when a batch asks for them."""

    def __init__(self, values: np.ndarray, which: np.ndarray, encoding: Encoding) -> None:
        self._values, self._which, self._encoding = values, which, encoding

    def __len__(self) -> int:
        return len(self._which)

    def __getitem__(self, indices: Tensor) -> Tensor:
        """Return samples (n, *shape) in network units for indices (n,) on the host."""
        return self._encoding.forward(np.ascontiguousarray(self._values[self._which[indices.numpy()]]))


Samples = Tensor | EncodedRows


@dataclass(frozen=True)
class TrainingData:
    """A data set to train on.

    samples are (N, *facts.shape) float32 in network units: vectors and tables have mean 0 and unit spread, sounds unit
    spread and on average a flat spectrum, pictures lie in [-1, 1]. Of sounds as timbres they are (N, COMPONENTS).
    labels is (N,) int64, an index into facts.labels. held_out are rows in data units that nothing has learnt from, for
    measuring.
    """

    facts: DatasetFacts
    samples: Samples
    labels: Tensor | None
    encoding: Encoding
    held_out: Rows | None = None

    @property
    def to_data_units(self) -> Callable[[Tensor], np.ndarray]:
        """Turn samples in network units into what is exported."""
        return self.encoding.backward

    def specimens(self, count: int = SPECIMENS) -> Tensor:
        """Return at most so many samples, taken evenly from all, in network units."""
        return self.samples[self._evenly(count)]

    def specimen_labels(self, count: int = SPECIMENS) -> Tensor | None:
        """Return the labels of those samples."""
        return None if self.labels is None else self.labels[self._evenly(count)]

    def backdrop(self) -> np.ndarray | None:
        """Return real points in data units to draw generated ones over; None when they are not in the plane."""
        return self.to_data_units(self.specimens(BACKDROP_POINTS)) if lies_in_the_plane(self.facts) else None

    def _evenly(self, count: int) -> Tensor:
        return torch.linspace(0, len(self.samples) - 1, min(count, len(self.samples))).long()


def open_rows(facts: DatasetFacts, rows: Rows, split: Split) -> TrainingData:
    """Keep part of the rows aside, learn the encoding from the others and encode them, if there is room for them."""
    training, held_out = split.of(len(rows.values), rows.labels)
    fits = training.size * np.prod(facts.shape) * 4 <= HELD_BYTES
    learnt_from = rows.values[training if fits else training[:: -(-training.size // SPECIMENS)]]
    encoding = learn_encoding(facts, learnt_from)
    return TrainingData(
        facts,
        encoding.forward(learnt_from) if fits else EncodedRows(rows.values, training, encoding),
        None if rows.labels is None else torch.from_numpy(np.ascontiguousarray(rows.labels[training])),
        encoding,
        rows.taken(held_out) if len(held_out) else None,
    )


def as_seen_by(architecture: str, data: TrainingData, learnt: Mapping[str, np.ndarray] | None = None) -> TrainingData:
    """Encode opened data anew for networks that see it otherwise: sounds as timbres, all of them held.

    What an encoding has learnt before can be given: learnt again elsewhere, an axis may point the other way.
    """
    if architecture != "timbre":
        return data
    length = data.facts.shape[1]
    if learnt is None:
        timbre = Timbre.of(data.to_data_units(data.specimens(specimens_of(length))))
    else:
        timbre = Timbre.restore(learnt, length)
    parts = torch.split(torch.arange(len(data.samples)), SOUNDS_AT_ONCE)
    samples = torch.cat([timbre.forward(data.to_data_units(data.samples[which])) for which in parts])
    return replace(data, samples=samples, encoding=timbre)
