"""The columns of a job's history: what each means, which a job records, which discriminator it was measured with."""

from dataclasses import dataclass
from typing import Literal

from service.spec.job import JobSpec
from service.spec.objectives import OBJECTIVES, loss_columns

Variant = Literal["original", "reuse", "fused"]
EvalPoint = Literal["pre_d", "post_d"]


@dataclass(frozen=True)
class Column:
    """One recorded number per step; turn is that of the player whose scores complete it, None for no score at all."""

    description: str
    turn: Literal["discriminator", "generator"] | None = None


COLUMNS: dict[str, Column] = {
    "value": Column("V(G,D) = E log D(x) + E log(1 - D(G(z))), the min-max game.", "discriminator"),
    "d_loss_real": Column("-E log D(x), the real half of d_loss, smoothed as it is.", "discriminator"),
    "d_loss_fake": Column("-E log(1 - D(G(z))), the generated half of d_loss.", "discriminator"),
    "d_loss": Column("What the discriminator minimises, penalties not included.", "discriminator"),
    "g_loss_saturating": Column("E log(1 - D(G(z))), the generator's part of the game.", "generator"),
    "g_loss_non_saturating": Column("-E log D(G(z)), the practical generator loss.", "generator"),
    "g_loss": Column("What the generator minimises.", "generator"),
    "total_loss": Column("g_loss_non_saturating - value: a monitor, minimised by nobody.", "generator"),
    "d_real": Column("Mean D(x) over the reals.", "discriminator"),
    "d_fake": Column("Mean D(G(z)) over the generated samples that D was trained on.", "discriminator"),
    "g_grad_norm": Column("Euclidean norm of the generator's gradient, before any clipping.", "generator"),
    "d_grad_norm": Column(
        "Euclidean norm of the discriminator's gradient, penalties included, before any clipping.", "discriminator"
    ),
    "d_penalty": Column(
        "R1, R2 and all other penalties, already weighted; the discriminator minimises d_loss + d_penalty.",
        "discriminator",
    ),
    "g_lr": Column("Learning rate of the generator."),
    "d_lr": Column("Learning rate of the discriminator."),
    "r1_gamma": Column("Weight of the penalty on reals."),
    "r2_gamma": Column("Weight of the penalty on generated samples."),
    "augment_p": Column("Probability of each kind of change of a picture that D is shown, after the step."),
    "step_ms": Column("Milliseconds that the step took; a clock."),
}


def recorded_columns(spec: JobSpec) -> tuple[str, ...]:
    """Return the columns that a job records, in the order of COLUMNS: an undefined one is absent, never filled."""
    of_any_objective = frozenset[str]().union(*map(loss_columns, OBJECTIVES))
    undefined = of_any_objective - loss_columns(spec.objective.loss)
    if spec.objective.augment is None:
        undefined |= {"augment_p"}
    return tuple(column for column in COLUMNS if column not in undefined)


def eval_point(variant: Variant) -> dict[str, EvalPoint]:
    """Tell for every scored column whether D was read before or after its own update.

    Identities between columns hold only within one point. total_loss stands where its later half was scored.
    """
    generator_point: EvalPoint = "pre_d" if variant == "fused" else "post_d"
    return {
        name: generator_point if column.turn == "generator" else "pre_d"
        for name, column in COLUMNS.items()
        if column.turn is not None
    }
