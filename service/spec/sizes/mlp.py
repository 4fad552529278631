"""The size of worker.gan.networks.mlp."""

from math import prod

from service.spec.facts import DatasetFacts, ModelSize, NetworkSize
from service.spec.parts.model import ModelSpec
from service.spec.sizes.layers import (
    classes_of,
    dense,
    head_parameters,
    latent_parameters,
    latent_width,
    spectral_numbers,
)

DEFAULT_DEPTH = 3  # hidden layers of an mlp whose spec names none
FOURIER_HELD = 3  # numbers held for each sine or cosine: its angle, itself, a gradient in flight
MOST_TURN_NUMBERS = 2**19  # to the own axes of all classes
MLP_HELD = 3  # numbers held for each unit of an mlp: its sum, its activation, a gradient in flight


def mlp_size(model: ModelSpec, facts: DatasetFacts) -> ModelSize:
    """Size both networks of worker.gan.networks.mlp."""
    return ModelSize(mlp_generator_size(model, facts), mlp_discriminator_size(model, facts))


def mlp_multiply_adds(width: int, depth: int, facts: DatasetFacts) -> int:
    """Count what the layers of either network multiply for one sample: those of D but its head, G's but its first."""
    return width * prod(facts.shape) + (depth - 1) * width**2


def mlp_generator_size(model: ModelSpec, facts: DatasetFacts) -> NetworkSize:
    width, depth = model.generator.width, model.generator.depth or DEFAULT_DEPTH
    values = prod(facts.shape)
    first = latent_parameters(model, facts, width)
    hidden = (depth - 1) * dense(width, width)
    mixed, classes = components_of(model, facts), classes_with_axes(model, facts)
    return NetworkSize(
        parameters=first + hidden + dense(width, mixed or values),
        buffers=mixture_numbers(mixed, values) + classes * mixed**2,
        activations_per_sample=latent_width(model, facts)
        + MLP_HELD * width * depth
        + 2 * (mixed + values)
        + (mixed**2 if classes else 0),
    )


def mlp_discriminator_size(model: ModelSpec, facts: DatasetFacts) -> NetworkSize:
    width, depth = model.discriminator.width, model.discriminator.depth or DEFAULT_DEPTH
    values = prod(facts.shape)
    mixed = components_of(model, facts)
    seen = mixed or values
    read = seen * (1 + 2 * model.discriminator.octaves)
    hidden = dense(read, width) + (depth - 1) * dense(width, width)
    return NetworkSize(
        parameters=hidden + head_parameters(model, facts, width),
        buffers=(values if facts.modality == "image" else model.discriminator.octaves)
        + mixture_numbers(mixed, values)
        + spectral_numbers(model, facts, [width] * depth),
        activations_per_sample=2 * (values + mixed) + FOURIER_HELD * (read - seen) + MLP_HELD * width * depth + 1,
    )


def components_of(model: ModelSpec, facts: DatasetFacts) -> int:
    """Count the components that sounds are mixed of, 0 for other data: a layer of this width reaches no more."""
    return min(prod(facts.shape), model.generator.width) if facts.modality == "audio" else 0


def mixture_numbers(mixed: int, values: int) -> int:
    """Count the numbers of components of so many values: their axes and their unit."""
    return mixed * values + 1 if mixed else 0


def classes_with_axes(model: ModelSpec, facts: DatasetFacts) -> int:
    """Count the classes of sounds that may have axes of their own; none where there are too many to hold these."""
    classes = classes_of(model, facts)
    return classes if classes * components_of(model, facts) ** 2 <= MOST_TURN_NUMBERS else 0
