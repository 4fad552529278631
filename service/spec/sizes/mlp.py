"""The size of worker.gan.networks.mlp."""

from math import prod

from service.spec.facts import DatasetFacts, ModelSize, NetworkSize
from service.spec.parts.model import ModelSpec
from service.spec.sizes.layers import dense, head_parameters, latent_parameters, latent_width, spectral_numbers

DEFAULT_DEPTH = 3  # hidden layers of an mlp whose spec names none
FOURIER_HELD = 3  # numbers held for each sine or cosine: its angle, itself, a gradient in flight
MLP_HELD = 3  # numbers held for each unit of an mlp: its sum, its activation, a gradient in flight


def mlp_size(model: ModelSpec, facts: DatasetFacts) -> ModelSize:
    """Size both networks of worker.gan.networks.mlp."""
    return ModelSize(mlp_generator_size(model, facts), mlp_discriminator_size(model, facts))


def mlp_generator_size(model: ModelSpec, facts: DatasetFacts) -> NetworkSize:
    width, depth = model.generator.width, model.generator.depth or DEFAULT_DEPTH
    values = prod(facts.shape)
    first = latent_parameters(model, facts, width)
    hidden = (depth - 1) * dense(width, width)
    return NetworkSize(
        parameters=first + hidden + dense(width, values),
        buffers=0,
        activations_per_sample=latent_width(model, facts) + MLP_HELD * width * depth + 2 * values,
    )


def mlp_discriminator_size(model: ModelSpec, facts: DatasetFacts) -> NetworkSize:
    width, depth = model.discriminator.width, model.discriminator.depth or DEFAULT_DEPTH
    values = prod(facts.shape)
    read = values * (1 + 2 * model.discriminator.octaves)
    hidden = dense(read, width) + (depth - 1) * dense(width, width)
    return NetworkSize(
        parameters=hidden + head_parameters(model, facts, width),
        buffers=(values if facts.modality == "image" else model.discriminator.octaves)
        + spectral_numbers(model, facts, [width] * depth),
        activations_per_sample=2 * values + FOURIER_HELD * (read - values) + MLP_HELD * width * depth + 1,
    )
