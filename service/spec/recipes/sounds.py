"""Recipes for audio."""

from service.spec.facts import DatasetFacts
from service.spec.recipes.recipe import Recipe, batch_for, penalised_descent, small_networks


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
