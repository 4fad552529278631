"""What a recipe is, and the parts that recipes of several kinds of data share."""

from dataclasses import dataclass
from typing import Any

from service.spec.facts import DatasetFacts


@dataclass(frozen=True)
class Recipe:
    """Overrides of a spec's defaults, nested as the spec is, with the reason a person reads in the catalogue."""

    name: str
    reason: str
    overrides: dict[str, Any]


def equal_networks(facts: DatasetFacts, **size: int) -> dict[str, Any]:
    """Both of one size, told the labels where there are any."""
    return {"conditional": bool(facts.labels), "generator": size, "discriminator": size}


def small_networks(facts: DatasetFacts) -> dict[str, Any]:
    """Two layers each."""
    return equal_networks(facts, width=128, depth=2)


def rates_of_dcgan() -> dict[str, Any]:
    """Adam for both players as Radford et al. 2015 set it."""
    adam = {"lr": 2e-4, "betas": (0.5, 0.999)}
    return {"generator": adam, "discriminator": adam}


def penalised_descent(*, gamma: float, loss: str = "non_saturating") -> dict[str, Any]:
    """R1 and R2 that fade to a tenth, rates that fade to nothing."""
    fading = {"name": "cosine", "initial": gamma, "final_ratio": 0.1}
    adam = {"lr": 1e-3, "betas": (0.0, 0.99), "schedule": {"name": "cosine"}}
    return {
        "objective": {"loss": loss, "r1": fading, "r2": fading},
        "optimizer": {"generator": adam, "discriminator": adam},
    }


def batch_for(facts: DatasetFacts, largest: int) -> int:
    """The largest power of two up to `largest` that fits four times into the data."""
    batch = largest
    while batch > 2 and 4 * batch > facts.count:
        batch //= 2
    return batch
