"""One-dimensional convolutions for sounds of any length, after WaveGAN (Donahue et al. 2019, arXiv 1802.04208)."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from service.spec.facts import DatasetFacts
from service.spec.parts.model import ModelSpec
from service.spec.sizes.layers import classes_of
from service.spec.sizes.wave import KERNEL, STRIDE, wave_channels, wave_lengths
from worker.gan.data.training_data import TrainingData
from worker.gan.networks.activations import he_gain, make_activation
from worker.gan.networks.convolutions import initialise_convolutions
from worker.gan.networks.players import Discriminator, Generator, Head, LatentLayer

SHUFFLE = 2  # frames of a layer, the paper's n


class WaveGenerator(Generator):
    """Latents to a few frames of many features, made four times as long level by level."""

    def __init__(self, model: ModelSpec, facts: DatasetFacts, random: torch.Generator) -> None:
        super().__init__(model.latent_dim, model.latent_codes)
        spec, (sound_channels, frames) = model.generator, facts.shape
        lengths = wave_lengths(frames)
        channels = [sound_channels, *wave_channels(spec.width, len(lengths) - 1)]
        self.shortest = (channels[-1], lengths[-1])
        values = channels[-1] * lengths[-1]
        self.latent = LatentLayer(model.latent_dim, model.latent_codes, classes_of(model, facts), values)
        layers: list[nn.Module] = []
        for (into, here), (wanted, length) in reversed(list(zip(pairwise(channels), pairwise(lengths), strict=True))):
            layers += [make_activation(spec.activation), lengthening(here, into, length, wanted)]
        self.sounds = nn.Sequential(*layers)
        gain = he_gain(spec.activation)
        self.latent.initialise(1.0, random)
        initialise_convolutions(self.sounds, gain, random)

    def forward(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Make one sound of each row."""
        sounds: Tensor = self.sounds(self.latent(latents, labels).unflatten(1, self.shortest))
        return sounds


class WaveDiscriminator(Discriminator):
    """A sound made four times as short level by level, its features shuffled in phase, and their logit."""

    def __init__(self, model: ModelSpec, data: TrainingData, random: torch.Generator) -> None:
        super().__init__()
        spec, (sound_channels, frames) = model.discriminator, data.facts.shape
        lengths = wave_lengths(frames)
        channels = [sound_channels, *wave_channels(spec.width, len(lengths) - 1)]
        layers: list[nn.Module] = []
        for level, (here, into) in enumerate(pairwise(channels)):
            layers += [PhaseShuffle()] if level else []
            layers += [nn.Conv1d(here, into, KERNEL, STRIDE, padding=KERNEL // 2), make_activation(spec.activation)]
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.head = Head(channels[-1] * lengths[-1], classes_of(model, data.facts), spec.minibatch_std)
        initialise_convolutions(self.features, he_gain(spec.activation), random)
        self.head.initialise(1.0, random)

    def forward(self, samples: Tensor, labels: Tensor | None) -> Tensor:
        """Score each sound."""
        logits: Tensor = self.head(self.features(samples), labels)
        return logits


class PhaseShuffle(nn.Module):
    """Shift each sample's features (N, C, L) in time by up to SHUFFLE frames, mirrored at the ends; section 3.3.

    The shifts come from torch's own generator, which every step of a training seeds anew. Nothing is shifted in
    evaluation mode.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        if not self.training:
            return features
        count, _, length = features.shape
        furthest = min(SHUFFLE, length - 1)
        shifts = torch.randint(-furthest, furthest + 1, (count, 1, 1), device=features.device)
        places = (torch.arange(length, device=features.device) + shifts).abs()
        mirrored = length - 1 - (length - 1 - places).abs()
        return features.gather(2, mirrored.expand_as(features))


def lengthening(channels: int, into: int, length: int, wanted: int) -> nn.ConvTranspose1d:
    """Make `length` frames about four times as many, just as many as wanted: the mirror of a convolution of D."""
    more = wanted - ((length - 1) * STRIDE + 1)
    return nn.ConvTranspose1d(channels, into, KERNEL, STRIDE, padding=KERNEL // 2, output_padding=more)
