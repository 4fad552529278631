"""The networks by name. What is known of them without torch is in service.spec.architectures."""

import torch

from service.spec.facts import DatasetFacts
from service.spec.job import ModelSpec
from worker.gan.data.training_data import TrainingData
from worker.gan.networks.dcgan import DcganDiscriminator, DcganGenerator
from worker.gan.networks.mlp import MlpDiscriminator, MlpGenerator
from worker.gan.networks.players import Discriminator, Generator

NETWORKS = {
    "mlp": (MlpGenerator, MlpDiscriminator),
    "dcgan": (DcganGenerator, DcganDiscriminator),
}


def make_networks(model: ModelSpec, data: TrainingData, random: torch.Generator) -> tuple[Generator, Discriminator]:
    """Build both networks for this data on the CPU, their weights drawn from `random` alone."""
    generator, discriminator = NETWORKS[model.architecture]
    return generator(model, data.facts, random), discriminator(model, data, random)


def make_generator(model: ModelSpec, facts: DatasetFacts) -> Generator:
    """Build a generator whose weights will be loaded."""
    generator, _ = NETWORKS[model.architecture]
    return generator(model, facts, torch.Generator())
