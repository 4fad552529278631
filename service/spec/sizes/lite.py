"""The shapes and the size of worker.gan.networks.lite."""

from itertools import pairwise
from math import prod

from service.spec.facts import DatasetFacts, ModelSize, NetworkSize
from service.spec.parts.model import ModelSpec
from service.spec.sizes.layers import classes_of, convolution, head_parameters, latent_parameters, latent_width
from service.spec.sizes.pyramid import pyramid_channels, pyramid_sides, pyramid_units

SKIPPED = 3  # halvings between a map and the one that weighs its channels; the paper's larger pictures have four
DECODED = 3  # doublings of a decoder at most, so that it never costs as much as what it reads
POOLED = 4  # least side of a map that is read to weigh the channels of another


def excitations(levels: int) -> list[tuple[int, int]]:
    """List the maps whose channels are weighed, each with the smaller one that weighs them, by their levels."""
    reach = min(SKIPPED, levels)
    return [(level, level + reach) for level in range(levels - reach + 1)]


def pooling(side: int) -> int:
    """Return how many pixels of a side are averaged into one, so that POOLED of them are left, or a few more."""
    return max(1, side // POOLED)


def decoded_level(levels: int) -> int:
    """Return the level whose size a decoder's picture has: never that of the picture itself."""
    return max(1, levels - DECODED)


def decoder_channels(channels: list[int], picture_channels: int) -> list[int]:
    """List the channels of a decoder from the smallest map on; `channels` are those of the maps, the largest first."""
    last = decoded_level(len(channels) - 1)
    return [*reversed(channels[last + 1 :]), picture_channels]


def lite_size(model: ModelSpec, facts: DatasetFacts) -> ModelSize:
    """Size both networks of worker.gan.networks.lite."""
    return ModelSize(lite_generator_size(model, facts), lite_discriminator_size(model, facts))


def lite_generator_size(model: ModelSpec, facts: DatasetFacts) -> NetworkSize:
    picture_channels, *_ = facts.shape
    channels, units = pyramid_channels(model.generator.width, facts), pyramid_units(model.generator.width, facts)
    sides, gated = pyramid_sides(facts), [2 * count for count in channels]
    enlarging = sum(9 * here * 2 * into for into, here in pairwise(channels))
    weighing = sum(
        convolution(channels[low], channels[high], prod(side // pooling(side) for side in sides[low]))
        + convolution(channels[high], channels[high], 1)
        for high, low in excitations(len(channels) - 1)
    )
    first = latent_parameters(model, facts, 2 * units[-1])
    enlarged = sum(here * prod(side) for (_, here), side in zip(pairwise(channels), sides, strict=False))
    return NetworkSize(
        parameters=first + enlarging + 2 * sum(gated) + weighing + convolution(channels[0], picture_channels, 9),
        buffers=2 * sum(gated) + len(gated),
        # Twice as many sums as units, those normalised, both gates, the units, these weighed.
        activations_per_sample=latent_width(model, facts) + enlarged + 8 * sum(units) + 2 * prod(facts.shape),
    )


def lite_discriminator_size(model: ModelSpec, facts: DatasetFacts) -> NetworkSize:
    picture_channels, *_ = facts.shape
    channels = pyramid_channels(model.discriminator.width, facts)
    units = pyramid_units(model.discriminator.width, facts)
    pairs = list(pairwise(channels))
    halving = sum(convolution(here, into, 16) + convolution(into, into, 9) for here, into in pairs)
    beside = sum(convolution(here, into, 1) for here, into in pairs)
    decoded = decoder_channels(channels, picture_channels)
    from_part = [channels[-2], *decoded[1:]]
    decoders = sum(convolution(here, into, 16) for way in (decoded, from_part) for here, into in pairwise(way))
    halved = sum(here * (units[level + 1] // into) for level, (here, into) in enumerate(pairs))
    return NetworkSize(
        parameters=convolution(picture_channels, channels[0], 9)
        + halving
        + beside
        + head_parameters(model, facts, units[-1])
        + decoders,
        buffers=channels[0] + 3 * sum(channels[1:]) + 1 + classes_of(model, facts),
        # Of each block: both ways' sums and activations, the halved input, the mean of both ways.
        activations_per_sample=prod(facts.shape) + 2 * units[0] + halved + 7 * sum(units[1:]) + 1,
    )
