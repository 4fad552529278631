"""Light networks for few and larger pictures: FastGAN (Liu et al. 2021, arXiv 2101.04775).

Small maps weigh the channels of large ones, and the discriminator must be able to draw what it has seen. Left out are
the generator's noise, for a sample follows from its latents alone, and the learnt distance of what is drawn, whose
network would have to be fetched from elsewhere.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from service.spec.facts import DatasetFacts
from service.spec.parts.model import ModelSpec
from service.spec.sizes.layers import classes_of
from service.spec.sizes.lite import decoded_level, decoder_channels, excitations, pooling
from service.spec.sizes.pyramid import pyramid_channels, pyramid_sides
from worker.gan.data.training_data import TrainingData
from worker.gan.networks.activations import he_gain, make_activation
from worker.gan.networks.convolutions import initialise_convolutions
from worker.gan.networks.dcgan import doubling
from worker.gan.networks.players import Discriminator, Generator, Head, LatentLayer
from worker.gan.networks.spectral import normalise_spectra


class LiteGenerator(Generator):
    """Latents to a small map of features, enlarged level by level; large maps are weighed by small ones."""

    def __init__(self, model: ModelSpec, facts: DatasetFacts, random: torch.Generator) -> None:
        super().__init__(model.latent_dim, model.latent_codes)
        spec, (picture_channels, *_) = model.generator, facts.shape
        sides, channels = pyramid_sides(facts), pyramid_channels(spec.width, facts)
        self.smallest = (2 * channels[-1], *sides[-1])
        values = torch.Size(self.smallest).numel()
        self.latent = LatentLayer(model.latent_dim, model.latent_codes, classes_of(model, facts), values)
        self.first = nn.Sequential(nn.BatchNorm2d(2 * channels[-1]), nn.GLU(dim=1))
        self.enlarging = nn.ModuleList(
            enlarging(here, into, side) for (into, here), side in zip(pairwise(channels), sides, strict=False)
        )
        self.pairs = excitations(len(channels) - 1)
        self.weighing = nn.ModuleDict(
            {
                str(high): weighing(channels[low], channels[high], sides[low], spec.activation)
                for high, low in self.pairs
            }
        )
        self.last = nn.Conv2d(channels[0], picture_channels, kernel_size=3, padding=1)
        self.latent.initialise(1.0, random)
        initialise_convolutions(self, he_gain(spec.activation), random)

    def forward(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Make one picture of each row."""
        levels, by_level = len(self.enlarging), dict(self.pairs)
        maps = {levels: self.first(self.latent(latents, labels).unflatten(1, self.smallest))}
        for level in reversed(range(levels)):
            enlarged = self.enlarging[level](maps[level + 1])
            if level in by_level:  # skip-layer excitation, section 3.1
                enlarged = enlarged * self.weighing[str(level)](maps[by_level[level]])
            maps[level] = enlarged
        pictures: Tensor = self.last(maps[0])
        return pictures.tanh()


class LiteDiscriminator(Discriminator):
    """A picture halved level by level to a small map and its logit, all at spectral norm 1; decoders beside, which are
    not. They draw the picture from the smallest map, and a quarter of it from a quarter of the next; section 3.2.
    """

    def __init__(self, model: ModelSpec, data: TrainingData, random: torch.Generator) -> None:
        super().__init__()
        spec, (picture_channels, *_) = model.discriminator, data.facts.shape
        sides, channels = pyramid_sides(data.facts), pyramid_channels(spec.width, data.facts)
        self.first = nn.Sequential(
            nn.Conv2d(picture_channels, channels[0], kernel_size=3, padding=1), make_activation(spec.activation)
        )
        self.blocks = nn.ModuleList(HalvingBlock(here, into, spec.activation) for here, into in pairwise(channels))
        values = channels[-1] * torch.Size(sides[-1]).numel()
        self.head = Head(values, classes_of(model, data.facts), spec.minibatch_std)
        self.drawn = sides[decoded_level(len(sides) - 1)]
        way, sizes = decoder_channels(channels, picture_channels), sides[-2::-1]
        self.whole = decoder(way, sizes, spec.activation)
        self.part = decoder([channels[-2], *way[1:]], sizes, spec.activation)
        initialise_convolutions(self, he_gain(spec.activation), random)
        self.head.initialise(1.0, random)
        for layers in (self.whole, self.part):
            initialise_decoder(layers, he_gain(spec.activation), random)
        normalise_spectra(self, random)

    def forward(self, samples: Tensor, labels: Tensor | None) -> Tensor:
        """Score each picture."""
        smallest, _ = self._smallest_maps(samples)
        logits: Tensor = self.head(smallest.flatten(1), labels)
        return logits

    def reconstruction_loss(self, samples: Tensor, random: torch.Generator) -> Tensor:
        """Measure the mean squared difference of what is drawn from the picture made small, for whole and part."""
        smallest, before = self._smallest_maps(samples)
        corner = int(torch.randint(4, (), generator=random))
        whole = self.whole(smallest) - self._made_small(samples)
        part = self.part(quarter(before, corner)) - self._made_small(quarter(samples, corner))
        loss: Tensor = whole.square().mean() + part.square().mean()
        return loss

    def _smallest_maps(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Return the smallest map of features and the one before it."""
        features = before = self.first(samples)
        for block in self.blocks:
            features, before = block(features), features
        return features, before

    def _made_small(self, pictures: Tensor) -> Tensor:
        return functional.interpolate(pictures, self.drawn, mode="area")


class HalvingBlock(nn.Module):
    """Two convolutions (N, C, H, W) to (N, C', H // 2, W // 2), and the mean of that and a plain way beside."""

    def __init__(self, channels: int, into: int, activation: str) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, into, kernel_size=4, stride=2, padding=1),
            make_activation(activation),
            nn.Conv2d(into, into, kernel_size=3, padding=1),
            make_activation(activation),
        )
        self.beside = nn.Sequential(
            nn.AvgPool2d(2), nn.Conv2d(channels, into, kernel_size=1), make_activation(activation)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Halve the features."""
        halved: Tensor = (self.convolutions(features) + self.beside(features)) / 2
        return halved


def enlarging(channels: int, into: int, side: tuple[int, int]) -> nn.Sequential:
    """Enlarge a map to a side; half of the channels gate the other half."""
    return nn.Sequential(
        nn.Upsample(side),
        nn.Conv2d(channels, 2 * into, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(2 * into),
        nn.GLU(dim=1),
    )


def weighing(channels: int, into: int, side: tuple[int, int], activation: str) -> nn.Sequential:
    """Read a small map (N, C, *side) as a whole and weigh the channels of another: (N, C', 1, 1) from 0 to 1."""
    pooled = (pooling(side[0]), pooling(side[1]))
    return nn.Sequential(
        nn.AvgPool2d(pooled),
        nn.Conv2d(channels, into, kernel_size=(side[0] // pooled[0], side[1] // pooled[1])),
        make_activation(activation),
        nn.Conv2d(into, into, kernel_size=1),
        nn.Sigmoid(),
    )


def decoder(channels: list[int], sides: list[tuple[int, int]], activation: str) -> nn.Sequential:
    """Double a map side by side through these channels, the last of which are a picture's."""
    layers: list[nn.Module] = []
    for (here, into), side in zip(pairwise(channels), sides, strict=False):
        layers += [doubling(here, into, side, bias=True), make_activation(activation)]
    return nn.Sequential(*layers[:-1], nn.Tanh())


def initialise_decoder(layers: nn.Sequential, gain: float, random: torch.Generator) -> None:
    """Draw normal weights that keep the second moment, by He et al. 2015; a pixel reads a quarter of the taps."""
    for layer in layers:
        if isinstance(layer, nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, std=gain / (4 * layer.in_channels) ** 0.5, generator=random)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # there is one


def quarter(maps: Tensor, corner: int) -> Tensor:
    """Cut a corner of half of each side out of maps (N, C, H, W)."""
    height, width = maps.shape[2] // 2, maps.shape[3] // 2
    rows = slice(height) if corner < 2 else slice(-height, None)
    columns = slice(width) if corner % 2 == 0 else slice(-width, None)
    return maps[:, :, rows, columns]
