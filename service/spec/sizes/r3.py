"""The shapes and the size of worker.gan.networks.r3."""

from itertools import pairwise
from math import gcd, prod

from service.spec.facts import DatasetFacts, ModelSize, NetworkSize
from service.spec.parts.model import ModelSpec, NetworkSpec
from service.spec.sizes.layers import head_parameters, latent_parameters, latent_width, spectral_numbers
from service.spec.sizes.pyramid import pyramid_channels, pyramid_units

BLOCKS = 1  # at each size of a picture, when a spec names no depth
EXPANSION = 2  # of the channels within a block
GROUP_CHANNELS = 16  # that see one another there
BLOCK_HELD = 4 * EXPANSION  # of a block for each of its numbers: two sums within it and their activations
BETWEEN_HELD = 2  # for each number of a map: resampled, and its channels mixed


def r3_expanded(channels: int) -> int:
    """Count the channels within a block."""
    return EXPANSION * channels


def r3_groups(expanded: int) -> int:
    """Count the groups of about GROUP_CHANNELS that divide the channels evenly."""
    return gcd(expanded, max(1, expanded // GROUP_CHANNELS))


def r3_size(model: ModelSpec, facts: DatasetFacts) -> ModelSize:
    """Size both networks of worker.gan.networks.r3."""
    return ModelSize(r3_generator_size(model, facts), r3_discriminator_size(model, facts))


def r3_generator_size(model: ModelSpec, facts: DatasetFacts) -> NetworkSize:
    picture_channels, *_ = facts.shape
    channels, units = pyramid_channels(model.generator.width, facts), pyramid_units(model.generator.width, facts)
    return NetworkSize(
        parameters=latent_parameters(model, facts, channels[-1])
        + units[-1]
        + layer_parameters(model.generator, facts)
        + (channels[0] + 1) * picture_channels,
        buffers=0,
        activations_per_sample=latent_width(model, facts) + held(model.generator, facts) + 2 * prod(facts.shape),
    )


def r3_discriminator_size(model: ModelSpec, facts: DatasetFacts) -> NetworkSize:
    picture_channels, *_ = facts.shape
    channels = pyramid_channels(model.discriminator.width, facts)
    units = pyramid_units(model.discriminator.width, facts)
    return NetworkSize(
        parameters=(picture_channels + 1) * channels[0]
        + layer_parameters(model.discriminator, facts)
        + units[-1]
        + head_parameters(model, facts, channels[-1]),
        buffers=spectral_numbers(model, facts, layer_outputs(model.discriminator, facts)),
        activations_per_sample=prod(facts.shape) + held(model.discriminator, facts) + 1,
    )


def layer_parameters(spec: NetworkSpec, facts: DatasetFacts) -> int:
    """Count the blocks of every size and the layers between the sizes."""
    channels = pyramid_channels(spec.width, facts)
    between = sum(here * into for here, into in pairwise(channels))
    return between + (spec.depth or BLOCKS) * sum(block_parameters(count) for count in channels)


def layer_outputs(spec: NetworkSpec, facts: DatasetFacts) -> list[int]:
    """List the channels that the discriminator's convolutions give: the first and those between, then the blocks."""
    channels = pyramid_channels(spec.width, facts)
    blocks = [2 * r3_expanded(count) + count for count in channels for _ in range(spec.depth or BLOCKS)]
    return [*channels, *blocks]


def block_parameters(channels: int) -> int:
    """Count the three convolutions of a block; the last has no bias."""
    expanded = r3_expanded(channels)
    mix = (9 * expanded // r3_groups(expanded) + 1) * expanded
    return (channels + 1) * expanded + mix + expanded * channels


def held(spec: NetworkSpec, facts: DatasetFacts) -> int:
    """Count the numbers that all layers hold of one sample."""
    return (BLOCK_HELD * (spec.depth or BLOCKS) + BETWEEN_HELD) * sum(pyramid_units(spec.width, facts))
