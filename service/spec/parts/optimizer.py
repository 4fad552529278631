"""How each player moves, as a client posts it."""

from pydantic import Field

from service.spec.parts.schedules import Decay, Schedule, ScheduledDecay
from service.spec.parts.strict import Strict


class OptimizerSpec(Strict):
    """The optimiser of one player."""

    name: str = Field("adam", max_length=32, description="Name from /catalog.")
    lr: float = Field(2e-4, ge=0, le=10, description="Learning rate; 0 freezes the player.")
    betas: tuple[Decay | ScheduledDecay, Decay | ScheduledDecay] = Field(
        (0.5, 0.999),
        strict=False,
        description="Decay rates of Adam's moments, each a number or a schedule; RMSprop uses the second.",
    )
    eps: float = Field(1e-8, gt=0, le=1, description="Added to the root that divides, in Adam and RMSprop.")
    weight_decay: float = Field(0.01, ge=0, le=1, description="Decay of weights a step, times the rate; AdamW's alone.")
    clip_gradient: float | None = Field(
        None, gt=0, le=1e6, description="Euclidean norm to which a longer gradient is shortened; null is none."
    )
    clip_weights: float | None = Field(
        None, gt=0, le=1e6, description="Greatest absolute value of a weight after an update; null is none."
    )
    schedule: Schedule = Schedule()


class OptimizersSpec(Strict):
    """The optimisers of both players."""

    generator: OptimizerSpec = OptimizerSpec()
    discriminator: OptimizerSpec = OptimizerSpec()
