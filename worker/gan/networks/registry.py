"""The networks by name. What is known of them without torch is in service.spec.architectures."""

import torch

from service.spec.facts import DatasetFacts
from service.spec.parts.model import ModelSpec
from worker.gan.data.training_data import TrainingData
from worker.gan.networks.dcgan import DcganDiscriminator, DcganGenerator
from worker.gan.networks.lite import LiteDiscriminator, LiteGenerator
from worker.gan.networks.mlp import MlpDiscriminator, MlpGenerator
from worker.gan.networks.packed import Packed, packed_data
from worker.gan.networks.players import Discriminator, Generator
from worker.gan.networks.r3 import R3Discriminator, R3Generator
from worker.gan.networks.resnet import ResnetDiscriminator, ResnetGenerator
from worker.gan.networks.spectral import normalise_spectra
from worker.gan.networks.spectrogram import SpectrogramDiscriminator, SpectrogramGenerator
from worker.gan.networks.tabular import TabularGenerator
from worker.gan.networks.timbre import TimbreDiscriminator, TimbreGenerator
from worker.gan.networks.wave import WaveDiscriminator, WaveGenerator

NETWORKS = {
    "mlp": (MlpGenerator, MlpDiscriminator),
    "tabular": (TabularGenerator, MlpDiscriminator),
    "dcgan": (DcganGenerator, DcganDiscriminator),
    "resnet": (ResnetGenerator, ResnetDiscriminator),
    "r3": (R3Generator, R3Discriminator),
    "lite": (LiteGenerator, LiteDiscriminator),
    "timbre": (TimbreGenerator, TimbreDiscriminator),
    "wave": (WaveGenerator, WaveDiscriminator),
    "spectrogram": (SpectrogramGenerator, SpectrogramDiscriminator),
}


def make_networks(model: ModelSpec, data: TrainingData, random: torch.Generator) -> tuple[Generator, Discriminator]:
    """Build both networks for this data on the CPU, their weights drawn from `random` alone."""
    generator_class, _ = NETWORKS[model.architecture]
    generator = generator_class(model, data.facts, random)
    generator.start_from(data)
    discriminator = make_discriminator(model, data, random)
    if model.discriminator.spectral_norm:
        normalise_spectra(discriminator, random)
    return generator, discriminator


def make_discriminator(model: ModelSpec, data: TrainingData, random: torch.Generator) -> Discriminator:
    """Build a discriminator of samples or of packs, as it is before spectral normalisation."""
    _, discriminator = NETWORKS[model.architecture]
    count = model.discriminator.packing
    if count == 1:
        return discriminator(model, data, random)
    return Packed(discriminator(model, packed_data(data, count), random), count, len(data.facts.labels))


def make_generator(model: ModelSpec, facts: DatasetFacts) -> Generator:
    """Build a generator whose weights will be loaded."""
    generator, _ = NETWORKS[model.architecture]
    return generator(model, facts, torch.Generator())
