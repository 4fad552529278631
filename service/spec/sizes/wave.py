"""The shapes and the size of worker.gan.networks.wave."""

from itertools import pairwise

from service.spec.facts import DatasetFacts, ModelSize, NetworkSize
from service.spec.parts.model import ModelSpec
from service.spec.sizes.layers import convolution, head_parameters, latent_parameters, latent_width, spectral_numbers

KERNEL, STRIDE = 25, 4
SHORTEST = 16  # frames at which a sound is short enough
WAVE_HELD = 3  # for each unit: its sum, its activation, that shuffled or a gradient in flight


def wave_lengths(frames: int) -> list[int]:
    """List the frames at each level, the sound's own first; at least one level."""
    lengths = [frames]
    while len(lengths) == 1 or lengths[-1] > SHORTEST:
        lengths.append(-(-lengths[-1] // STRIDE))
    return lengths


def wave_channels(base: int, levels: int) -> list[int]:
    """List the channels after each level of the discriminator; the generator has them in reverse."""
    return [min(base << level, base * 16) for level in range(levels)]


def wave_size(model: ModelSpec, facts: DatasetFacts) -> ModelSize:
    """Size both networks of worker.gan.networks.wave."""
    return ModelSize(wave_generator_size(model, facts), wave_discriminator_size(model, facts))


def wave_generator_size(model: ModelSpec, facts: DatasetFacts) -> NetworkSize:
    channels, lengths = wave_layers(model.generator.width, facts)
    first = latent_parameters(model, facts, channels[-1] * lengths[-1])
    convolutions = sum(convolution(here, into, KERNEL) for into, here in pairwise(channels))
    return NetworkSize(
        parameters=first + convolutions,
        buffers=0,
        activations_per_sample=latent_width(model, facts) + WAVE_HELD * units(channels, lengths),
    )


def wave_discriminator_size(model: ModelSpec, facts: DatasetFacts) -> NetworkSize:
    channels, lengths = wave_layers(model.discriminator.width, facts)
    convolutions = sum(convolution(here, into, KERNEL) for here, into in pairwise(channels))
    return NetworkSize(
        parameters=convolutions + head_parameters(model, facts, channels[-1] * lengths[-1]),
        buffers=spectral_numbers(model, facts, channels[1:]),
        activations_per_sample=WAVE_HELD * units(channels, lengths) + 1,
    )


def wave_multiply_adds(width: int, facts: DatasetFacts) -> int:
    """Count what the convolutions of either network multiply for one sample."""
    channels, lengths = wave_layers(width, facts)
    layers = zip(pairwise(channels), lengths[1:], strict=True)
    return sum(KERNEL * here * into * length for (here, into), length in layers)


def wave_layers(base: int, facts: DatasetFacts) -> tuple[list[int], list[int]]:
    """List channels and frames, the sound's own first, then those after each level of the discriminator."""
    sound_channels, frames = facts.shape
    lengths = wave_lengths(frames)
    return [sound_channels, *wave_channels(base, len(lengths) - 1)], lengths


def units(channels: list[int], lengths: list[int]) -> int:
    """Count the numbers of all levels."""
    return sum(channel * length for channel, length in zip(channels, lengths, strict=True))
