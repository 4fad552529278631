"""What each player minimises, and how D is shown samples, as a client posts it."""

from typing import Literal

from pydantic import Field

from service.spec.parts.schedules import Fraction, ScheduledFraction, ScheduledValue, Weight
from service.spec.parts.strict import Strict


class AugmentSpec(Strict):
    """Random changes of all pictures that the discriminator is shown, real and generated."""

    policy: tuple[Literal["colour", "translation", "cutout"], ...] = Field(
        ("colour", "translation", "cutout"), strict=False, min_length=1, max_length=3, description="Kinds of changes."
    )
    probability: Fraction | Literal["adaptive"] = Field(
        1.0, description="Of each kind for each picture; adaptive begins at 0 and follows the discriminator (ADA)."
    )
    target: float = Field(
        0.6, gt=0, lt=1, description="Mean sign of D's logits of reals above which an adaptive probability rises."
    )
    rise_samples: int = Field(
        500_000, ge=1, le=10**9, description="Real samples in which an adaptive probability can rise from 0 to 1."
    )


class ObjectiveSpec(Strict):
    """What each player minimises."""

    loss: str = Field("non_saturating", max_length=32, description="Name from /catalog.")
    reduction: Literal["sum_of_means", "mean", "sum"] = Field(
        "sum_of_means", description="How per-sample losses become one number: factors for D 1, 1/2, m; for G 1, 1, m."
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="The label of reals is 1 minus this (one-sided).")
    r1: Weight | ScheduledValue = Field(
        0.0, description="gamma of the penalty gamma/2 |grad_x D(x)|^2 on reals, each step; a number or a schedule."
    )
    r2: Weight | ScheduledValue = Field(0.0, description="gamma of the same penalty on generated samples.")
    gradient_penalty: Weight | ScheduledValue = Field(
        0.0, description="Weight of E (|grad D| - 1)^2 between reals and generated samples (WGAN-GP)."
    )
    dragan: Weight | ScheduledValue = Field(0.0, description="Weight of E (|grad D| - 1)^2 around reals (DRAGAN).")
    lecam: Weight | ScheduledValue = Field(
        0.0, description="Weight of the squared distance of D's scores from their averages of the other kind (LeCam)."
    )
    reconstruction: Weight | ScheduledValue = Field(
        0.0, description="Weight of what D gets wrong when it draws the reals again; for networks that have a decoder."
    )
    instance_noise: Weight | ScheduledValue = Field(
        0.0, description="Deviation of the normal noise added to all that D scores, in network units."
    )
    augment: AugmentSpec | None = Field(
        None, description="Random changes of pictures before D sees them, for little data; null is none."
    )
    top_k: Fraction | ScheduledFraction = Field(
        1.0, description="Fraction of its samples, those D scores highest, that the generator learns from."
    )
