"""The networks by name and their exact sizes, counted without torch. The modules are in worker.gan.networks."""

from itertools import pairwise
from math import prod

from service.spec.facts import Architecture, DatasetFacts, ModelSize, NetworkSize
from service.spec.job import ModelSpec

DEFAULT_DEPTH = 3  # hidden layers of an mlp whose spec names none
MLP_HELD = 3  # numbers held for each unit of an mlp: its sum, its activation, a gradient in flight
DCGAN_HELD = 3  # for each unit of a dcgan: its sum, that normalised, its activation
SMALLEST_SIDE = 4  # of a picture in a dcgan
PIXELS_AN_MLP_READS = 768  # 16 x 16 in colour; above, weights per pixel cost more than convolutions


def architecture_for(facts: DatasetFacts) -> str:
    """Choose the architecture that `auto` stands for."""
    convolves = facts.modality == "image" and prod(facts.shape) > PIXELS_AN_MLP_READS
    return "dcgan" if convolves and min(facts.shape[1:]) >= SMALLEST_SIDE else "mlp"


def classes_of(model: ModelSpec, facts: DatasetFacts) -> int:
    """Count the labels that the networks are told; 0 when they are not."""
    return len(facts.labels) if model.conditional else 0


def convolution_sides(side: int, levels: int) -> list[int]:
    """List a side's length at each level, the picture's own first; odd lengths lose a pixel at each halving."""
    return [side >> level for level in range(levels + 1)]


def convolution_levels(height: int, width: int) -> int:
    """Count the halvings that leave a smaller side of 4 to 7, at least two so that small pictures have depth too."""
    return max(2, min(height, width).bit_length() - 3)


def convolution_channels(base: int, levels: int) -> list[int]:
    """List the channels after each level of the discriminator; the generator has them in reverse."""
    return [min(base << level, base * 8) for level in range(levels)]


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
    hidden = dense(values, width) + (depth - 1) * dense(width, width)
    return NetworkSize(
        parameters=hidden + head_parameters(model, facts, width),
        buffers=values if facts.modality == "image" else 0,
        activations_per_sample=2 * values + MLP_HELD * width * depth + 1,
    )


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
    normalised = sum(channels[1:])
    return NetworkSize(
        parameters=first + between + 2 * normalised + head_parameters(model, facts, channels[-1] * pixels[-1]),
        buffers=2 * normalised + len(channels) - 1,
        activations_per_sample=picture_channels * pixels[0]
        + DCGAN_HELD * sum(c * p for c, p in zip(channels, pixels[1:], strict=True))
        - channels[0] * pixels[1]  # the first layer is not normalised
        + 1,
    )


def convolution_layers(base: int, facts: DatasetFacts) -> tuple[list[int], list[int]]:
    """List the discriminator's channels after each level, and the pixels before the first and after each."""
    _, height, width = facts.shape
    levels = convolution_levels(height, width)
    sides = zip(convolution_sides(height, levels), convolution_sides(width, levels), strict=True)
    return convolution_channels(base, levels), [h * w for h, w in sides]


def dense(inputs: int, outputs: int) -> int:
    """Count the weights and biases of a linear layer."""
    return (inputs + 1) * outputs


def latent_width(model: ModelSpec, facts: DatasetFacts) -> int:
    """Count the numbers a generator reads for one sample."""
    return model.latent_dim + classes_of(model, facts)


def latent_parameters(model: ModelSpec, facts: DatasetFacts, outputs: int) -> int:
    """Count the layer that reads latents: a linear one, and the codebook beside it."""
    return dense(latent_width(model, facts), outputs) + model.latent_codes * outputs


def head_parameters(model: ModelSpec, facts: DatasetFacts, features: int) -> int:
    """Count the layer that gives the logit: a linear one, and a direction for each label."""
    return dense(features, 1) + classes_of(model, facts) * features


ARCHITECTURES: dict[str, Architecture] = {
    architecture.name: architecture
    for architecture in (
        Architecture(
            name="mlp",
            modalities=("vector", "image", "table"),
            description="Fully connected layers without normalisation; labels by projection; an optional codebook.",
            size=mlp_size,
        ),
        Architecture(
            name="dcgan",
            modalities=("image",),
            description="Strided convolutions with batch normalisation, pictures of any size from 4 by 4.",
            size=dcgan_size,
        ),
    )
}
