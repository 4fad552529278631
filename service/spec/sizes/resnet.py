"""The size of worker.gan.networks.resnet."""

from itertools import pairwise
from math import prod

from service.spec.facts import DatasetFacts, ModelSize, NetworkSize
from service.spec.parts.model import ModelSpec
from service.spec.sizes.layers import classes_of, convolution, head_parameters, latent_parameters, latent_width
from service.spec.sizes.pyramid import pyramid_channels, pyramid_sides, pyramid_units


def resnet_size(model: ModelSpec, facts: DatasetFacts) -> ModelSize:
    """Size both networks of worker.gan.networks.resnet."""
    return ModelSize(resnet_generator_size(model, facts), resnet_discriminator_size(model, facts))


def resnet_generator_size(model: ModelSpec, facts: DatasetFacts) -> NetworkSize:
    picture_channels, *_ = facts.shape
    channels, sides = pyramid_channels(model.generator.width, facts), pyramid_sides(facts)
    units = pyramid_units(model.generator.width, facts)
    pairs = list(pairwise(channels))
    normalised = sum(here + into for into, here in pairs) + channels[0]
    blocks = sum(block_parameters(here, into) for into, here in pairs)
    first = latent_parameters(model, facts, units[-1])
    # A block holds the sum, what is normalised and its activation before it is enlarged; after, the features enlarged,
    # two sums, one normalised, its activation, and the plain way with the total.
    enlarged = sum(here * prod(side) + 6 * into * prod(side) for (into, here), side in zip(pairs, sides, strict=False))
    return NetworkSize(
        parameters=first + blocks + 2 * normalised + convolution(channels[0], picture_channels, 9),
        buffers=2 * normalised + 2 * len(pairs) + 1,
        activations_per_sample=latent_width(model, facts)
        + enlarged
        + 3 * sum(units[1:])
        + 2 * units[0]
        + 2 * prod(facts.shape),
    )


def resnet_discriminator_size(model: ModelSpec, facts: DatasetFacts) -> NetworkSize:
    picture_channels, *_ = facts.shape
    channels = pyramid_channels(model.discriminator.width, facts)
    units = pyramid_units(model.discriminator.width, facts)
    pairs = list(pairwise(channels))
    blocks = sum(block_parameters(here, into) for here, into in pairs)
    left_vectors = channels[0] + sum(3 * into for _, into in pairs) + 1 + classes_of(model, facts)
    # Of each block: its input's activation at the input's size, five maps of its output's channels there, their mean.
    held = sum(units[level] + 5 * into * (units[level] // here) for level, (here, into) in enumerate(pairs))
    return NetworkSize(
        parameters=convolution(picture_channels, channels[0], 9) + blocks + head_parameters(model, facts, channels[-1]),
        buffers=left_vectors,
        activations_per_sample=prod(facts.shape) + sum(units) + held + units[-1] + channels[-1] + 1,
    )


def block_parameters(channels: int, into: int) -> int:
    """Count the convolutions of a block."""
    return convolution(channels, into, 9) + convolution(into, into, 9) + convolution(channels, into, 1)
