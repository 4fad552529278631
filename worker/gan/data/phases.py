"""Sounds from loudness alone: short-time magnitudes, and the phases that fit them. All on the host, in float32."""

from math import pi

import torch
from torch import Tensor
from torch.nn import functional

from service.spec.sizes.timbre import BINS, HOP, WINDOW

ROUNDS = 4  # of Griffin and Lim, from phases of peaks on: a Frechet distance of 0.2 is left (docs/log.md)
LEAST_MAGNITUDE = 1e-9
LEAST_BEND = 1e-9  # of a peak's parabola
NOWHERE = 10**6  # further than any bin


def spectra_of(sounds: Tensor) -> Tensor:
    """Transform sounds (N, samples), silent before and after, to complex (N, BINS, frames)."""
    padded = functional.pad(sounds, (0, -sounds.shape[1] % HOP))
    window = torch.hann_window(WINDOW)
    return torch.stft(padded, WINDOW, HOP, window=window, center=True, pad_mode="constant", return_complex=True)


def sounds_of(spectra: Tensor, samples: int) -> Tensor:
    """Overlap frames and add them: the sounds (N, samples) whose spectra are nearest to these."""
    window, length = torch.hann_window(WINDOW), samples + -samples % HOP
    return torch.istft(spectra, WINDOW, HOP, window=window, center=True, length=length)[:, :samples]


def sounds_as_loud(magnitudes: Tensor, samples: int) -> Tensor:
    """Make sounds (N, samples) with magnitudes (N, BINS, frames): phases that peaks suggest, made to fit one another.

    The rounds are those of Griffin and Lim 1984; begun with random phases they need fifty times as many.
    """
    spectra = torch.polar(magnitudes, phases_of_peaks(magnitudes))
    for _ in range(ROUNDS):
        spectra = torch.polar(magnitudes, spectra_of(sounds_of(spectra, samples)).angle())
    return sounds_of(spectra, samples)


def phases_of_peaks(magnitudes: Tensor) -> Tensor:
    """Let the phase of each bin go on as that of a tone at the peak nearest to it (Beauregard, Harish and Wyse 2015).

    Bins are counted in phase from the middle of a frame, so that those around one tone agree but for their sign.
    """
    frequencies = frequencies_of_peaks(magnitudes)
    signs = pi * (torch.arange(BINS) % 2)[:, None]
    phases: Tensor = (2 * pi * HOP / WINDOW * frequencies).cumsum(dim=2) + signs
    return phases


def frequencies_of_peaks(magnitudes: Tensor) -> Tensor:
    """Return where the peak nearest to each bin is, in bins: the top of the parabola through it and its neighbours."""
    below, here, above = (magnitudes + LEAST_MAGNITUDE).log().unfold(1, 3, 1).unbind(dim=3)
    is_peak = functional.pad((here > below) & (here >= above), (0, 0, 1, 1))
    bend = (below - 2 * here + above).clamp(max=-LEAST_BEND)
    beside = functional.pad(((below - above) / 2 / bend).clamp(-0.5, 0.5), (0, 0, 1, 1))
    bins = torch.arange(BINS)[:, None].expand_as(magnitudes)
    lower = torch.where(is_peak, bins, -NOWHERE).cummax(dim=1).values
    upper = -torch.where(is_peak, -bins, -NOWHERE).flip(1).cummax(dim=1).values.flip(1)
    nearest = torch.where(bins - lower <= upper - bins, lower, upper).clamp(0, BINS - 1)
    return nearest + beside.gather(1, nearest)
