"""The short-time Fourier transform of sounds and its inverse, differentiable, and what D is told of it."""

from math import pi, sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from service.spec.sizes.spectrogram import BINS, HOP, WINDOW

LEAST_POWER = 1.0  # added to that of a bin: of network units, where a frame of noise at unit spread has about 1


class ShortTime(nn.Module):
    """Sounds (N, C, samples) as spectra (N, C, BINS, frames) and back; a frame of noise at unit spread has power 1.

    Phases are counted from the middle of each frame, so that the bins around one tone agree.
    """

    window: Tensor
    middle: Tensor

    def __init__(self, samples: int) -> None:
        super().__init__()
        self.samples = samples
        self.silence = -samples % HOP  # at the end: without it the last frame barely reaches the last samples
        self.register_buffer("window", torch.hann_window(WINDOW).clone(), persistent=False)
        self.register_buffer("middle", (1.0 - 2.0 * (torch.arange(BINS) % 2))[:, None], persistent=False)
        self.height = sqrt(3 * WINDOW / 8)  # the window's squares add up to its square

    def spectra(self, sounds: Tensor) -> Tensor:
        """Transform sounds, silent before and after."""
        frames: Tensor = torch.stft(
            functional.pad(sounds.flatten(0, 1), (0, self.silence)),
            WINDOW,
            HOP,
            window=self.window,
            center=True,
            pad_mode="constant",
            return_complex=True,
        )
        spectra = frames * (self.middle / self.height)
        return spectra.reshape(*sounds.shape[:2], *frames.shape[1:])

    def sounds(self, spectra: Tensor) -> Tensor:
        """Overlap frames and add them: the sounds whose spectra are nearest to these."""
        frames = spectra.flatten(0, 1) * (self.middle * self.height)
        length = self.samples + self.silence
        overlapped: Tensor = torch.istft(frames, WINDOW, HOP, window=self.window, center=True, length=length)
        return overlapped[:, : self.samples].reshape(*spectra.shape[:2], self.samples)


class RealOverlap(nn.Module):
    """What `sounds` of a ShortTime does to spectra (N, BINS, frames) of one sound each, in real numbers alone.

    The inverse transform of a frame, its window and the sum over frames are one transposed convolution.
    """

    waves: Tensor
    squares: Tensor

    def __init__(self, short_time: ShortTime) -> None:
        super().__init__()
        self.samples = short_time.samples
        frames = 1 + (self.samples + short_time.silence) // HOP
        angles = 2 * pi / WINDOW * torch.outer(torch.arange(BINS), torch.arange(WINDOW)).double()
        share = torch.full((BINS, 1), 2 / WINDOW, dtype=torch.float64)
        share[[0, -1]] = 1 / WINDOW  # of the ends, which have no mirror image
        share *= short_time.middle.double() * short_time.height
        window = short_time.window.double()
        waves = torch.cat([share * angles.cos(), -share * angles.sin()])[:, None] * window
        squares = functional.conv_transpose1d(torch.ones(1, 1, frames).double(), window[None, None] ** 2, stride=HOP)
        self.register_buffer("waves", waves.float())
        self.register_buffer("squares", squares[..., WINDOW // 2 : WINDOW // 2 + self.samples].float())

    def forward(self, real: Tensor, imaginary: Tensor) -> Tensor:
        """Return sounds (N, 1, samples)."""
        overlapped = functional.conv_transpose1d(torch.cat([real, imaginary], dim=1), self.waves, stride=HOP)
        sounds: Tensor = overlapped[..., WINDOW // 2 : WINDOW // 2 + self.samples] / self.squares
        return sounds


def powers(spectra: Tensor) -> Tensor:
    """Return the squared magnitudes."""
    return spectra.real.square() + spectra.imag.square()


def log_powers(spectra: Tensor) -> Tensor:
    """Return the logarithms of powers, flat where these are next to nothing."""
    return (powers(spectra) + LEAST_POWER).log()


def turns(spectra: Tensor) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of how far each bin's phase went on since the frame before, both 0 where it is quiet.

    For a steady tone they are the same in all frames and all bins near it, whatever the phase it began with; for that
    they are what Engel et al. 2019 (arXiv 1902.08710) call instantaneous frequency. The first frame goes on from 0.
    """
    before = torch.cat([spectra[..., :1], spectra[..., :-1]], dim=-1)
    turned = spectra * before.conj()
    magnitude = (powers(turned) + LEAST_POWER**2).sqrt()
    return turned.real / magnitude, turned.imag / magnitude
