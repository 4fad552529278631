"""Residual networks for pictures of any size, D with spectral norm and projection, after Miyato and Koyama 2018
(arXiv 1802.05637).
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from service.spec.facts import DatasetFacts
from service.spec.parts.model import ModelSpec
from service.spec.sizes.layers import classes_of
from service.spec.sizes.pyramid import pyramid_channels, pyramid_sides
from worker.gan.data.training_data import TrainingData
from worker.gan.networks.activations import he_gain, make_activation
from worker.gan.networks.convolutions import initialise_convolutions
from worker.gan.networks.players import Discriminator, Generator, Head, LatentLayer
from worker.gan.networks.spectral import normalise_spectra


class ResnetGenerator(Generator):
    """Latents to a small map of features, enlarged block by block up to the picture in [-1, 1]."""

    def __init__(self, model: ModelSpec, facts: DatasetFacts, random: torch.Generator) -> None:
        super().__init__(model.latent_dim, model.latent_codes)
        spec, (picture_channels, *_) = model.generator, facts.shape
        sides, channels = pyramid_sides(facts), pyramid_channels(spec.width, facts)
        self.smallest = (channels[-1], *sides[-1])
        values = torch.Size(self.smallest).numel()
        self.latent = LatentLayer(model.latent_dim, model.latent_codes, classes_of(model, facts), values)
        self.blocks = nn.Sequential(
            *(
                EnlargingBlock(here, into, side, spec.activation)
                for (into, here), side in reversed(list(zip(pairwise(channels), sides, strict=False)))
            ),
            nn.BatchNorm2d(channels[0]),
            make_activation(spec.activation),
            nn.Conv2d(channels[0], picture_channels, kernel_size=3, padding=1),
        )
        self.latent.initialise(1.0, random)
        initialise_convolutions(self.blocks, he_gain(spec.activation), random)

    def forward(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Make one picture of each row."""
        pictures: Tensor = self.blocks(self.latent(latents, labels).unflatten(1, self.smallest))
        return pictures.tanh()


class ResnetDiscriminator(Discriminator):
    """A picture halved block by block, its features summed over the map, and their logit; all at spectral norm 1."""

    def __init__(self, model: ModelSpec, data: TrainingData, random: torch.Generator) -> None:
        super().__init__()
        spec, (picture_channels, *_) = model.discriminator, data.facts.shape
        channels = pyramid_channels(spec.width, data.facts)
        self.blocks = nn.Sequential(
            nn.Conv2d(picture_channels, channels[0], kernel_size=3, padding=1),
            *(HalvingBlock(here, into, spec.activation) for here, into in pairwise(channels)),
            make_activation(spec.activation),
        )
        self.head = Head(channels[-1], classes_of(model, data.facts), spec.minibatch_std)
        initialise_convolutions(self.blocks, he_gain(spec.activation), random)
        self.head.initialise(1.0, random)
        normalise_spectra(self, random)

    def forward(self, samples: Tensor, labels: Tensor | None) -> Tensor:
        """Score each picture."""
        logits: Tensor = self.head(self.blocks(samples).sum(dim=(2, 3)), labels)
        return logits


class EnlargingBlock(nn.Module):
    """Two normalised convolutions (N, C, h, w) to (N, C', *side) beside a plain way."""

    def __init__(self, channels: int, into: int, side: tuple[int, int], activation: str) -> None:
        super().__init__()
        self.side = side
        self.before = nn.Sequential(nn.BatchNorm2d(channels), make_activation(activation))
        self.after = nn.Sequential(
            nn.Conv2d(channels, into, kernel_size=3, padding=1),
            nn.BatchNorm2d(into),
            make_activation(activation),
            nn.Conv2d(into, into, kernel_size=3, padding=1),
        )
        self.beside = nn.Conv2d(channels, into, kernel_size=1)

    def forward(self, features: Tensor) -> Tensor:
        """Enlarge the features."""
        enlarged = functional.interpolate(self.before(features), self.side)
        # One pixel at a time: before it is enlarged is the same and cheaper.
        plain = functional.interpolate(self.beside(features), self.side)
        enlarged_features: Tensor = self.after(enlarged) + plain
        return enlarged_features


class HalvingBlock(nn.Module):
    """Two convolutions (N, C, H, W) to (N, C', H // 2, W // 2) beside a plain way."""

    def __init__(self, channels: int, into: int, activation: str) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            make_activation(activation),
            nn.Conv2d(channels, into, kernel_size=3, padding=1),
            make_activation(activation),
            nn.Conv2d(into, into, kernel_size=3, padding=1),
        )
        self.beside = nn.Conv2d(channels, into, kernel_size=1)

    def forward(self, features: Tensor) -> Tensor:
        """Halve the features."""
        both = self.convolutions(features) + self.beside(features)
        return functional.avg_pool2d(both, 2)
