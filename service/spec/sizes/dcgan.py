"""The shapes and the size of worker.gan.networks.dcgan."""

from itertools import pairwise

from service.spec.facts import DatasetFacts, ModelSize, NetworkSize
from service.spec.parts.model import ModelSpec
from service.spec.sizes.layers import head_parameters, latent_parameters, latent_width, spectral_numbers

DCGAN_HELD = 3  # for each unit of a dcgan: its sum, that normalised, its activation


def convolution_sides(side: int, levels: int) -> list[int]:
    """List a side's length at each level, the picture's own first; odd lengths lose a pixel at each halving."""
    return [side >> level for level in range(levels + 1)]


def convolution_levels(height: int, width: int) -> int:
    """Count the halvings that leave a smaller side of 4 to 7, at least two so that small pictures have depth too."""
    return max(2, min(height, width).bit_length() - 3)


def convolution_channels(base: int, levels: int) -> list[int]:
    """List the channels after each level of the discriminator; the generator has them in reverse."""
    return [min(base << level, base * 8) for level in range(levels)]


def dcgan_size(model: ModelSpec, facts: DatasetFacts) -> ModelSize:
    """Size both networks of worker.gan.networks.dcgan."""
    return ModelSize(dcgan_generator_size(model, facts), dcgan_discriminator_size(model, facts))


def dcgan_generator_size(model: ModelSpec, facts: DatasetFacts) -> NetworkSize:
    picture_channels, *_ = facts.shape
    channels, pixels = convolution_layers(model.generator.width, facts)
    first = latent_parameters(model, facts, channels[-1] * pixels[-1])
    between = sum(16 * here * up for up, here in pairwise(channels))
    normalised = sum(channels)
    return NetworkSize(
        parameters=first + between + 2 * normalised + 16 * channels[0] * picture_channels + picture_channels,
        buffers=2 * normalised + len(channels),
        activations_per_sample=latent_width(model, facts)
        + DCGAN_HELD * sum(c * p for c, p in zip(channels, pixels[1:], strict=True))
        + 2 * picture_channels * pixels[0],
    )


def dcgan_discriminator_size(model: ModelSpec, facts: DatasetFacts) -> NetworkSize:
    picture_channels, *_ = facts.shape
    channels, pixels = convolution_layers(model.discriminator.width, facts)
    first = 16 * picture_channels * channels[0] + channels[0]
    between = sum(16 * here * down for here, down in pairwise(channels))
    later, spectral = sum(channels[1:]), model.discriminator.spectral_norm
    # A scale and a shift of each channel, two statistics of it and a counter; a bias alone without normalisation.
    beside, statistics = (later, 0) if spectral else (2 * later, 2 * later + len(channels) - 1)
    return NetworkSize(
        parameters=first + between + beside + head_parameters(model, facts, channels[-1] * pixels[-1]),
        buffers=statistics + spectral_numbers(model, facts, channels),
        activations_per_sample=picture_channels * pixels[0]
        + DCGAN_HELD * sum(c * p for c, p in zip(channels, pixels[1:], strict=True))
        - channels[0] * pixels[1]  # the first layer is not normalised
        + 1,
    )


def dcgan_multiply_adds(width: int, facts: DatasetFacts) -> int:
    """Count what the convolutions of either network multiply for one sample."""
    picture_channels, *_ = facts.shape
    channels, pixels = convolution_layers(width, facts)
    layers = zip(pairwise([picture_channels, *channels]), pixels[1:], strict=True)
    return sum(16 * here * into * places for (here, into), places in layers)


def convolution_layers(base: int, facts: DatasetFacts) -> tuple[list[int], list[int]]:
    """List the discriminator's channels after each level, and the pixels before the first and after each."""
    _, height, width = facts.shape
    levels = convolution_levels(height, width)
    sides = zip(convolution_sides(height, levels), convolution_sides(width, levels), strict=True)
    return convolution_channels(base, levels), [h * w for h, w in sides]
