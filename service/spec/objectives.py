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
    the data and D is the best for the label that reals carry, in unscaled expectations. Where D is then free up to a
    constant (hinge, wasserstein), the constant is 0. smoothed says whether D aims at a label, which can be smoothed;
    signed whether its logit is above 0 for what it takes for real, and below for what it does not.
    """

    name: str
    description: str
    discriminator: str
    generator: str
    source: str
    needs_reals: bool
    smoothed: bool
    signed: bool
    equilibrium: Callable[[float], dict[str, float]]


def references(spec: JobSpec) -> dict[str, float]:
    """Return the equilibrium of every loss column of a job: moved by label smoothing, scaled by the reduction."""
    objective, count = spec.objective, scores_in_batch(spec)
    at_equilibrium = OBJECTIVES[objective.loss].equilibrium(1.0 - objective.label_smoothing)
    return {
        column: value * reduction_factor(column, objective.reduction, count) for column, value in at_equilibrium.items()
    }


def loss_columns(objective: str) -> frozenset[str]:
    """Return the columns that an objective defines; the others of its kind have no meaning under it."""
    return frozenset(OBJECTIVES[objective].equilibrium(1.0))


def scores_in_batch(spec: JobSpec) -> int:
    """Count the scores of each kind in a batch: one for each sample, or for each pack."""
    return spec.loop.batch_size // spec.model.discriminator.packing


def reduction_factor(column: str, reduction: Reduction, count: int) -> float:
    """Return what a column's mean over so many scores is multiplied with.

    Only what a player minimises and its parts are scaled: value, total_loss and the probabilities stay comparable
    between jobs. BCE averaged over the mixed batch of 2m halves the discriminator's loss, not the generator's.
    """
    if not column.startswith(("d_loss", "g_loss")) or reduction == "sum_of_means":
        return 1.0
    if reduction == "sum":
        return float(count)
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


def _least_squares_equilibrium(real_label: float) -> dict[str, float]:
    """The optimum of D on equal distributions lies midway between the labels, at y/2 (Mao et al. 2017)."""
    d = real_label / 2
    return {"d_loss": ((d - real_label) ** 2 + d**2) / 2, "g_loss": (d - 1) ** 2 / 2}


def _own_losses(d_loss: float, g_loss: float) -> Callable[[float], dict[str, float]]:
    """The equilibrium of an objective without labels, which defines no other columns than its own two losses."""
    return lambda _: {"d_loss": d_loss, "g_loss": g_loss}


OBJECTIVES: dict[str, ObjectiveFacts] = {
    facts.name: facts
    for facts in (
        ObjectiveFacts(
            name="saturating",
            description="The min-max game itself. The generator's gradient fades where D rejects with confidence.",
            discriminator="-E log D(x) - E log(1 - D(G(z)))",
            generator="E log(1 - D(G(z)))",
            source="Goodfellow et al. 2014, equation 1",
            needs_reals=False,
            smoothed=True,
            signed=True,
            equilibrium=lambda real_label: _log_loss_equilibrium(real_label, saturating=True),
        ),
        ObjectiveFacts(
            name="non_saturating",
            description="The practical generator loss of the 2014 paper: the same fixed point, a gradient that stays.",
            discriminator="-E log D(x) - E log(1 - D(G(z)))",
            generator="-E log D(G(z))",
            source="Goodfellow et al. 2014, section 3",
            needs_reals=False,
            smoothed=True,
            signed=True,
            equilibrium=lambda real_label: _log_loss_equilibrium(real_label, saturating=False),
        ),
        ObjectiveFacts(
            name="rpgan",
            description="Each generated sample against a real one: no mode of the data can be left out for free.",
            discriminator="E softplus(-(s(x) - s(G(z))))",
            generator="E softplus(-(s(G(z)) - s(x)))",
            source="Jolicoeur-Martineau 2019, section 4.1; with r1 and r2 the loss of Huang et al. 2024 (R3GAN)",
            needs_reals=True,
            smoothed=False,
            signed=False,
            equilibrium=_own_losses(log(2), log(2)),
        ),
        ObjectiveFacts(
            name="relativistic_average",
            description="Each sample against the mean score of the other kind.",
            discriminator="E softplus(-(s(x) - E s(G(z)))) + E softplus(s(G(z)) - E s(x))",
            generator="E softplus(s(x) - E s(G(z))) + E softplus(-(s(G(z)) - E s(x)))",
            source="Jolicoeur-Martineau 2019, section 4.3",
            needs_reals=True,
            smoothed=False,
            signed=False,
            equilibrium=_own_losses(2 * log(2), 2 * log(2)),
        ),
        ObjectiveFacts(
            name="hinge",
            description="D stops pushing scores apart once they are beyond 1 and -1.",
            discriminator="E max(0, 1 - s(x)) + E max(0, 1 + s(G(z)))",
            generator="-E s(G(z))",
            source="Lim and Ye 2017; Miyato et al. 2018, equations 16 and 17",
            needs_reals=False,
            smoothed=False,
            signed=True,
            equilibrium=_own_losses(2.0, 0.0),
        ),
        ObjectiveFacts(
            name="least_squares",
            description="Scores are drawn to 1 and 0 by squares: a fake that is scored too well is pulled back, too.",
            discriminator="E (s(x) - 1)^2 / 2 + E s(G(z))^2 / 2",
            generator="E (s(G(z)) - 1)^2 / 2",
            source="Mao et al. 2017, equation 9",
            needs_reals=False,
            smoothed=True,
            signed=False,
            equilibrium=_least_squares_equilibrium,
        ),
        ObjectiveFacts(
            name="wasserstein",
            description="The distance of mean scores; says something only where a penalty keeps D Lipschitz.",
            discriminator="E s(G(z)) - E s(x)",
            generator="-E s(G(z))",
            source="Arjovsky et al. 2017, equation 3",
            needs_reals=False,
            smoothed=False,
            signed=False,
            equilibrium=_own_losses(0.0, 0.0),
        ),
    )
}
