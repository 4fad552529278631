"""The history of losses as clients see it. The bytes are written by service.history.formats; this describes them."""

from typing import Literal

from pydantic import BaseModel, Field

from service.history.query import Row


class SamplingAnswer(BaseModel):
    """How the steps of an answer were chosen."""

    method: Literal["minmax", "lttb", "mean", "none"]
    exact: bool = Field(description="Whether every step of the range is here as recorded.")
    row: Row = Field(
        description="What a row holds: the values of its step; or extremes, each column's own lowest or highest of a "
        "stretch, which are not those of one step; or means."
    )
    total_steps: int = Field(description="Recorded steps of the range.")
    returned: int


class LossesAnswer(BaseModel):
    """Columns of numbers by step."""

    job: str
    columns: dict[str, list[float | None]] = Field(
        description="`step` and what was asked for, of equal length; null where a number is not finite."
    )
    nonfinite: dict[str, dict[str, Literal["NaN", "Infinity", "-Infinity"]]] = Field(
        description="By column and step, what the nulls stand for."
    )
    references: dict[str, float] = Field(description="By column, its value at the equilibrium.")
    reduction: Literal["sum_of_means", "mean", "sum"]
    eval_point: dict[str, Literal["pre_d", "post_d"]] = Field(
        description="By column, whether it was measured before or after the discriminator's update."
    )
    sampling: SamplingAnswer
    next_after_step: int = Field(description="The after_step with which a poller asks for what comes next.")


class ComparisonAnswer(BaseModel):
    """The losses of several jobs."""

    data: list[LossesAnswer] = Field(description="In the order of the ids asked for.")


class ExtremeAnswer(BaseModel):
    """A finite value and the first step that had it."""

    value: float
    step: int


class ColumnSummaryAnswer(BaseModel):
    """A column over all its steps. Min, max and mean are of its finite values."""

    last: float | None
    min: ExtremeAnswer | None
    max: ExtremeAnswer | None
    mean: float | None
    count: int = Field(description="Steps.")
    nonfinite: int


class LossesSummaryAnswer(BaseModel):
    """Every column in a few numbers."""

    job: str
    columns: dict[str, ColumnSummaryAnswer]
