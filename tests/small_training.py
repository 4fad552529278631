"""Small trainings for tests: resolved specs, tiny data."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from service.spec.job import JobSpec
from service.spec.resolve import merge, parse_spec, resolve
from worker.gan.data.registry import open_dataset
from worker.gan.data.training_data import TrainingData
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
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def smaller(data: TrainingData, count: int) -> TrainingData:
    """Keep the first samples of a data set."""
    labels = None if data.labels is None else data.labels[:count]
    return replace(data, facts=replace(data.facts, count=count), samples=data.samples[:count], labels=labels)
