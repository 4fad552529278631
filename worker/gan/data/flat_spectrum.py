"""Sounds as sounds whose average spectrum is flat, and back: what standardising is to vectors."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from worker.gan.data.decoders import Filter
from worker.gan.data.loudness import flattened, loudness_of, parts_of


class FlatSpectrum:
    """Divide each frequency by its loudness (frames // 2 + 1,): network units have variance 1.

    The filter is circular, without delay and undone exactly. What a network gets wrong at frequencies where the data is
    quiet comes out as quiet as these are.
    """

    def __init__(self, loudness: np.ndarray, frames: int) -> None:
        self._loudness, self._frames = loudness, frames

    @classmethod
    def of(cls, rows: np.ndarray) -> "FlatSpectrum":
        """Learn the loudness of each frequency from sounds (N, 1, frames)."""
        return cls(loudness_of(rows), rows.shape[2])

    def forward(self, rows: np.ndarray) -> Tensor:
        return torch.from_numpy(flattened(rows, self._loudness))

    def backward(self, samples: Tensor) -> np.ndarray:
        rows = np.empty(samples.shape, np.float32)
        for into, part in zip(parts_of(rows), parts_of(samples.cpu().numpy()), strict=True):
            spectrum = np.fft.rfft(part.astype(np.float64)) * self._loudness
            into[:] = np.fft.irfft(spectrum, n=self._frames).clip(-1, 1)
        return rows

    def decoder(self) -> nn.Module:
        return Filter(self._loudness, self._frames)

    def learnt(self) -> dict[str, np.ndarray]:
        return {"loudness": self._loudness}

    @classmethod
    def restore(cls, learnt: Mapping[str, np.ndarray], frames: int) -> "FlatSpectrum":
        """Make the encoding again."""
        return cls(learnt["loudness"], frames)
