"""What layers of any architecture hold: linear ones, the one that reads latents, the one that gives logits."""

from collections.abc import Iterable

from service.spec.facts import DatasetFacts
from service.spec.parts.model import ModelSpec


def classes_of(model: ModelSpec, facts: DatasetFacts) -> int:
    """Count the labels that the networks are told; 0 when they are not."""
    return len(facts.labels) if model.conditional else 0


def dense(inputs: int, outputs: int) -> int:
    """Count the weights and biases of a linear layer."""
    return (inputs + 1) * outputs


def convolution(channels: int, into: int, taps: int) -> int:
    """Count the weights and biases of a convolution that reads so many places at once."""
    return (taps * channels + 1) * into


def latent_width(model: ModelSpec, facts: DatasetFacts) -> int:
    """Count the numbers a generator reads for one sample."""
    return model.latent_dim + classes_of(model, facts)


def latent_parameters(model: ModelSpec, facts: DatasetFacts, outputs: int) -> int:
    """Count the layer that reads latents: a linear one, and the codebook beside it."""
    return dense(latent_width(model, facts), outputs) + model.latent_codes * outputs


def head_parameters(model: ModelSpec, facts: DatasetFacts, features: int) -> int:
    """Count the layer that gives the logit: a linear one, perhaps told a spread, and a direction for each label."""
    told = features + (model.discriminator.minibatch_std is not None)
    return dense(told, 1) + classes_of(model, facts) * features


def spectral_numbers(model: ModelSpec, facts: DatasetFacts, outputs: Iterable[int]) -> int:
    """Count what spectral normalisation keeps: one for each output of D's layers, of its head, and each label."""
    return sum(outputs) + 1 + classes_of(model, facts) if model.discriminator.spectral_norm else 0
