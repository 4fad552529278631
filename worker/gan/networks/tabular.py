"""A generator of tables: it begins as a Gaussian copula of the data and learns what that gets wrong."""

from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional

from service.spec.facts import DatasetFacts
from service.spec.parts.model import ModelSpec
from service.spec.sizes.layers import classes_of
from service.spec.sizes.mlp import DEFAULT_DEPTH
from service.spec.sizes.tabular import copula_maps
from service.spec.tables import label_block, layout_of
from worker.gan.data.training_data import TrainingData
from worker.gan.networks.activations import he_gain, make_activation
from worker.gan.networks.mlp import initialise_layers
from worker.gan.networks.players import Generator, LatentLayer, he_initialise

LAST_LAYER_GAIN = 0.1  # the copula is a good start: what is added to it begins small
TEMPERATURE = 0.2  # of the choices' gradients; lower is nearer to the truth, and wilder
POOLED_ROWS = 0.1  # for each column, rows of the average class that join a class's own, which may be few
LEAST_SHARE = 1e-4  # of a choice that a class never makes


class TabularGenerator(Generator):
    """Latents to the numbers of a row, and to its choices drawn in proportion to their odds.

    The numbers are an affine map of the normal latents, a Gaussian copula because the columns are normal scores, plus
    what residual layers add, each of which also hands on its input (Xu et al. 2019, section 4.4). A choice is
    the highest of its odds and Gumbel noise, which is part of the latents, with the gradient of their softmax (straight
    through: Jang et al. 2017, section 2.2), so that D sees what is exported. With labels there is a copula for each
    where they are few. The block of a label's own column is that label.
    """

    centres: Tensor
    axes: Tensor

    def __init__(self, model: ModelSpec, facts: DatasetFacts, random: torch.Generator) -> None:
        super().__init__(model.latent_dim, model.latent_codes)
        spec, layout, values = model.generator, layout_of(facts.table), prod(facts.shape)
        depth = spec.depth or DEFAULT_DEPTH
        self.shape, self.classes = facts.shape, classes_of(model, facts)
        self.sizes = [block.size for block in layout.blocks]
        self.numbers = values - layout.choices
        self.told = label_block(facts) if self.classes else None
        self.latent = LatentLayer(model.latent_dim, model.latent_codes, self.classes, spec.width)
        self.activation = make_activation(spec.activation)
        self.hidden = nn.ModuleList(nn.Linear(spec.width * level, spec.width) for level in range(1, depth))
        self.last = nn.Linear(spec.width * depth, values)
        self.register_buffer("centres", torch.zeros(max(1, self.classes), values))
        self.register_buffer("axes", torch.zeros(copula_maps(model, facts), model.latent_dim, self.numbers))
        self.latent.initialise(he_gain(spec.activation), random)
        initialise_layers(self.hidden, he_gain(spec.activation), random)
        he_initialise(self.last, LAST_LAYER_GAIN, random)

    def draw_latents(self, count: int, random: torch.Generator) -> Tensor:
        """Draw what every generator reads and behind it the noise of the choices (count, choices)."""
        latents = super().draw_latents(count, random)
        noise = torch.empty(count, sum(self.sizes), device=random.device).exponential_(generator=random)
        return torch.cat([latents, -noise.clamp_min(torch.finfo(noise.dtype).tiny).log()], dim=1)

    def start_from(self, data: TrainingData) -> None:
        """Learn each class's copula and the odds of its choices."""
        rows, labels = data.specimens().flatten(1).double(), data.specimen_labels()
        classes = labels if self.classes and labels is not None else torch.zeros(len(rows), dtype=torch.long)
        members = [rows[classes == label] for label in range(len(self.centres))]
        centres = torch.stack([(own.sum(dim=0) + rows.mean(dim=0)) / (len(own) + 1) for own in members])
        about = [own[:, : self.numbers] - centre[: self.numbers] for own, centre in zip(members, centres, strict=True)]
        self.centres.copy_(centres)
        self.centres[:, self.numbers :].clamp_min_(LEAST_SHARE).log_()
        pooled = covariance(torch.cat(about))
        pseudo = POOLED_ROWS * self.numbers
        for own, axes in zip(about if len(self.axes) > 1 else [torch.cat(about)], self.axes, strict=True):
            spread = (len(own) * covariance(own) + pseudo * pooled) / (len(own) + pseudo)
            axes.copy_(principal_axes(spread, len(axes)))

    def forward(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Make one row of each."""
        drawn, noise = torch.split(latents, [latents.shape[1] - sum(self.sizes), sum(self.sizes)], dim=1)
        features = self.activation(self.latent(drawn, labels))
        for layer in self.hidden:
            features = torch.cat([self.activation(layer(features)), features], dim=1)
        added = self.last(features)
        group = torch.zeros_like(drawn[:, 0], dtype=torch.long) if labels is None or not self.classes else labels
        numbers, odds = torch.split(added + self.centres[group], [self.numbers, sum(self.sizes)], dim=1)
        numbers = numbers + self._copula(drawn[:, -self.latent_dim :], group)
        return torch.cat([numbers, *self._choices(odds + noise, labels)], dim=1).reshape(-1, *self.shape)

    def _copula(self, normals: Tensor, group: Tensor) -> Tensor:
        if len(self.axes) == 1:
            return normals @ self.axes[0]
        return torch.bmm(normals[:, None], self.axes[group])[:, 0]

    def _choices(self, heights: Tensor, labels: Tensor | None) -> list[Tensor]:
        blocks = [self._choose(block) for block in torch.split(heights, self.sizes, dim=1)] if self.sizes else []
        if self.told is not None and labels is not None:
            blocks[self.told] = functional.one_hot(labels, self.classes).to(heights.dtype)
        return blocks

    def _choose(self, heights: Tensor) -> Tensor:
        made = functional.one_hot(heights.argmax(dim=1), heights.shape[1]).to(heights.dtype)
        soft = functional.softmax(heights / TEMPERATURE, dim=1)
        return made + soft - soft.detach()


def covariance(centred: Tensor) -> Tensor:
    """Return the mean of x x^T over rows (N, D), (D, D)."""
    return centred.T @ centred / max(1, len(centred))


def principal_axes(spread: Tensor, count: int) -> Tensor:
    """Return (count, D): normals through it have this covariance (D, D), as far as so many can; widest axis first."""
    variance, axes = torch.linalg.eigh(spread)
    scaled = (axes * variance.clamp_min(0).sqrt()).T.flip(0)[:count]
    return functional.pad(scaled, (0, 0, 0, count - len(scaled)))
