"""A generator of tables: it begins near the law of each class and learns what that gets wrong."""

from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from service.spec.facts import DatasetFacts
from service.spec.parts.model import ModelSpec
from service.spec.sizes.layers import classes_of
from service.spec.sizes.mlp import DEFAULT_DEPTH
from service.spec.sizes.tabular import start_levels, start_maps
from service.spec.tables import label_block, layout_of
from worker.gan.data.mixed_table import MixedTable
from worker.gan.data.normal_scores import NormalScores
from worker.gan.data.training_data import TrainingData
from worker.gan.networks.activations import he_gain, make_activation
from worker.gan.networks.mlp import initialise_layers
from worker.gan.networks.players import Generator, LatentLayer, he_initialise, one_hot
from worker.gan.networks.unfolding import Unfolding

LAST_LAYER_GAIN = 0.1  # what is added to a good start begins small
TEMPERATURE = 0.2  # of the choices' gradients; lower is nearer to the truth, and wilder
LEAST_SHARE = 1e-4  # of a choice that a class never makes


class TabularGenerator(Generator):
    """Latents to the numbers of a row, and to its choices drawn in proportion to their odds.

    The numbers are the normal latents unfolded to the law of their class, plus what residual layers add, each of which
    also hands on its input (Xu et al. 2019, section 4.4). A choice is the highest of its odds and Gumbel noise, which
    is part of the latents, with the gradient of their softmax (straight through: Jang et al. 2017, section 2.2), so
    that D sees what is exported. The block of a label's own column is that label.
    """

    centres: Tensor

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
        self.unfolding = Unfolding(start_levels(facts), start_maps(model, facts), self.numbers)
        self.latent.initialise(he_gain(spec.activation), random)
        initialise_layers(self.hidden, he_gain(spec.activation), random)
        he_initialise(self.last, LAST_LAYER_GAIN, random)

    def draw_latents(self, count: int, random: torch.Generator) -> Tensor:
        """Draw what every generator reads and behind it the noise of the choices (count, choices)."""
        latents = super().draw_latents(count, random)
        noise = torch.empty(count, sum(self.sizes), device=random.device).exponential_(generator=random)
        return torch.cat([latents, -noise.clamp_min(torch.finfo(noise.dtype).tiny).log()], dim=1)

    def describe_latents(self) -> list[dict[str, Any]]:
        """Say the same of the columns behind, if there are choices."""
        noise = [{"columns": sum(self.sizes), "law": "gumbel"}] if self.sizes else []
        return [*super().describe_latents(), *noise]

    def start_from(self, data: TrainingData) -> None:
        """Learn the law of each class's numbers and the odds of its choices."""
        rows, labels = data.specimens().flatten(1).double(), data.specimen_labels()
        classes = labels if self.classes and labels is not None else torch.zeros(len(rows), dtype=torch.long)
        members = [rows[classes == label] for label in range(len(self.centres))]
        centres = torch.stack([(own.sum(dim=0) + rows.mean(dim=0)) / (len(own) + 1) for own in members])
        about = [(own - centre)[:, : self.numbers] for own, centre in zip(members, centres, strict=True)]
        self.centres.copy_(centres)
        self.centres[:, self.numbers :].clamp_min_(LEAST_SHARE).log_()
        if self.numbers:
            kept = about if self.unfolding.maps > 1 else [torch.cat(about)]
            self.unfolding.learn([own.numpy() for own in kept], columns_in(data))

    def forward(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Make one row of each."""
        drawn, noise = torch.split(latents, [latents.shape[1] - sum(self.sizes), sum(self.sizes)], dim=1)
        features = self.activation(self.latent(drawn, labels))
        for layer in self.hidden:
            features = torch.cat([self.activation(layer(features)), features], dim=1)
        classes = torch.zeros_like(drawn[:, 0], dtype=torch.long) if labels is None or not self.classes else labels
        added = self.last(features) + self.centres[classes]
        numbers, odds = torch.split(added, [self.numbers, sum(self.sizes)], dim=1)
        numbers = numbers + self._unfold(drawn[:, -self.latent_dim :], classes)
        return torch.cat([numbers, *self._choices(odds + noise, labels)], dim=1).reshape(-1, *self.shape)

    def _unfold(self, normals: Tensor, classes: Tensor) -> Tensor:
        """Unfold as many normals as there are numbers; where these are more, the narrowest axes stay in the middle."""
        normals = functional.pad(normals, (0, self.numbers - normals.shape[1]))
        unfolded: Tensor = self.unfolding(normals, classes if self.unfolding.maps > 1 else torch.zeros_like(classes))
        return unfolded

    def _choices(self, heights: Tensor, labels: Tensor | None) -> list[Tensor]:
        blocks = [self._choose(block) for block in torch.split(heights, self.sizes, dim=1)] if self.sizes else []
        if self.told is not None and labels is not None:
            blocks[self.told] = one_hot(labels, self.classes, heights.dtype)
        return blocks

    def _choose(self, heights: Tensor) -> Tensor:
        made = one_hot(heights.argmax(dim=1), heights.shape[1], heights.dtype)
        soft = functional.softmax(heights / TEMPERATURE, dim=1)
        return made + soft - soft.detach()


def columns_in(data: TrainingData) -> tuple[np.ndarray, np.ndarray]:
    """Return the matrices from the numbers of a sample to the scores of the columns and back, but for a shift."""
    if not isinstance(data.encoding, NormalScores | MixedTable):
        raise TypeError(f"{type(data.encoding).__name__} is no encoding of a table")
    whitening = data.encoding.whitening
    return whitening.deviation[:, None] * whitening.axes.T, whitening.axes / whitening.deviation
