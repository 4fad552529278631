"""What every part of a spec is: strict about its keys and kinds."""

from pydantic import BaseModel, ConfigDict

MAX_STEPS = 100_000_000


class Strict(BaseModel):
    """A part of the spec: unknown keys are refused, values are not coerced across kinds, non-finite numbers neither."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
