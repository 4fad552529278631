"""What all pairs of networks share: how the loop calls them, how latents are drawn, how labels enter.

Networks are pure functions of their weights and buffers and know nothing of losses.
"""

from typing import Any

import torch
from torch import Tensor, nn

from worker.gan.data.training_data import TrainingData
from worker.gan.networks.groups import GroupSpread

LABEL_HEIGHT = 2.0  # of a one-hot label beside latents of variance 1
CODE_HEIGHT = 8.0  # of a codebook entry: its learning rate, in effect, against the other weights
CODE_SPREAD = 1.4
LATENT_SPREAD = 0.3


class Generator(nn.Module):
    """Latents (N, L) and labels (N,) to samples (N, *shape) in network units."""

    def __init__(self, latent_dim: int, latent_codes: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.latent_codes = latent_codes

    def draw_latents(self, count: int, random: torch.Generator) -> Tensor:
        """Draw standard normals (count, latent_dim), behind a column of code numbers when there is a codebook."""
        normals = torch.randn(count, self.latent_dim, generator=random, device=random.device)
        if not self.latent_codes:
            return normals
        codes = torch.randint(self.latent_codes, (count, 1), generator=random, device=random.device)
        return torch.cat([codes.to(normals.dtype), normals], dim=1)

    @property
    def normals(self) -> slice:
        """The columns of the normals among some latents."""
        first = 1 if self.latent_codes else 0
        return slice(first, first + self.latent_dim)

    def describe_latents(self) -> list[dict[str, Any]]:
        """Say by which laws `draw_latents` draws its columns, in their order."""
        codes = [{"columns": 1, "law": "code", "codes": self.latent_codes}] if self.latent_codes else []
        return [*codes, {"columns": self.latent_dim, "law": "normal"}]

    def truncate(self, latents: Tensor, factor: float) -> Tensor:
        """Shrink the normals among some latents towards 0, where samples are more typical and vary less."""
        shrunk = latents.clone()
        shrunk[:, self.normals] *= factor
        return shrunk

    def start_from(self, data: TrainingData) -> None:
        """Begin near the data, where the architecture has a way to."""

    def portable(self) -> nn.Module:
        """Return what makes the same samples by operations that other programs have."""
        return self

    def forward(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Make one sample of each row."""
        raise NotImplementedError


class Discriminator(nn.Module):
    """Samples (N, *shape) in network units and labels (N,) to logits: one for each sample, or for each pack of them."""

    def forward(self, samples: Tensor, labels: Tensor | None) -> Tensor:
        """Score all samples, which are of one kind."""
        raise NotImplementedError

    def reconstruction_loss(self, samples: Tensor, random: torch.Generator) -> Tensor:
        """Draw samples again from their features and measure what is wrong, where the architecture has a way to."""
        raise NotImplementedError


class LatentLayer(nn.Module):
    """A linear layer over [latents, one-hot label], and a learnt vector for each code added to it."""

    def __init__(self, latent_dim: int, latent_codes: int, classes: int, width: int) -> None:
        super().__init__()
        self.classes = classes
        self.linear = nn.Linear(latent_dim + classes, width)
        self.codes = nn.Embedding(latent_codes, width) if latent_codes else None

    def initialise(self, gain: float, random: torch.Generator) -> None:
        """Draw the weights; with a codebook its vectors dominate and the normal latents perturb them."""
        if self.codes is None:
            he_initialise(self.linear, gain, random)
            return
        nn.init.normal_(self.linear.weight, std=LATENT_SPREAD, generator=random)
        nn.init.zeros_(self.linear.bias)
        nn.init.normal_(self.codes.weight, std=CODE_SPREAD / CODE_HEIGHT, generator=random)

    def forward(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Return (N, width)."""
        normals = latents if self.codes is None else latents[:, 1:]
        mapped: Tensor = self.linear(with_labels(normals, labels, self.classes))
        return mapped if self.codes is None else mapped + CODE_HEIGHT * self.codes(latents[:, 0].long())


class Head(nn.Module):
    """Features (N, F) to logits (N,): a linear function, and for a label the projection on its own direction.

    The projection is equation (3) of Miyato and Koyama 2018. Labels (N, m) are those of packs, whose members are drawn
    independently, so that their log ratios and with them their projections add up. The linear function may be told how
    varied a group of samples is.
    """

    def __init__(self, features: int, classes: int, group: int | None) -> None:
        super().__init__()
        self.spread = None if group is None else GroupSpread(group)
        self.linear = nn.Linear(features + (group is not None), 1)
        self.directions = nn.Embedding(classes, features) if classes else None

    def initialise(self, gain: float, random: torch.Generator) -> None:
        """Draw the weights; every direction as if it were an output of its own."""
        he_initialise(self.linear, gain, random)
        if self.directions is not None:
            deviation = gain / self.directions.embedding_dim**0.5
            nn.init.normal_(self.directions.weight, std=deviation, generator=random)

    def forward(self, features: Tensor, labels: Tensor | None) -> Tensor:
        """Score each row."""
        logits: Tensor = self.linear(features if self.spread is None else self.spread(features)).squeeze(1)
        if self.directions is None:
            return logits
        directions: Tensor = self.directions(labels)
        towards = directions if directions.dim() == 2 else directions.sum(dim=1)
        return logits + (features * towards).sum(dim=1)


def with_labels(latents: Tensor, labels: Tensor | None, classes: int) -> Tensor:
    """Append the one-hot labels, for networks that are told any."""
    if not classes or labels is None:
        return latents
    return torch.cat([latents, LABEL_HEIGHT * one_hot(labels, classes, latents.dtype)], dim=1)


def one_hot(labels: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """Return labels (N,) as (N, classes), without asking the device whether all are in range, as torch's own does."""
    return (labels[:, None] == torch.arange(classes, device=labels.device)).to(dtype)


def he_initialise(layer: nn.Linear, gain: float, random: torch.Generator) -> None:
    """Draw normal weights of deviation gain / sqrt(inputs), as He et al. 2015; biases are 0."""
    nn.init.normal_(layer.weight, std=gain / layer.in_features**0.5, generator=random)
    nn.init.zeros_(layer.bias)
