"""Networks for sounds as short-time spectra: G makes loudness and turning phase of each bin, D is told both.

Turning phases are from GANSynth (Engel et al. 2019, arXiv 1902.08710). Its networks are convolutions over pictures of
bins by frames; here all bins of a frame are read at once, as by Vocos (Siuzdak 2023, arXiv 2306.00814), which costs a
processor less.
"""

from itertools import pairwise
from math import pi

import torch
from torch import Tensor, nn
from torch.nn import functional

from service.spec.facts import DatasetFacts
from service.spec.parts.model import ModelSpec
from service.spec.sizes.layers import classes_of
from service.spec.sizes.spectrogram import BINS, KERNEL, MADE, TOLD, spectrogram_lengths
from worker.gan.data.training_data import TrainingData
from worker.gan.networks.activations import he_gain, make_activation
from worker.gan.networks.convolutions import initialise_convolutions
from worker.gan.networks.players import Discriminator, Generator, Head, LatentLayer
from worker.gan.networks.short_time import RealOverlap, ShortTime, log_powers, powers, turns

SPECIMENS = 512  # sounds that show how loud each bin is
LEAST_SPREAD = 1.0  # of what D is told of a bin, so that a quiet one, which hardly varies, is not magnified


class SpectrogramGenerator(Generator):
    """Latents to a few frames of many features, doubled level by level, to a spectrum of each frame, to a sound."""

    height: Tensor

    def __init__(self, model: ModelSpec, facts: DatasetFacts, random: torch.Generator) -> None:
        super().__init__(model.latent_dim, model.latent_codes)
        spec, (_, samples) = model.generator, facts.shape
        lengths = spectrogram_lengths(samples)
        self.shortest = (spec.width, lengths[-1])
        values = spec.width * lengths[-1]
        self.latent = LatentLayer(model.latent_dim, model.latent_codes, classes_of(model, facts), values)
        layers: list[nn.Module] = []
        for wanted, length in reversed(list(pairwise(lengths))):
            layers += [nn.BatchNorm1d(spec.width), make_activation(spec.activation)]
            layers += [doubling(spec.width, length, wanted)]
        self.frames = nn.Sequential(*layers, nn.BatchNorm1d(spec.width), make_activation(spec.activation))
        self.last = nn.Conv1d(spec.width, MADE * BINS, kernel_size=1)
        self.register_buffer("height", torch.ones(BINS, 1))
        self.short_time = ShortTime(samples)
        self.latent.initialise(1.0, random)
        initialise_convolutions(self.frames, he_gain(spec.activation), random)
        initialise_convolutions(self.last, he_gain(spec.activation), random)

    def start_from(self, data: TrainingData) -> None:
        """Learn how loud each bin is."""
        self.height.copy_(
            powers(self.short_time.spectra(data.specimens(SPECIMENS))).mean(dim=(0, 1, 3)).sqrt()[:, None]
        )

    def portable(self) -> nn.Module:
        """Return the same without complex numbers, which ONNX does not have."""
        return RealSpectrogram(self)

    def forward(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Make one sound of each row; the first normal latent is also the phase it begins with, in half turns."""
        spectra = torch.polar(*self.polar(latents, labels))
        return self.short_time.sounds(spectra[:, None])

    def polar(self, latents: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return magnitudes and phases (N, BINS, frames) of the spectra of one sound of each row."""
        frames = self.last(self.frames(self.latent(latents, labels).unflatten(1, self.shortest)))
        loudness, ahead, aside = frames.unflatten(1, (MADE, BINS)).unbind(dim=1)
        begins = pi * latents[:, -self.latent_dim, None, None]
        phases = torch.atan2(aside, ahead).cumsum(dim=-1) + begins
        return self.height * functional.softplus(loudness), phases


class RealSpectrogram(nn.Module):
    """The generator in real numbers alone: the same sounds but for the last bits."""

    def __init__(self, generator: SpectrogramGenerator) -> None:
        super().__init__()
        self.generator = generator
        self.overlap = RealOverlap(generator.short_time)

    def forward(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Make one sound of each row."""
        magnitudes, phases = self.generator.polar(latents, labels)
        sounds: Tensor = self.overlap(magnitudes * phases.cos(), magnitudes * phases.sin())
        return sounds


class SpectrogramDiscriminator(Discriminator):
    """The spectra of a sound, halved in time level by level to a few frames, and their logit."""

    def __init__(self, model: ModelSpec, data: TrainingData, random: torch.Generator) -> None:
        super().__init__()
        spec, (sounds, samples) = model.discriminator, data.facts.shape
        lengths = spectrogram_lengths(samples)
        self.short_time = ShortTime(samples)
        self.scale = BinScale(self._told(data.specimens(SPECIMENS)))
        layers: list[nn.Module] = [nn.Conv1d(sounds * TOLD * BINS, spec.width, kernel_size=1)]
        for _ in pairwise(lengths):
            layers += [make_activation(spec.activation), halving(spec.width)]
        self.features = nn.Sequential(*layers, make_activation(spec.activation), nn.Flatten())
        self.head = Head(spec.width * lengths[-1], classes_of(model, data.facts), spec.minibatch_std)
        initialise_convolutions(self.features, he_gain(spec.activation), random)
        self.head.initialise(1.0, random)

    def forward(self, samples: Tensor, labels: Tensor | None) -> Tensor:
        """Score each sound."""
        logits: Tensor = self.head(self.features(self.scale(self._told(samples))), labels)
        return logits

    def _told(self, samples: Tensor) -> Tensor:
        """Return loudness and turns of sounds (N, C, samples): (N, C TOLD BINS, frames)."""
        spectra = self.short_time.spectra(samples)
        return torch.stack([log_powers(spectra), *turns(spectra)], dim=2).flatten(1, 3)


class BinScale(nn.Module):
    """Give numbers (N, F, frames) mean 0 over rows and frames, and to those that vary much about unit spread."""

    centre: Tensor
    factor: Tensor

    def __init__(self, specimens: Tensor) -> None:
        super().__init__()
        self.register_buffer("centre", specimens.mean(dim=(0, 2))[:, None])
        self.register_buffer("factor", 1 / (specimens.std(dim=(0, 2), correction=0)[:, None] + LEAST_SPREAD))

    def forward(self, numbers: Tensor) -> Tensor:
        """Scale each number by its own factor."""
        return (numbers - self.centre) * self.factor


def halving(channels: int) -> nn.Conv1d:
    """Halve the frames, rounding up."""
    return nn.Conv1d(channels, channels, KERNEL, stride=2, padding=KERNEL // 2)


def doubling(channels: int, length: int, wanted: int) -> nn.ConvTranspose1d:
    """Make `length` frames as many as wanted: the mirror of `halving`."""
    more = wanted - (2 * length - 1)
    return nn.ConvTranspose1d(channels, channels, KERNEL, stride=2, padding=KERNEL // 2, output_padding=more)
