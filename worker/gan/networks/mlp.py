"""Fully connected networks for points, small pictures and tables of numbers."""

from collections.abc import Iterable
from math import prod

import torch
from torch import Tensor, nn

from service.spec.facts import MANY_COORDINATES, DatasetFacts
from service.spec.parts.model import ModelSpec, NetworkSpec
from service.spec.sizes.layers import classes_of
from service.spec.sizes.mlp import DEFAULT_DEPTH, classes_with_axes, components_of
from worker.gan.data.training_data import TrainingData
from worker.gan.networks.activations import clamp_pixels, he_gain, make_activation
from worker.gan.networks.components import SPECIMENS, SPECIMENS_OF_CLASSES, ClassAxes, Components
from worker.gan.networks.players import Discriminator, Generator, Head, LatentLayer, he_initialise

LAST_LAYER_GAIN = 0.3  # a generator starts near the middle of the data
LEAST_SPREAD = 0.2  # a pixel that never changes must not be magnified without bound


class MlpGenerator(Generator):
    """Latents through hidden layers to the values of a sample; pixels are clamped to [-1, 1]."""

    def __init__(self, model: ModelSpec, facts: DatasetFacts, random: torch.Generator) -> None:
        super().__init__(model.latent_dim, model.latent_codes)
        spec = model.generator
        self.shape = facts.shape
        self.is_picture = facts.modality == "image"
        self.latent = LatentLayer(model.latent_dim, model.latent_codes, classes_of(model, facts), spec.width)
        self.hidden = nn.Sequential(make_activation(spec.activation), *hidden_layers(spec.width, spec))
        mixed, classes = components_of(model, facts), classes_with_axes(model, facts)
        self.components = Components(mixed, prod(self.shape)) if mixed else None
        self.own_axes = ClassAxes(classes, mixed) if mixed and classes else None
        self.last = nn.Linear(spec.width, mixed or prod(self.shape))
        self.latent.initialise(he_gain(spec.activation), random)
        initialise_layers(self.hidden, he_gain(spec.activation), random)
        he_initialise(self.last, LAST_LAYER_GAIN, random)
        # Of many coordinates of a vector each is small (data.encoding), and the steps towards them must be, too.
        many = facts.modality == "vector" and prod(self.shape) >= MANY_COORDINATES
        self.height = (2 / prod(self.shape)) ** 0.5 if many else 1.0

    def start_from(self, data: TrainingData) -> None:
        """Learn what sounds are mixed of."""
        if self.components is not None:
            self.components.learn(data.specimens(SPECIMENS).flatten(1))
            labels = data.specimen_labels(SPECIMENS_OF_CLASSES)
            if self.own_axes is not None and labels is not None:
                mixtures = self.components(data.specimens(SPECIMENS_OF_CLASSES).flatten(1))
                self.own_axes.learn(mixtures, labels)

    def forward(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Make one sample of each row."""
        values: Tensor = self.last(self.hidden(self.latent(latents, labels))) * self.height
        if self.own_axes is not None and labels is not None:
            values = self.own_axes(values, labels)
        if self.components is not None:
            values = self.components.mix(values)
        return (clamp_pixels(values) if self.is_picture else values).reshape(-1, *self.shape)


class MlpDiscriminator(Discriminator):
    """The values of a sample through hidden layers to its logit; pixels are first given like spreads, coordinates
    their sines and cosines where asked for.
    """

    def __init__(self, model: ModelSpec, data: TrainingData, random: torch.Generator) -> None:
        super().__init__()
        spec = model.discriminator
        self.scale = PixelScale(data.specimens()) if data.facts.modality == "image" else nn.Identity()
        self.fourier = FourierFeatures(spec.octaves) if spec.octaves else nn.Identity()
        mixed = components_of(model, data.facts)
        self.components = Components(mixed, prod(data.facts.shape)) if mixed else nn.Identity()
        if isinstance(self.components, Components):
            self.components.learn(data.specimens(SPECIMENS).flatten(1))
        first = nn.Linear((mixed or prod(data.facts.shape)) * (1 + 2 * spec.octaves), spec.width)
        self.hidden = nn.Sequential(first, make_activation(spec.activation), *hidden_layers(spec.width, spec))
        self.head = Head(spec.width, classes_of(model, data.facts), spec.minibatch_std)
        initialise_layers(self.hidden, he_gain(spec.activation), random)
        self.head.initialise(1.0, random)

    def forward(self, samples: Tensor, labels: Tensor | None) -> Tensor:
        """Score each sample."""
        features = self.hidden(self.fourier(self.components(self.scale(samples).flatten(1))))
        logits: Tensor = self.head(features, labels)
        return logits


class PixelScale(nn.Module):
    """Magnify the pixels that hardly change."""

    factor: Tensor

    def __init__(self, samples: Tensor) -> None:
        super().__init__()
        self.register_buffer("factor", 1 / (samples.std(dim=0, correction=0) + LEAST_SPREAD))

    def forward(self, samples: Tensor) -> Tensor:
        """Scale each pixel by its own factor."""
        return samples * self.factor


class FourierFeatures(nn.Module):
    """Coordinates (N, D), and the sines and cosines of each at octaves: (N, D (1 + 2 octaves)).

    A network learns a function the later the finer it is (Rahaman et al. 2019), so a plain D never sees how wide a
    narrow mode is; octaves bring fine structure near (Mildenhall et al. 2020, eq. 4). The height 2^(-j/2) of octave j,
    as of 1/f noise, lets coarse structure be learnt first.
    """

    frequencies: Tensor

    def __init__(self, octaves: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", 2.0 ** torch.arange(octaves), persistent=False)

    def forward(self, coordinates: Tensor) -> Tensor:
        """Append the waves to the coordinates."""
        angles = coordinates[:, :, None] * self.frequencies
        heights = self.frequencies.rsqrt()
        waves = torch.cat([heights * angles.sin(), heights * angles.cos()], dim=2)
        return torch.cat([coordinates, waves.flatten(1)], dim=1)


def hidden_layers(width: int, spec: NetworkSpec) -> list[nn.Module]:
    """Make the layers after the first, each with its activation."""
    more = (spec.depth or DEFAULT_DEPTH) - 1
    return [layer for _ in range(more) for layer in (nn.Linear(width, width), make_activation(spec.activation))]


def initialise_layers(layers: Iterable[nn.Module], gain: float, random: torch.Generator) -> None:
    """Draw the weights of the linear layers."""
    for layer in layers:
        if isinstance(layer, nn.Linear):
            he_initialise(layer, gain, random)
