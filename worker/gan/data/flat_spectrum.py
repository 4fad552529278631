"""Sounds as sounds whose average spectrum is flat, and back: what standardising is to vectors."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

LEAST_LOUDNESS = 0.1  # of a frequency, as a fraction of the loudest: what is hardly there must not be magnified further
ROWS_AT_ONCE = 256  # bounds the memory of the transform


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
        frames = rows.shape[2]
        power = sum((np.abs(np.fft.rfft(part)) ** 2).sum(axis=(0, 1)) for part in parts_of(rows)) / len(rows)
        loudest = power.max()
        if loudest == 0:
            return cls(np.ones_like(power), frames)
        loudness = np.sqrt(power + LEAST_LOUDNESS**2 * loudest)
        flat = power / loudness**2
        variance = np.concatenate([flat, flat[1 : (frames + 1) // 2]]).sum() / frames**2  # Parseval, of both halves
        return cls(loudness * np.sqrt(variance), frames)

    def forward(self, rows: np.ndarray) -> Tensor:
        samples = np.empty(rows.shape, np.float32)
        for into, part in zip(parts_of(samples), parts_of(rows), strict=True):
            into[:] = np.fft.irfft(np.fft.rfft(part) / self._loudness, n=self._frames)
        return torch.from_numpy(samples)

    def backward(self, samples: Tensor) -> np.ndarray:
        rows = np.empty(samples.shape, np.float32)
        for into, part in zip(parts_of(rows), parts_of(samples.double().cpu().numpy()), strict=True):
            into[:] = np.fft.irfft(np.fft.rfft(part) * self._loudness, n=self._frames).clip(-1, 1)
        return rows

    def learnt(self) -> dict[str, np.ndarray]:
        return {"loudness": self._loudness}

    @classmethod
    def restore(cls, learnt: Mapping[str, np.ndarray], frames: int) -> "FlatSpectrum":
        """Make the encoding again."""
        return cls(learnt["loudness"], frames)


def parts_of(rows: np.ndarray) -> list[np.ndarray]:
    """Cut rows into views of a few."""
    return [rows[first : first + ROWS_AT_ONCE] for first in range(0, len(rows), ROWS_AT_ONCE)]
