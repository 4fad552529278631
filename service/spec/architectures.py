"""The networks by name: the data each takes and its exact size. The modules are in worker.gan.networks."""

from math import prod

from service.spec.facts import Architecture, DatasetFacts, ModelSize
from service.spec.parts.model import ModelSpec
from service.spec.sizes.dcgan import dcgan_size
from service.spec.sizes.lite import lite_size
from service.spec.sizes.mlp import mlp_size
from service.spec.sizes.packing import packed_facts, shared_size
from service.spec.sizes.r3 import r3_size
from service.spec.sizes.resnet import resnet_size
from service.spec.sizes.spectrogram import spectrogram_size
from service.spec.sizes.tabular import tabular_size
from service.spec.sizes.timbre import timbre_size
from service.spec.sizes.wave import wave_size

SMALLEST_SIDE = 4  # of a picture in a dcgan
PIXELS_AN_MLP_READS = 768  # 16 x 16 in colour; above, weights per pixel cost more than convolutions
FRAMES_AN_MLP_READS = 8_192  # of a sound
MOST_COMPONENTS = 128  # that an mlp mixes sounds of by its recipe
LEAST_KEPT_POWER = 0.99  # of sounds that it may mix: what its components lack, no training brings back
FRAMES_OF_A_TIMBRE = 2**17  # of a sound, 8 s of them by default: a checkpoint holds 270 bytes for each


def architecture_for(facts: DatasetFacts) -> str:
    """Choose the architecture that `auto` stands for."""
    if facts.modality == "table":
        return "tabular"
    if facts.modality == "audio":
        return _architecture_for_sounds(facts)
    convolves = facts.modality == "image" and prod(facts.shape) > PIXELS_AN_MLP_READS
    return "dcgan" if convolves and min(facts.shape[1:]) >= SMALLEST_SIDE else "mlp"


def _architecture_for_sounds(facts: DatasetFacts) -> str:
    if (facts.kept_power or 0.0) >= LEAST_KEPT_POWER:
        return "mlp"
    return "timbre" if prod(facts.shape) <= FRAMES_OF_A_TIMBRE else "wave"


def model_size(model: ModelSpec, facts: DatasetFacts) -> ModelSize:
    """Size both networks of a model."""
    size, count = ARCHITECTURES[model.architecture].size, model.discriminator.packing
    return ModelSize(
        size(model, facts).generator, shared_size(size(model, packed_facts(facts, count)).discriminator, count)
    )


ARCHITECTURES: dict[str, Architecture] = {
    architecture.name: architecture
    for architecture in (
        Architecture(
            name="mlp",
            modalities=("vector", "image", "table", "audio"),
            description="Fully connected layers without normalisation; labels by projection; an optional codebook.",
            size=mlp_size,
        ),
        Architecture(
            name="tabular",
            modalities=("table",),
            description="Begins near the law of the data, residual layers on top; choices by odds; labels as in mlp.",
            size=tabular_size,
        ),
        Architecture(
            name="dcgan",
            modalities=("image",),
            description="Strided convolutions with batch normalisation, pictures of any size from 4 by 4.",
            size=dcgan_size,
        ),
        Architecture(
            name="resnet",
            modalities=("image",),
            description="Residual convolutions; spectral norm throughout the discriminator, labels by projection.",
            size=resnet_size,
        ),
        Architecture(
            name="r3",
            modalities=("image",),
            description="Residual blocks without normalisation around bilinear resampling, after R3GAN.",
            size=r3_size,
        ),
        Architecture(
            name="lite",
            modalities=("image",),
            description="For few pictures from 32 by 32 on: small maps weigh large ones, D draws what it has seen.",
            size=lite_size,
            reconstructs=True,
        ),
        Architecture(
            name="timbre",
            modalities=("audio",),
            description="Fully connected layers mix loudness over frequency and time; phases are made to fit it.",
            size=timbre_size,
        ),
        Architecture(
            name="wave",
            modalities=("audio",),
            description="Convolutions along time with phase shuffle, after WaveGAN; no pitch was learnt in minutes.",
            size=wave_size,
        ),
        Architecture(
            name="spectrogram",
            modalities=("audio",),
            description="Loudness and turning phase of short frames, after GANSynth; a trial, slow to learn tones.",
            size=spectrogram_size,
        ),
    )
}
