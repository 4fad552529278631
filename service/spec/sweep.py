"""A sweep as a client posts it: one spec, which of its values vary, and how they are chosen."""

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator
from pydantic_core import PydanticCustomError

from service.spec.job import JobSpec
from service.spec.parts.strict import MAX_STEPS, Strict

MOST_MEMBERS = 256
MOST_PARAMETERS = 16
MOST_VALUES = 10**9  # of an interval with a step: a sampler counts them, and not to any number
METHODS = ("grid", "random", "asha")

Method = Literal["grid", "random", "asha"]
Goal = Literal["higher", "lower"]
ParameterPath = Annotated[
    str, StringConstraints(min_length=1, max_length=128, pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$")
]
Values = Annotated[list[Any], Field(min_length=1, max_length=MOST_MEMBERS)]


class Interval(Strict):
    """Numbers between two bounds, both included; whole ones where the spec takes no others."""

    low: int | float = Field(ge=-1e15, le=1e15, description="The least value.")
    high: int | float = Field(ge=-1e15, le=1e15, description="The greatest value.")
    log: bool = Field(False, description="Draw evenly by magnitude, not by value.")
    step: int | float | None = Field(None, gt=0, le=1e15, description="Distance of the values from `low` on.")

    @model_validator(mode="after")
    def _is_drawable(self) -> Self:
        if self.low > self.high:
            raise PydanticCustomError("bounds_crossed", "low must not be above high")
        if self.log and self.low <= 0:
            raise PydanticCustomError("log_of_nothing", "log needs a low above 0")
        if self.log and self.step is not None:
            raise PydanticCustomError("log_with_step", "log and step exclude each other")
        if self.step is not None and self.high - self.low > self.step * MOST_VALUES:
            raise PydanticCustomError("too_many_steps", "step is too small for low and high; leave it out")
        return self


class Choices(Strict):
    """One of several values of any kind."""

    choices: Values = Field(description="The values.")


def _kind(value: Any) -> str:
    """Tell what is meant, so that faults are told of that alone."""
    means_choices = isinstance(value, Choices) or (isinstance(value, dict) and "choices" in value)
    return Choices.__name__ if means_choices else Interval.__name__


Parameter = Annotated[
    Annotated[Interval, Tag(Interval.__name__)] | Annotated[Choices, Tag(Choices.__name__)], Discriminator(_kind)
]
Parameters = Annotated[dict[ParameterPath, Parameter], Field(min_length=1, max_length=MOST_PARAMETERS)]


class RandomSearch(Strict):
    """Values drawn independently of each other and of what came of former ones."""

    parameters: Parameters = Field(description="What each value is drawn from, by its path in the spec.")
    count: int = Field(ge=1, le=MOST_MEMBERS, description="Members.")
    seed: int | None = Field(None, ge=0, le=2**32 - 1, description="Of the draws; drawn itself when not given.")


class HalvingSearch(RandomSearch):
    """The same, but at rungs of ever more steps only the best members go on (asynchronous successive halving)."""

    reduction: int = Field(3, ge=2, le=16, description="One in so many goes on, and rungs are so many times apart.")
    min_steps: int = Field(ge=1, le=MAX_STEPS, description="Steps of the first rung.")


class SweepSpec(Strict):
    """One spec, the values to vary in it by their paths, and exactly one way to choose them."""

    spec: JobSpec = Field(description="What all members have in common.")
    grid: Annotated[dict[ParameterPath, Values], Field(min_length=1, max_length=MOST_PARAMETERS)] | None = Field(
        None, description="The values of each path; every combination is a member."
    )
    random: RandomSearch | None = Field(None, description="Draw the values.")
    asha: HalvingSearch | None = Field(None, description="Draw the values, and stop members that fall behind.")
    metric: str | None = Field(
        None,
        max_length=32,
        description="A metric or a column from /catalog to rank by; what `best` of the data goes by when null.",
    )
    goal: Goal | None = Field(None, description="Which values are better, where the catalogue does not say.")
    name: str | None = Field(None, max_length=180, description="For people.")

    @model_validator(mode="after")
    def _has_one_method(self) -> Self:
        if sum(getattr(self, method) is not None for method in METHODS) != 1:
            raise PydanticCustomError("one_method", "say one of grid, random and asha")
        return self

    @property
    def method(self) -> Method:
        """The way in which values are chosen."""
        return "grid" if self.grid is not None else "random" if self.random is not None else "asha"

    @property
    def drawn(self) -> RandomSearch | None:
        """What is to be drawn, None of a grid."""
        return self.random or self.asha

    @property
    def paths(self) -> list[str]:
        """The paths of the values that vary."""
        return [*(self.drawn.parameters if self.drawn else self.grid or {})]
