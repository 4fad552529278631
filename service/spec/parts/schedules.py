"""Numbers that move over the steps of a job. Their heights at a step are computed in worker.gan.schedules."""

from typing import Annotated, Literal

from pydantic import Field

from service.spec.parts.strict import MAX_STEPS, Strict

Decay = Annotated[float, Field(ge=0, lt=1)]


class Schedule(Strict):
    """How a value moves from its initial height over the steps of a job. Past the horizon the last value holds."""

    name: Literal["constant", "linear", "cosine", "geometric"] = Field("constant", description="Shape of the descent.")
    warmup_steps: int = Field(0, ge=0, le=MAX_STEPS, description="Steps of linear rise from 0 at the start.")
    final_ratio: float = Field(
        0.0, ge=0, le=1, description="Value at the horizon, as a fraction of the initial one; above 0 for geometric."
    )
    horizon_steps: int | None = Field(
        None, ge=1, le=MAX_STEPS, description="Step at which the descent ends; max_steps at creation when not given."
    )


class ScheduledValue(Schedule):
    """A number with its schedule, such as the weight of a penalty."""

    initial: float = Field(ge=0, le=1e6, description="Height at the start, after warm-up.")


class ScheduledFraction(ScheduledValue):
    """A fraction with its schedule."""

    initial: float = Field(gt=0, le=1, description="Height at the start, after warm-up.")


class ScheduledDecay(Strict):
    """A decay rate of a moment on its way from one value to another. Past the horizon the last value holds.

    It has no warm-up: a rate that began at 0 would be no moment at all.
    """

    name: Literal["linear", "cosine", "geometric"] = Field(
        "cosine", description="Shape of the way; geometric moves 1 - beta, and so the length of the memory, by factors."
    )
    initial: Decay = Field(description="Value at the start.")
    final: Decay = Field(description="Value at the horizon.")
    horizon_steps: int | None = Field(
        None, ge=1, le=MAX_STEPS, description="Step at which the way ends; max_steps at creation when not given."
    )


Weight = Annotated[float, Field(ge=0, le=1e6)]

Fraction = Annotated[float, Field(gt=0, le=1)]
