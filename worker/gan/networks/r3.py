"""Residual networks without normalisation for any size of picture: R3GAN (Huang et al. 2024, arXiv 2501.05441)."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from service.spec.facts import DatasetFacts
from service.spec.parts.model import ModelSpec
from service.spec.sizes.layers import classes_of
from service.spec.sizes.pyramid import pyramid_channels, pyramid_sides
from service.spec.sizes.r3 import BLOCKS, r3_expanded, r3_groups
from worker.gan.data.training_data import TrainingData
from worker.gan.networks.activations import clamp_pixels, he_gain, make_activation
from worker.gan.networks.players import Discriminator, Generator, Head, LatentLayer

BRANCH_GAIN = 0.25  # of a block's own part at the start, so that hardly any variance is added, however many blocks


class R3Generator(Generator):
    """Latents scale a learnt small map of features, which blocks refine and resampling enlarges to the picture."""

    def __init__(self, model: ModelSpec, facts: DatasetFacts, random: torch.Generator) -> None:
        super().__init__(model.latent_dim, model.latent_codes)
        spec, (picture_channels, *_) = model.generator, facts.shape
        sides, channels = pyramid_sides(facts), pyramid_channels(spec.width, facts)
        self.latent = LatentLayer(model.latent_dim, model.latent_codes, classes_of(model, facts), channels[-1])
        self.basis = nn.Parameter(torch.randn(channels[-1], *sides[-1], generator=random))
        layers: list[nn.Module] = refinement(channels[-1], spec.depth or BLOCKS, spec.activation)
        for (into, here), side in reversed(list(zip(pairwise(channels), sides, strict=False))):
            layers += [nn.Conv2d(here, into, kernel_size=1, bias=False), Resample(side)]
            layers += refinement(into, spec.depth or BLOCKS, spec.activation)
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels[0], picture_channels, kernel_size=1))
        self.latent.initialise(1.0, random)
        initialise_variance(self.layers, he_gain(spec.activation), random)

    def forward(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Make one picture of each row."""
        scaled = self.basis * self.latent(latents, labels)[:, :, None, None]
        return clamp_pixels(self.layers(scaled))


class R3Discriminator(Discriminator):
    """The mirror of the generator: blocks and resampling down to a small map, weighed by a learnt one, and a logit."""

    def __init__(self, model: ModelSpec, data: TrainingData, random: torch.Generator) -> None:
        super().__init__()
        spec, (picture_channels, *_) = model.discriminator, data.facts.shape
        sides, channels = pyramid_sides(data.facts), pyramid_channels(spec.width, data.facts)
        layers: list[nn.Module] = [nn.Conv2d(picture_channels, channels[0], kernel_size=1)]
        for (here, into), side in zip(pairwise(channels), sides[1:], strict=True):
            layers += refinement(here, spec.depth or BLOCKS, spec.activation)
            layers += [Resample(side), nn.Conv2d(here, into, kernel_size=1, bias=False)]
        self.layers = nn.Sequential(*layers, *refinement(channels[-1], spec.depth or BLOCKS, spec.activation))
        pixels = torch.Size(sides[-1]).numel()
        self.basis = nn.Parameter(torch.randn(channels[-1], *sides[-1], generator=random) / pixels**0.5)
        self.head = Head(channels[-1], classes_of(model, data.facts), spec.minibatch_std)
        initialise_variance(self.layers, he_gain(spec.activation), random)
        self.head.initialise(1.0, random)

    def forward(self, samples: Tensor, labels: Tensor | None) -> Tensor:
        """Score each picture."""
        logits: Tensor = self.head((self.layers(samples) * self.basis).sum(dim=(2, 3)), labels)
        return logits


class Block(nn.Module):
    """A way beside that widens each pixel, mixes neighbours within groups of channels and narrows each pixel again."""

    def __init__(self, channels: int, activation: str) -> None:
        super().__init__()
        expanded = r3_expanded(channels)
        self.widen = nn.Conv2d(channels, expanded, kernel_size=1)
        self.mix = nn.Conv2d(expanded, expanded, kernel_size=3, padding=1, groups=r3_groups(expanded))
        self.narrow = nn.Conv2d(expanded, channels, kernel_size=1, bias=False)
        self.activation = make_activation(activation)

    def forward(self, features: Tensor) -> Tensor:
        """Refine features (N, C, H, W)."""
        widened = self.activation(self.widen(features))
        refined: Tensor = features + self.narrow(self.activation(self.mix(widened)))
        return refined


class Resample(nn.Module):
    """Bring maps to another size by bilinear interpolation."""

    def __init__(self, side: tuple[int, int]) -> None:
        super().__init__()
        self.side = side

    def forward(self, features: Tensor) -> Tensor:
        """Return features (N, C, *side)."""
        return functional.interpolate(features, self.side, mode="bilinear", align_corners=False)


def refinement(channels: int, blocks: int, activation: str) -> list[nn.Module]:
    """Make the blocks of one size."""
    return [Block(channels, activation) for _ in range(blocks)]


def initialise_variance(layers: nn.Module, gain: float, random: torch.Generator) -> None:
    """Draw normal weights that keep the variance on every way; biases are 0."""
    for name, layer in layers.named_modules():
        if isinstance(layer, nn.Conv2d):
            kept = {"mix": gain, "narrow": gain * BRANCH_GAIN}.get(name.rpartition(".")[2], 1.0)
            nn.init.normal_(layer.weight, std=kept / layer.weight[0].numel() ** 0.5, generator=random)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
