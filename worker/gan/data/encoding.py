"""How the rows of a data set become what networks see, and how what a generator makes becomes rows again.

There is an encoding for each modality, and one more of sounds for networks that see them as timbres. It is learnt from
the rows that are trained on and goes into the generator's file, so that samples can be made where the data is not.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from service.spec.facts import MANY_COORDINATES, DatasetFacts, Modality
from worker.gan.data.decoders import Affine
from worker.gan.data.flat_spectrum import FlatSpectrum
from worker.gan.data.mixed_table import MixedTable
from worker.gan.data.normal_scores import NormalScores
from worker.gan.data.timbre import Timbre


class Encoding(Protocol):
    """Rows (N, ...) in data units to samples (N, *shape) in network units, and back."""

    def forward(self, rows: np.ndarray) -> Tensor:
        """Return float32 in network units: all of unit spread, but pictures in [-1, 1]."""

    def backward(self, samples: Tensor) -> np.ndarray:
        """Return what is exported: the data's own units, range and rounding."""

    def decoder(self) -> nn.Module:
        """Return what `backward` does as a module of tensors, as far as such a one can (data.decoders)."""

    def learnt(self) -> dict[str, np.ndarray]:
        """Return all that the facts of the data do not say."""


class Pixels:
    """Pictures of whole numbers from 0 (black, -1) to `white` (1)."""

    def __init__(self, white: int) -> None:
        self._white = white

    def forward(self, rows: np.ndarray) -> Tensor:
        return torch.from_numpy(rows).float() / (self._white / 2) - 1

    def backward(self, samples: Tensor) -> np.ndarray:
        pixels = (samples + 1).mul_(self._white / 2).round_().clamp_(0, self._white)  # in place: there may be many
        return pixels.to("cpu", torch.uint8).numpy()

    def decoder(self) -> nn.Module:
        return Affine(np.array(self._white / 2), np.array(self._white / 2))

    def learnt(self) -> dict[str, np.ndarray]:
        return {}


class Standardised:
    """Vectors about their mean, divided by a deviation for each coordinate."""

    def __init__(self, mean: np.ndarray, deviation: np.ndarray) -> None:
        self._mean, self._deviation = mean, deviation

    def forward(self, rows: np.ndarray) -> Tensor:
        return torch.from_numpy(((rows - self._mean) / self._deviation).astype(np.float32))

    def backward(self, samples: Tensor) -> np.ndarray:
        rows: np.ndarray = samples.double().cpu().numpy() * self._deviation + self._mean
        return rows.astype(np.float32)

    def decoder(self) -> nn.Module:
        return Affine(self._deviation, self._mean)

    def learnt(self) -> dict[str, np.ndarray]:
        return {"mean": self._mean, "deviation": self._deviation}


def learn_standardised(_: DatasetFacts, rows: np.ndarray) -> Standardised:
    """Learn mean and deviation: of each of a few coordinates; of many together, whose differences in spread mean much.

    Many are moreover brought to the length that two have, so that the same rates and penalties suit them: a network's
    output moves further, and a distance is longer, the more coordinates there are.
    """
    deviation = rows.std(axis=0, dtype=np.float64)
    if len(deviation) >= MANY_COORDINATES:
        together = np.sqrt(np.mean(deviation**2)) * np.sqrt(len(deviation) / 2)
        deviation = np.full_like(deviation, together)
    return Standardised(rows.mean(axis=0, dtype=np.float64), np.where(deviation > 0, deviation, 1.0))


def learn_table(facts: DatasetFacts, rows: np.ndarray) -> Encoding:
    """Learn a table: one whose columns are described may be mixed, the others are numbers through and through."""
    return MixedTable.of(facts.table, rows) if facts.table else NormalScores.of(rows)


def restore_table(facts: DatasetFacts, learnt: Mapping[str, np.ndarray]) -> Encoding:
    """Make the encoding of a table again."""
    return MixedTable.restore(facts.table, learnt) if facts.table else NormalScores.restore(learnt)


def restore_sounds(facts: DatasetFacts, learnt: Mapping[str, np.ndarray]) -> Encoding:
    """Make the encoding of sounds again, whichever of the two it was."""
    frames = facts.shape[1]
    return Timbre.restore(learnt, frames) if "axes" in learnt else FlatSpectrum.restore(learnt, frames)


LEARN: dict[Modality, Callable[[DatasetFacts, np.ndarray], Encoding]] = {
    "vector": learn_standardised,
    "image": lambda facts, _: Pixels(facts.white),
    "table": learn_table,
    "audio": lambda _, rows: FlatSpectrum.of(rows),
}

RESTORE: dict[Modality, Callable[[DatasetFacts, Mapping[str, np.ndarray]], Encoding]] = {
    "vector": lambda _, learnt: Standardised(learnt["mean"], learnt["deviation"]),
    "image": lambda facts, _: Pixels(facts.white),
    "table": restore_table,
    "audio": restore_sounds,
}


def learn_encoding(facts: DatasetFacts, rows: np.ndarray) -> Encoding:
    """Learn the encoding of a data set from rows in data units."""
    return LEARN[facts.modality](facts, rows)


def restore_encoding(facts: DatasetFacts, learnt: Mapping[str, np.ndarray]) -> Encoding:
    """Make the encoding again from what `learnt` answered."""
    return RESTORE[facts.modality](facts, learnt)
