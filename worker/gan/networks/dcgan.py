"""Convolutional networks for pictures of any size from 4 by 4, after Radford et al. 2015 (arXiv 1511.06434)."""

import torch
from torch import Tensor, nn

from service.spec.facts import DatasetFacts
from service.spec.parts.model import ModelSpec
from service.spec.sizes.dcgan import convolution_channels, convolution_levels, convolution_sides
from service.spec.sizes.layers import classes_of
from worker.gan.data.training_data import TrainingData
from worker.gan.networks.activations import make_activation
from worker.gan.networks.players import Discriminator, Generator, Head, LatentLayer

WEIGHT_SPREAD = 0.02  # the paper's


class DcganGenerator(Generator):
    """Latents to a small map of features, doubled level by level up to the picture in [-1, 1]."""

    def __init__(self, model: ModelSpec, facts: DatasetFacts, random: torch.Generator) -> None:
        super().__init__(model.latent_dim, model.latent_codes)
        spec, (picture_channels, height, width) = model.generator, facts.shape
        levels = convolution_levels(height, width)
        sides = list(zip(convolution_sides(height, levels), convolution_sides(width, levels), strict=True))
        channels = [picture_channels, *convolution_channels(spec.width, levels)]
        self.smallest = (channels[-1], *sides[-1])
        self.latent = LatentLayer(
            model.latent_dim, model.latent_codes, classes_of(model, facts), torch.Size(self.smallest).numel()
        )
        layers: list[nn.Module] = []
        for level in range(levels, 0, -1):
            layers += [nn.BatchNorm2d(channels[level]), make_activation(spec.activation)]
            layers += [doubling(channels[level], channels[level - 1], sides[level - 1], bias=level == 1)]
        self.pictures = nn.Sequential(*layers, nn.Tanh())
        initialise(self, random)

    def forward(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Make one picture of each row."""
        pictures: Tensor = self.pictures(self.latent(latents, labels).unflatten(1, self.smallest))
        return pictures


class DcganDiscriminator(Discriminator):
    """A picture halved level by level to a small map of features, and their logit."""

    def __init__(self, model: ModelSpec, data: TrainingData, random: torch.Generator) -> None:
        super().__init__()
        spec, (picture_channels, height, width) = model.discriminator, data.facts.shape
        levels = convolution_levels(height, width)
        channels = [picture_channels, *convolution_channels(spec.width, levels)]
        layers: list[nn.Module] = []
        for level in range(levels):
            normalised = level > 0 and not spec.spectral_norm  # a batch's spread would undo the bound
            layers += [halving(channels[level], channels[level + 1], bias=not normalised)]
            layers += [nn.BatchNorm2d(channels[level + 1])] if normalised else []
            layers += [make_activation(spec.activation)]
        self.features = nn.Sequential(*layers, nn.Flatten())
        smallest = (height >> levels) * (width >> levels)
        self.head = Head(channels[-1] * smallest, classes_of(model, data.facts), spec.minibatch_std)
        initialise(self, random)

    def forward(self, samples: Tensor, labels: Tensor | None) -> Tensor:
        """Score each picture."""
        logits: Tensor = self.head(self.features(samples), labels)
        return logits


def halving(channels: int, into: int, *, bias: bool) -> nn.Conv2d:
    """Halve both sides, rounding down."""
    return nn.Conv2d(channels, into, kernel_size=4, stride=2, padding=1, bias=bias)


def doubling(channels: int, into: int, side: tuple[int, int], *, bias: bool) -> nn.ConvTranspose2d:
    """Double both sides, and one more where the wanted side is odd: the mirror of `halving`."""
    odd = (side[0] % 2, side[1] % 2)
    return nn.ConvTranspose2d(channels, into, kernel_size=4, stride=2, padding=1, output_padding=odd, bias=bias)


def initialise(network: nn.Module, random: torch.Generator) -> None:
    """Draw all weights as the paper does: normal about 0, about 1 in normalisation; biases are 0."""
    for name, parameter in network.named_parameters():
        layer = network.get_submodule(name.rpartition(".")[0])
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        else:
            nn.init.normal_(parameter, float(isinstance(layer, nn.BatchNorm2d)), WEIGHT_SPREAD, generator=random)
