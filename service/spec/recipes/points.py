"""Recipes for vectors."""

from typing import Any

from service.spec.facts import MANY_COORDINATES, DatasetFacts
from service.spec.recipes.recipe import Recipe, batch_for

LARGEST_CODEBOOK = 1_024


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
            "conditional": bool(facts.labels),
            "generator": network,
            "discriminator": {**network, "octaves": octaves},
            "ema": {"half_life_samples": 0},
        },
        "objective": {"r1": fading, "r2": fading},
        "loop": {"batch_size": batch_for(facts, 256), "max_steps": max_steps},
        "optimizer": {"generator": {"lr": rates[0], **adam}, "discriminator": {"lr": rates[1], **adam}},
    }


def codebook_size(facts: DatasetFacts) -> int:
    """A code for every twenty samples: fewer would memorise, and past the limit nothing was gained."""
    return min(LARGEST_CODEBOOK, facts.count // 20)
