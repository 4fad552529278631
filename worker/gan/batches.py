"""Which reals an update sees: the endless sequence of one permutation of the data per epoch, cut into batches."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from worker.gan.data.training_data import Samples
from worker.gan.randomness import Stream, random_for


@dataclass(frozen=True)
class Batch:
    """Real samples (N, *shape) with the labels (N,) that both players are given, if any."""

    samples: Tensor
    labels: Tensor | None

    def to(self, device: torch.device, dtype: torch.dtype) -> "Batch":
        """Return the batch where and as the networks read it; held data is there already."""
        labels = None if self.labels is None else self.labels.to(device, non_blocking=True)
        return Batch(self.samples.to(device, dtype, non_blocking=True), labels)


class RealBatches:
    """Batches by number. Every sample comes once an epoch; nothing is remembered between batches but a cache."""

    def __init__(self, samples: Samples, labels: Tensor | None, *, batch_size: int, seed: int) -> None:
        self._samples, self._labels = samples, labels
        self._device = samples.device if isinstance(samples, Tensor) else torch.device("cpu")
        self._batch_size, self._seed = batch_size, seed
        self._order = lru_cache(maxsize=2)(self._draw_order)

    def batch(self, number: int) -> Batch:
        """Return batch `number`, counted from 0 over the whole of training; it may straddle two epochs."""
        indices = torch.cat(list(self._pieces(number)))
        labels = None if self._labels is None else self._labels[indices]
        return Batch(self._samples[indices], labels)

    def _pieces(self, number: int) -> Iterator[Tensor]:
        first, count = number * self._batch_size, len(self._samples)
        last = first + self._batch_size - 1
        for epoch in range(first // count, last // count + 1):
            yield self._order(epoch)[max(0, first - epoch * count) : last + 1 - epoch * count]

    def _draw_order(self, epoch: int) -> Tensor:
        random = random_for(self._seed, Stream.EPOCH_ORDER, epoch)
        return torch.randperm(len(self._samples), generator=random).to(self._device)
