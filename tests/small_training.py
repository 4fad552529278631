"""Small trainings for tests: resolved specs, tiny data, networks of one weight each."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from service.spec.facts import DatasetFacts
from service.spec.job import JobSpec
from service.spec.resolve import merge, parse_spec, resolve
from worker.gan.data.registry import open_dataset
from worker.gan.data.training_data import TrainingData
from worker.gan.networks.players import Discriminator, Generator
from worker.gan.training import Training

CPU = torch.device("cpu")
SMALL_NETWORK = {"width": 16, "depth": 2}
CONSTANT = {"name": "constant", "warmup_steps": 0}
SMALL: dict[str, Any] = {
    "dataset": "ring",
    "seed": 7,
    "model": {"latent_codes": 0, "generator": SMALL_NETWORK, "discriminator": SMALL_NETWORK},
    "objective": {"r1": 0, "r2": 0},
    "loop": {"batch_size": 8, "max_steps": 20},
    "optimizer": {
        "generator": {"lr": 1e-3, "schedule": CONSTANT},
        "discriminator": {"lr": 1e-3, "schedule": CONSTANT},
    },
}


def small_spec(**parts: Any) -> JobSpec:
    """Resolve SMALL with the given parts laid over it."""
    return resolve(parse_spec(merge(SMALL, parts)), memory_limit_bytes=2**40).spec


def small_training(spec: JobSpec, *, dtype: torch.dtype = torch.float32) -> Training:
    """Open the data of a spec and start it."""
    data = open_dataset(spec.dataset)  # type: ignore[arg-type]  # a resolved spec holds a reference
    return Training(spec, data, device=CPU, dtype=dtype)


def rows_of(training: Training, steps: int) -> dict[str, np.ndarray]:
    """Take steps and return what they recorded, by column."""
    for _ in range(steps):
        training.step()
    _, rows = training.recorder.take()
    return dict(zip(training.recorder.columns, rows.T, strict=True))


def weights_of(network: nn.Module) -> Tensor:
    """Return all weights of a network as one vector."""
    return nn.utils.parameters_to_vector(network.parameters()).detach().clone()


class Point(Generator):
    """Always the point theta, whatever the latents."""

    def __init__(self, theta: float) -> None:
        super().__init__(latent_dim=1, latent_codes=0)
        self.theta = nn.Parameter(torch.tensor(theta, dtype=torch.float64))

    def forward(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        return self.theta.expand(len(latents), 1)


class Slope(Discriminator):
    """D(x) = psi x."""

    def __init__(self, psi: float) -> None:
        super().__init__()
        self.psi = nn.Parameter(torch.tensor(psi, dtype=torch.float64))

    def forward(self, samples: Tensor, labels: Tensor | None) -> Tensor:
        return self.psi * samples.squeeze(1)


class Unchanged:
    """The encoding of data that is in network units already."""

    def forward(self, rows: np.ndarray) -> Tensor:
        return torch.from_numpy(rows)

    def backward(self, samples: Tensor) -> np.ndarray:
        return samples.cpu().numpy()

    def learnt(self) -> dict[str, np.ndarray]:
        return {}


def point_data(count: int = 16) -> TrainingData:
    """All samples at 0, in one dimension."""
    facts = DatasetFacts(name="origin", modality="vector", shape=(1,), count=count, sha256="0" * 64)
    return TrainingData(facts, torch.zeros(count, 1), None, Unchanged())


def dirac_training(spec: JobSpec, *, psi: float = 1.0, theta: float = 1.0) -> Training:
    """Start the Dirac-GAN of Mescheder et al. 2018 in float64."""
    networks = Point(theta), Slope(psi)
    return Training(spec, point_data(), device=CPU, dtype=torch.float64, networks=networks)


def smaller(data: TrainingData, count: int) -> TrainingData:
    """Keep the first samples of a data set."""
    labels = None if data.labels is None else data.labels[:count]
    return replace(data, facts=replace(data.facts, count=count), samples=data.samples[:count], labels=labels)
