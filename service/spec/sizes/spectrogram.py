"""The shapes and the size of worker.gan.networks.spectrogram."""

from service.spec.facts import DatasetFacts, ModelSize, NetworkSize
from service.spec.parts.model import ModelSpec
from service.spec.sizes.layers import (
    convolution,
    dense,
    head_parameters,
    latent_parameters,
    latent_width,
    spectral_numbers,
)

WINDOW = 256  # samples of a sound that one frame sees
HOP = 128  # samples between frames; half a window, so that no sample is seen much more often than others
BINS = WINDOW // 2 + 1
TOLD = 3  # numbers that D is told of each bin: its loudness, the cosine and the sine of how far its phase went on
MADE = 3  # numbers that G makes of each bin: its loudness, and the direction in which its phase goes on
KERNEL = 3  # frames that a layer looks at
SHORTEST = 4  # frames at which a spectrogram is short enough
TRANSFORM_NUMBERS = WINDOW + BINS  # that a transform keeps: its window, and signs of the bins
HELD = 3  # for each unit: its sum, that normalised, its activation
HELD_OF_A_BIN = 12  # real numbers that making a spectrum, or reading one, holds of each bin


def spectrogram_lengths(samples: int) -> list[int]:
    """List the frames at each level, the spectrogram's own first."""
    lengths = [1 - (-samples // HOP)]
    while lengths[-1] > SHORTEST:
        lengths.append(-(-lengths[-1] // 2))
    return lengths


def spectrogram_size(model: ModelSpec, facts: DatasetFacts) -> ModelSize:
    """Size both networks of worker.gan.networks.spectrogram."""
    return ModelSize(spectrogram_generator_size(model, facts), spectrogram_discriminator_size(model, facts))


def spectrogram_generator_size(model: ModelSpec, facts: DatasetFacts) -> NetworkSize:
    width, lengths = model.generator.width, spectrogram_lengths(facts.shape[1])
    levels = len(lengths) - 1
    return NetworkSize(
        parameters=latent_parameters(model, facts, width * lengths[-1])
        + levels * convolution(width, width, KERNEL)
        + 2 * width * (levels + 1)
        + dense(width, MADE * BINS),
        buffers=TRANSFORM_NUMBERS + BINS + (levels + 1) * (2 * width + 1),
        activations_per_sample=latent_width(model, facts)
        + HELD * width * sum(lengths)
        + HELD_OF_A_BIN * BINS * lengths[0]
        + facts.shape[1],
    )


def spectrogram_discriminator_size(model: ModelSpec, facts: DatasetFacts) -> NetworkSize:
    sounds, samples = facts.shape
    width, lengths = model.discriminator.width, spectrogram_lengths(samples)
    levels = len(lengths) - 1
    return NetworkSize(
        parameters=dense(sounds * TOLD * BINS, width)
        + levels * convolution(width, width, KERNEL)
        + head_parameters(model, facts, width * lengths[-1]),
        buffers=TRANSFORM_NUMBERS + 2 * sounds * TOLD * BINS + spectral_numbers(model, facts, [width] * (levels + 1)),
        activations_per_sample=HELD * width * sum(lengths) + HELD_OF_A_BIN * sounds * BINS * lengths[0] + 1,
    )
