"""Sounds as mixtures of the principal components of their loudness over frequency and time, and back.

In loudness, which is logarithmic, strings, voices and blows of one kind differ along few directions, whatever their
phases; of the sounds themselves as many components keep a half of the power.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from service.spec.sizes.timbre import BINS, COMPONENTS
from worker.gan.data.decoders import Magnitudes
from worker.gan.data.phases import sounds_as_loud, spectra_of

SOUNDS_AT_ONCE = 32
SILENCE = 1e-8  # of the power of the loudest bin, 80 dB below: what lies under it is told as if it lay there
LEAST_POWER = 1e-8  # of a component, as a fraction of the strongest; what is weaker is rounding


class Timbre:
    """Sounds (N, 1, samples) as (N, COMPONENTS), in units in which strong components have variance 1.

    mean (BINS * frames,) and axes (COMPONENTS, BINS * frames) are of the logarithm of power, over `silence`; axes are
    as long as the deviation along them, and `deviation` (COMPONENTS,) is that in network units, 0 of axes that the data
    does not have. Phases are forgotten and made anew; a sound is never louder anywhere than any that was learnt from.
    """

    def __init__(
        self, mean: Tensor, axes: Tensor, deviation: Tensor, *, silence: float, loudest: float, samples: int
    ) -> None:
        self._mean, self._axes, self._deviation = mean, axes, deviation
        self._silence, self._loudest, self._samples = silence, loudest, samples
        self._lengths = axes.float().square().sum(dim=1)

    @classmethod
    def of(cls, rows: np.ndarray) -> "Timbre":
        """Learn from sounds (N, 1, samples)."""
        powers = torch.cat([powers_of(part) for part in parts_of(rows)])
        silence = max(float(powers.max()) * SILENCE, float(np.finfo(np.float32).tiny))
        loudness = powers.add_(silence).log_()
        loudest, mean = float(loudness.max()), loudness.mean(dim=0)
        axes, deviation = principal_axes(loudness.sub_(mean))
        return cls(mean, axes.half(), deviation, silence=silence, loudest=loudest, samples=rows.shape[2])

    def forward(self, rows: np.ndarray) -> Tensor:
        along = [
            ((powers_of(part) + self._silence).log() - self._mean) @ self._axes.float().T for part in parts_of(rows)
        ]
        scores: Tensor = torch.cat(along) / self._lengths.clamp_min(torch.finfo(torch.float32).tiny)
        return scores * self._deviation

    def backward(self, samples: Tensor) -> np.ndarray:
        scores = samples.float().cpu() / self._deviation.clamp_min(torch.finfo(torch.float32).tiny)
        scores = torch.where(self._deviation > 0, scores, 0)
        sounds = [self._sounds(part) for part in torch.split(scores, SOUNDS_AT_ONCE)]
        return torch.cat(sounds).clamp(-1, 1)[:, None].numpy()

    def decoder(self) -> nn.Module:
        """Return a module that stops before phases are made: at the magnitudes (N, BINS, frames) of sounds."""
        known = self._deviation > 0
        factors = torch.where(known, 1 / torch.where(known, self._deviation, 1), 0)
        axes = factors[:, None] * self._axes.float()
        return Magnitudes(self._mean, axes, silence=self._silence, loudest=self._loudest, bins=BINS)

    def learnt(self) -> dict[str, np.ndarray]:
        return {
            "mean": self._mean.numpy(),
            "axes": self._axes.numpy(),
            "deviation": self._deviation.numpy(),
            "levels": np.array([self._silence, self._loudest]),
        }

    @classmethod
    def restore(cls, learnt: Mapping[str, np.ndarray], samples: int) -> "Timbre":
        """Make the encoding again."""
        mean, axes, deviation = (torch.from_numpy(learnt[name]) for name in ("mean", "axes", "deviation"))
        silence, loudest = learnt["levels"].tolist()
        return cls(mean, axes, deviation, silence=silence, loudest=loudest, samples=samples)

    def _sounds(self, scores: Tensor) -> Tensor:
        loudness = (self._mean + scores @ self._axes.float()).clamp(max=self._loudest)
        powers = (loudness.exp() - self._silence).clamp_min(0)
        return sounds_as_loud(powers.sqrt().reshape(len(powers), BINS, -1), self._samples)


def principal_axes(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return axes (COMPONENTS, D) of centred rows (N, D), as long as the deviation along them, and that deviation in
    units in which strong axes have variance 1; both 0 for axes that the rows do not have.
    """
    power, weights = torch.linalg.eigh((rows @ rows.T).double() / len(rows))
    power, weights = power.flip(0)[:COMPONENTS], weights.flip(1)[:, :COMPONENTS]
    axes, deviation = torch.zeros(COMPONENTS, rows.shape[1]), torch.zeros(COMPONENTS)
    kept = int((power > LEAST_POWER * power[0].clamp_min(0)).sum())
    if kept:
        axes[:kept] = (weights[:, :kept] / len(rows) ** 0.5).T.float() @ rows
        unit = (power[:kept].square().sum() / power[:kept].sum()).sqrt()
        deviation[:kept] = power[:kept].sqrt() / unit
    return axes, deviation


def powers_of(rows: np.ndarray) -> Tensor:
    """Return the power of sounds (N, 1, samples) in each bin and frame, (N, BINS * frames)."""
    spectra = spectra_of(torch.from_numpy(np.ascontiguousarray(rows[:, 0], np.float32)))
    return (spectra.real.square() + spectra.imag.square()).flatten(1)


def parts_of(rows: np.ndarray) -> list[np.ndarray]:
    """Cut rows into views of a few."""
    return [rows[first : first + SOUNDS_AT_ONCE] for first in range(0, len(rows), SOUNDS_AT_ONCE)]
