"""Spectral normalisation of every discriminator; its own formulas are tested with the networks."""

import pytest
import torch
from small_training import small_spec, small_training
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from service.spec.architectures import ARCHITECTURES
from service.spec.datasets import DATASETS
from service.spec.job import DatasetRef
from service.spec.parts.model import DiscriminatorSpec, ModelSpec
from worker.gan.data.registry import open_dataset
from worker.gan.data.training_data import as_seen_by
from worker.gan.networks.players import Discriminator
from worker.gan.networks.registry import NETWORKS, make_networks
from worker.gan.networks.spectral import NORMALISED

SEEN_BY = {name: ARCHITECTURES[name].modalities[0] for name in NETWORKS}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normalised_discriminator(architecture: str) -> tuple[Discriminator, Tensor]:
    """Build one with width 8 in float64, and a few samples that it takes."""
    dataset = next(name for name, facts in DATASETS.items() if facts.modality == SEEN_BY[architecture])
    data = as_seen_by(architecture, open_dataset(DatasetRef(name=dataset)))
    model = ModelSpec(architecture=architecture, discriminator=DiscriminatorSpec(width=8, spectral_norm=True))
    _, discriminator = make_networks(model, data, seeded())
    return discriminator.double(), data.specimens(4).double()


@pytest.mark.parametrize("architecture", NETWORKS)
def test_every_layer_of_every_discriminator_has_norm_1(architecture: str) -> None:
    discriminator, samples = normalised_discriminator(architecture)

    with torch.no_grad():
        for _ in range(200):
            discriminator(samples, None)

    layers = [layer for layer in discriminator.modules() if isinstance(layer, NORMALISED)]
    assert len(layers) > 2
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in discriminator.modules())
    for layer in layers:
        assert is_parametrized(layer, "weight")
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("penalty", ["r1", "r2", "gradient_penalty", "dragan", "lecam"])
def test_a_penalty_differentiates_a_normalised_discriminator_twice(penalty: str) -> None:
    spec = small_spec(
        model={"discriminator": {"spectral_norm": True}}, objective={penalty: 1}, loop={"variant": "fused"}
    )
    training = small_training(spec)

    training.step()

    assert all(weight.isfinite().all() for weight in training.discriminator.parameters)
