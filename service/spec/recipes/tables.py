"""Recipes for tables."""

from typing import Any

from service.spec.facts import DatasetFacts
from service.spec.recipes.recipe import Recipe, batch_for, penalised_descent, small_networks
from service.spec.tables import layout_of


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


def slow_generator(generator: float, discriminator: float) -> dict[str, Any]:
    """The rates of both under penalties that fade to a tenth: D sees more than G changes."""
    descent = penalised_descent(gamma=1.0)
    adam = descent["optimizer"]["generator"]
    descent["optimizer"] = {"generator": adam | {"lr": generator}, "discriminator": adam | {"lr": discriminator}}
    return descent
