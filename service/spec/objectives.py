"""Objectives by name: formulas, columns, equilibrium, reduction. The torch half is in worker.gan.objectives."""

from collections.abc import Callable
from dataclasses import dataclass
from math import log
from typing import Literal

from service.spec.job import JobSpec

Reduction = Literal["sum_of_means", "mean", "sum"]


@dataclass(frozen=True)
class ObjectiveFacts:
    """An objective as the spec sees it.

    equilibrium answers every column that the objective defines, at the value it has when the generator has matched
    the data and D is the best for the label that reals carry, in unscaled expectations.
    """

    name: str
    description: str
    discriminator: str
    generator: str
    equilibrium: Callable[[float], dict[str, float]]


def references(spec: JobSpec) -> dict[str, float]:
    """Return the equilibrium of every loss column of a job: moved by label smoothing, scaled by the reduction."""
    objective, batch_size = spec.objective, spec.loop.batch_size
    at_equilibrium = OBJECTIVES[objective.loss].equilibrium(1.0 - objective.label_smoothing)
    return {
        column: value * reduction_factor(column, objective.reduction, batch_size)
        for column, value in at_equilibrium.items()
    }


def loss_columns(objective: str) -> frozenset[str]:
    """Return the columns that an objective defines; the others of its kind have no meaning under it."""
    return frozenset(OBJECTIVES[objective].equilibrium(1.0))


def reduction_factor(column: str, reduction: Reduction, batch_size: int) -> float:
    """Return what a column's mean over the batch is multiplied with.

    Only what a player minimises and its parts are scaled: value, total_loss and the probabilities stay comparable
    between jobs. BCE averaged over the mixed batch of 2m halves the discriminator's loss, not the generator's.
    """
    if not column.startswith(("d_loss", "g_loss")) or reduction == "sum_of_means":
        return 1.0
    if reduction == "sum":
        return float(batch_size)
    return 0.5 if column.startswith("d_loss") else 1.0


def _log_loss_equilibrium(real_label: float, *, saturating: bool) -> dict[str, float]:
    """The optimum of D on equal distributions is y/2 for the real label y (Goodfellow et al. 2014, section 4.1)."""
    d = real_label / 2
    g_loss_saturating, g_loss_non_saturating = log(1 - d), -log(d)
    d_loss_real = -real_label * log(d) - (1 - real_label) * log(1 - d)
    d_loss_fake = -log(1 - d)
    value = log(d) + log(1 - d)
    return {
        "value": value,
        "d_loss_real": d_loss_real,
        "d_loss_fake": d_loss_fake,
        "d_loss": d_loss_real + d_loss_fake,
        "g_loss_saturating": g_loss_saturating,
        "g_loss_non_saturating": g_loss_non_saturating,
        "g_loss": g_loss_saturating if saturating else g_loss_non_saturating,
        "total_loss": g_loss_non_saturating - value,
        "d_real": d,
        "d_fake": d,
    }


OBJECTIVES: dict[str, ObjectiveFacts] = {
    facts.name: facts
    for facts in (
        ObjectiveFacts(
            name="saturating",
            description="The min-max game itself. The generator's gradient fades where D rejects with confidence.",
            discriminator="-E log D(x) - E log(1 - D(G(z)))",
            generator="E log(1 - D(G(z)))",
            equilibrium=lambda real_label: _log_loss_equilibrium(real_label, saturating=True),
        ),
        ObjectiveFacts(
            name="non_saturating",
            description="The practical generator loss of the 2014 paper: the same fixed point, a gradient that stays.",
            discriminator="-E log D(x) - E log(1 - D(G(z)))",
            generator="-E log D(G(z))",
            equilibrium=lambda real_label: _log_loss_equilibrium(real_label, saturating=False),
        ),
    )
}
