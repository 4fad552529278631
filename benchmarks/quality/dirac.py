"""The Dirac-GAN of Mescheder et al. 2018: data at 0, one fake point theta, D(x) = psi x. Both players are one number,
so that everything that a training does has a closed form.
"""

from math import hypot

import numpy as np
import torch
from torch import Tensor, nn

from service.spec.facts import DatasetFacts
from service.spec.job import JobSpec
from worker.gan.data.training_data import TrainingData
from worker.gan.networks.players import Discriminator, Generator
from worker.gan.training import Training


class Point(Generator):
    """Always the point theta, whatever the latents."""

    def __init__(self, theta: float) -> None:
        super().__init__(latent_dim=1, latent_codes=0)
        self.theta = nn.Parameter(torch.tensor(theta, dtype=torch.float64))

    def forward(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Return the point as often as there are latents (N, 1)."""
        return self.theta.expand(len(latents), 1)


class Slope(Discriminator):
    """D(x) = psi x."""

    def __init__(self, psi: float) -> None:
        super().__init__()
        self.psi = nn.Parameter(torch.tensor(psi, dtype=torch.float64))

    def forward(self, samples: Tensor, labels: Tensor | None) -> Tensor:
        """Return logits (N,) of samples (N, 1)."""
        return self.psi * samples.squeeze(1)


class Unchanged:
    """The encoding of data that is in network units already."""

    def forward(self, rows: np.ndarray) -> Tensor:
        """Return the rows."""
        return torch.from_numpy(rows)

    def backward(self, samples: Tensor) -> np.ndarray:
        """Return the samples."""
        return samples.cpu().numpy()

    def decoder(self) -> nn.Module:
        """Return what changes nothing either."""
        return nn.Identity()

    def learnt(self) -> dict[str, np.ndarray]:
        """Nothing is learnt."""
        return {}


def point_data(count: int = 16) -> TrainingData:
    """All samples at 0, in one dimension."""
    facts = DatasetFacts(name="origin", modality="vector", shape=(1,), count=count, sha256="0" * 64)
    return TrainingData(facts, torch.zeros(count, 1), None, Unchanged())


def radius(training: Training) -> float:
    """Return how far both players are from the equilibrium, where they are 0."""
    players = training.discriminator.network, training.generator.network
    return hypot(*(number.item() for player in players for number in player.parameters()))


def dirac_training(spec: JobSpec, *, psi: float = 1.0, theta: float = 1.0) -> Training:
    """Start it in float64."""
    networks = Point(theta), Slope(psi)
    return Training(spec, point_data(), device=torch.device("cpu"), dtype=torch.float64, networks=networks)
