"""Recipes for audio."""

from math import prod

from service.spec.architectures import MOST_COMPONENTS
from service.spec.facts import DatasetFacts
from service.spec.recipes.budget import sound_extent_for
from service.spec.recipes.recipe import (
    Recipe,
    batch_for,
    equal_networks,
    penalised_descent,
    rates_of_dcgan,
    small_networks,
)

GAMMA_OF_MIXTURES = 0.28  # of the penalties on an mlp of sounds, in units of their components


def short_sounds(facts: DatasetFacts) -> Recipe:
    """Sounds short enough to be mixed of components."""
    return Recipe(
        "short sounds",
        "networks that see a sound as a mixture of the data's components learn which go together, and make no other",
        {
            "model": {"latent_dim": 16, **small_networks(facts)},
            **penalised_descent(gamma=GAMMA_OF_MIXTURES * power_of_a_component(facts)),
            "loop": {"batch_size": batch_for(facts, 32), "max_steps": 4_000},
        },
    )


def sounds_as_timbres(facts: DatasetFacts) -> Recipe:
    """Sounds of any length as mixtures of components of their loudness."""
    return Recipe(
        "sounds as timbres",
        "how loud a sound is at each frequency over time is a mixture of few components whatever its phases, and small "
        "networks soon learn which go together; the phases are made afterwards",
        {
            "model": {"latent_dim": 16, **small_networks(facts)},
            **penalised_descent(gamma=GAMMA_OF_MIXTURES),
            "loop": {"batch_size": batch_for(facts, 32), "max_steps": 4_000},
        },
    )


def long_sounds(facts: DatasetFacts) -> Recipe:
    """Sounds through convolutions, as wide and long as their time allows."""
    extent = sound_extent_for(facts)
    return Recipe(
        "long sounds",
        "few channels and small batches, for each of the many frames of a sound costs as much as a pixel; the rates of "
        "DCGAN and no penalty, for what a second derivative costs is better spent on width",
        {
            "model": {"latent_dim": 64, **equal_networks(facts, width=extent.width)},
            "loop": {"batch_size": extent.batch, "max_steps": extent.steps},
            "optimizer": rates_of_dcgan(),
        },
    )


def sounds_as_spectra(facts: DatasetFacts) -> Recipe:
    """Sounds through their short-time spectra."""
    return Recipe(
        "sounds as spectra",
        "what a steady sound is in one frame it is in all: as loud, its phase turning as far; a trial, and slow",
        {
            "model": {"latent_dim": 16, **equal_networks(facts, width=128)},
            **penalised_descent(gamma=1.0),
            "loop": {"batch_size": batch_for(facts, 16), "max_steps": 3_000},
        },
    )


def power_of_a_component(facts: DatasetFacts) -> float:
    """Return how much power of a sound, of 1 for each frame, a strong component has: a penalty on gradients in the
    sound is smaller by so much than one in the components that networks see.
    """
    return prod(facts.shape) / (facts.components or MOST_COMPONENTS)
