"""Defaults that follow the data: what a spec leaves open is filled from here. What each was measured to give
stands in docs/log.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from service.spec.facts import DatasetFacts
from service.spec.tables import layout_of

LARGEST_CODEBOOK = 1_024
MANY_COORDINATES = 10  # of a vector, beyond which waves of each would be too many to read


@dataclass(frozen=True)
class Recipe:
    """Overrides of a spec's defaults, nested as the spec is, with the reason a person reads in the catalogue."""

    name: str
    reason: str
    overrides: dict[str, Any]


def recipe_for(facts: DatasetFacts, architecture: str) -> Recipe:
    """Return the defaults for this data under an architecture that takes it."""
    return RECIPES[architecture, facts.modality](facts)


def codebook_points(facts: DatasetFacts) -> Recipe:
    """Points that gather in clusters or on curves."""
    return points_in_many_dimensions(facts) if facts.shape[0] >= MANY_COORDINATES else points_in_few_dimensions(facts)


def points_in_few_dimensions(facts: DatasetFacts) -> Recipe:
    """Points whose discriminator reads octaves of each coordinate."""
    return Recipe(
        "points in few dimensions",
        "a learnt codebook beside the normal latents leaves no bridges between clusters; octaves of the coordinates "
        "tell how wide a cluster is",
        codebook(facts, gamma=0.3, final_ratio=0.003, rates=(3e-3, 6e-3), octaves=8, max_steps=1_400),
    )


def points_in_many_dimensions(facts: DatasetFacts) -> Recipe:
    """Points of which each coordinate says little."""
    return Recipe(
        "points in many dimensions",
        "a learnt codebook beside the normal latents leaves no bridges between clusters; strong penalties at the start "
        "send as many codes to each",
        codebook(facts, gamma=3.0, final_ratio=0.01, rates=(4e-3, 4e-3), octaves=0, max_steps=1_200),
    )


def codebook(
    facts: DatasetFacts, *, gamma: float, final_ratio: float, rates: tuple[float, float], octaves: int, max_steps: int
) -> dict[str, Any]:
    """A codebook beside few normal latents, and penalties on both sides that fade; rates are those of G and of D."""
    fading = {"name": "geometric", "initial": gamma, "final_ratio": final_ratio}
    network = {"width": 128, "depth": 3, "activation": "silu"}
    adam = {"betas": (0.0, 0.9), "schedule": {"name": "cosine", "warmup_steps": 100}}
    return {
        "model": {
            "latent_dim": 4,  # more drown the codes: docs/log.md
            "latent_codes": codebook_size(facts),
            "generator": network,
            "discriminator": {**network, "octaves": octaves},
            "ema": {"half_life_samples": 0},
        },
        "objective": {"r1": fading, "r2": fading},
        "loop": {"batch_size": batch_for(facts, 256), "max_steps": max_steps},
        "optimizer": {"generator": {"lr": rates[0], **adam}, "discriminator": {"lr": rates[1], **adam}},
    }


def small_pictures(facts: DatasetFacts) -> Recipe:
    """Pictures small enough to be read pixel by pixel."""
    if not facts.labels:
        return small_pictures_of_anything(facts)
    return Recipe(
        "small pictures",
        "small networks and many small steps with strong penalties on both sides",
        {
            "model": {
                "latent_dim": 32,
                "conditional": bool(facts.labels),
                "generator": {"width": 128, "depth": 2},
                "discriminator": {"width": 128, "depth": 2},
            },
            **penalised_descent(gamma=5.0),
            "loop": {"batch_size": batch_for(facts, 64), "max_steps": 18_000},
        },
    )


def small_pictures_of_anything(facts: DatasetFacts) -> Recipe:
    """Pictures small enough to be read pixel by pixel, without labels that would tell their modes apart."""
    network = {"width": 256, "depth": 2}
    return Recipe(
        "small pictures of anything",
        "real and generated pictures in pairs leave out fewer modes where no label names them",
        {
            "model": {"latent_dim": 64, "generator": network, "discriminator": network},
            **penalised_descent(gamma=2.0, loss="rpgan"),
            "loop": {"batch_size": batch_for(facts, 64), "max_steps": 6_000},
        },
    )


def number_tables(facts: DatasetFacts) -> Recipe:
    """Tables whose columns are all numbers."""
    return Recipe(
        "number tables",
        "columns become normal scores and are whitened, so small networks with penalties on both sides suffice",
        {
            "model": {"latent_dim": min(facts.shape[0], 1_024), **small_networks(facts)},
            **penalised_descent(gamma=1.0),
            "loop": {"batch_size": batch_for(facts, 64), "max_steps": 4_000},
        },
    )


def tables(facts: DatasetFacts) -> Recipe:
    """Tables that begin near their law."""
    return mixed_tables(facts) if layout_of(facts.table).blocks else measured_tables(facts)


def measured_tables(facts: DatasetFacts) -> Recipe:
    """Tables whose columns are all numbers, which a start without training has nearly learnt."""
    return Recipe(
        "measured tables",
        "the start is near the law of each class, and what a slow generator changes of it does not cost its breadth",
        {
            "model": {"latent_dim": min(facts.shape[0], 256), **small_networks(facts)},
            **slow_generator(1.5e-4, 1e-3),
            "loop": {"batch_size": batch_for(facts, 64), "max_steps": 2_000},
        },
    )


def mixed_tables(facts: DatasetFacts) -> Recipe:
    """Tables of numbers, choices, dates and gaps."""
    return Recipe(
        "mixed tables",
        "the numbers begin near their law, and networks with penalties on both sides learn what else goes together",
        {
            "model": {"latent_dim": min(max(16, facts.shape[0]), 128), **small_networks(facts)},
            **slow_generator(1e-3, 3e-3),
            "loop": {"batch_size": batch_for(facts, 512), "max_steps": 1_800},
        },
    )


def convolutional(facts: DatasetFacts) -> Recipe:
    """Pictures through convolutions, as Radford et al. 2015 set them."""
    adam = {"lr": 2e-4, "betas": (0.5, 0.999)}
    return Recipe(
        "convolutional",
        "the classic rates of DCGAN; no penalty, for a second derivative through convolutions would dominate the time",
        {
            "model": {
                "latent_dim": 100,
                "conditional": bool(facts.labels),
                "generator": {"width": 64 if min(facts.shape[1:]) >= 32 else 32},
                "discriminator": {"width": 64 if min(facts.shape[1:]) >= 32 else 32},
            },
            "loop": {"batch_size": batch_for(facts, 64), "max_steps": 3_000},
            "optimizer": {"generator": adam, "discriminator": adam},
        },
    )


def residual(facts: DatasetFacts) -> Recipe:
    """Pictures through residual networks with spectral norm, as Miyato et al. 2018 set them."""
    adam = {"lr": 2e-4, "betas": (0.0, 0.9), "schedule": {"name": "linear"}}
    width = {"width": 64 if min(facts.shape[1:]) >= 32 else 32}
    return Recipe(
        "residual",
        "spectral norm holds the discriminator back by itself, so no penalty is paid for",
        {
            "model": {
                "latent_dim": 128,
                "conditional": bool(facts.labels),
                "generator": width,
                "discriminator": width,
            },
            "objective": {"loss": "hinge"},
            "loop": {"batch_size": batch_for(facts, 64), "max_steps": 3_000},
            "optimizer": {"generator": adam, "discriminator": adam},
        },
    )


def without_normalisation(facts: DatasetFacts) -> Recipe:
    """Pictures through residual networks that penalties alone hold back, as Huang et al. 2024 set them."""
    width = {"width": 32 if min(facts.shape[1:]) >= 32 else 16}
    return Recipe(
        "without normalisation",
        "pairs of real and generated pictures with penalties on both sides need no other trick, but many channels",
        {
            "model": {
                "latent_dim": 64,
                "conditional": bool(facts.labels),
                "generator": width,
                "discriminator": width,
            },
            **penalised_descent(gamma=1.0, loss="rpgan"),
            "loop": {"batch_size": batch_for(facts, 64), "max_steps": 3_000},
        },
    )


def few_pictures(facts: DatasetFacts) -> Recipe:
    """Few and larger pictures, as Liu et al. 2021 set them."""
    adam = {"lr": 2e-4, "betas": (0.5, 0.999)}
    width = {"width": 32 if min(facts.shape[1:]) >= 32 else 16}
    return Recipe(
        "few pictures",
        "the discriminator sees changed pictures and must draw what it sees, so few pictures are not learnt by heart",
        {
            "model": {
                "latent_dim": 128,
                "conditional": bool(facts.labels),
                "generator": width,
                "discriminator": width,
            },
            "objective": {"loss": "hinge", "reconstruction": 1.0, "augment": {}},
            "loop": {"batch_size": batch_for(facts, 16), "max_steps": 5_000},
            "optimizer": {"generator": adam, "discriminator": adam},
        },
    )


def short_sounds(facts: DatasetFacts) -> Recipe:
    """Sounds short enough to be mixed of components."""
    return Recipe(
        "short sounds",
        "networks that see a sound as a mixture of the data's components learn which go together, and make no other",
        {
            "model": {"latent_dim": 16, **small_networks(facts)},
            **penalised_descent(gamma=facts.shape[1] / 64),
            "loop": {"batch_size": batch_for(facts, 32), "max_steps": 4_000},
        },
    )


def long_sounds(facts: DatasetFacts) -> Recipe:
    """Sounds through convolutions."""
    return Recipe(
        "long sounds",
        "few channels and small batches, for each of the many frames of a sound costs as much as a pixel",
        {
            "model": {
                "latent_dim": 64,
                "conditional": bool(facts.labels),
                "generator": {"width": 8},
                "discriminator": {"width": 8},
            },
            **penalised_descent(gamma=1.0),
            "loop": {"batch_size": batch_for(facts, 32), "max_steps": 3_000},
        },
    )


def sounds_as_spectra(facts: DatasetFacts) -> Recipe:
    """Sounds through their short-time spectra."""
    return Recipe(
        "sounds as spectra",
        "what a steady sound is in one frame it is in all: as loud, its phase turning as far; a trial, and slow",
        {
            "model": {
                "latent_dim": 16,
                "conditional": bool(facts.labels),
                "generator": {"width": 128},
                "discriminator": {"width": 128},
            },
            **penalised_descent(gamma=1.0),
            "loop": {"batch_size": batch_for(facts, 16), "max_steps": 3_000},
        },
    )


def small_networks(facts: DatasetFacts) -> dict[str, Any]:
    """Two layers each, told the labels where there are any."""
    network = {"width": 128, "depth": 2}
    return {"conditional": bool(facts.labels), "generator": network, "discriminator": network}


def slow_generator(generator: float, discriminator: float) -> dict[str, Any]:
    """The rates of both under penalties that fade to a tenth: D sees more than G changes."""
    descent = penalised_descent(gamma=1.0)
    adam = descent["optimizer"]["generator"]
    descent["optimizer"] = {"generator": adam | {"lr": generator}, "discriminator": adam | {"lr": discriminator}}
    return descent


def penalised_descent(*, gamma: float, loss: str = "non_saturating") -> dict[str, Any]:
    """R1 and R2 that fade to a tenth, rates that fade to nothing."""
    fading = {"name": "cosine", "initial": gamma, "final_ratio": 0.1}
    adam = {"lr": 1e-3, "betas": (0.0, 0.99), "schedule": {"name": "cosine"}}
    return {
        "objective": {"loss": loss, "r1": fading, "r2": fading},
        "optimizer": {"generator": adam, "discriminator": adam},
    }


def codebook_size(facts: DatasetFacts) -> int:
    """A code for every twenty samples: fewer would memorise, and past the limit nothing was gained."""
    return min(LARGEST_CODEBOOK, facts.count // 20)


def batch_for(facts: DatasetFacts, largest: int) -> int:
    """The largest power of two up to `largest` that fits four times into the data."""
    batch = largest
    while batch > 2 and 4 * batch > facts.count:
        batch //= 2
    return batch


RECIPES: dict[tuple[str, str], Callable[[DatasetFacts], Recipe]] = {
    ("mlp", "vector"): codebook_points,
    ("mlp", "image"): small_pictures,
    ("mlp", "table"): number_tables,
    ("tabular", "table"): tables,
    ("dcgan", "image"): convolutional,
    ("resnet", "image"): residual,
    ("r3", "image"): without_normalisation,
    ("lite", "image"): few_pictures,
    ("mlp", "audio"): short_sounds,
    ("wave", "audio"): long_sounds,
    ("spectrogram", "audio"): sounds_as_spectra,
}
