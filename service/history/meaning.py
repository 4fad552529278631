"""What the numbers of a job's history mean, which its spec says."""

from collections.abc import Mapping
from dataclasses import dataclass

from service.spec.columns import eval_point, recorded_columns
from service.spec.job import JobSpec
from service.spec.objectives import references


@dataclass(frozen=True)
class Meaning:
    """The columns, their equilibria, how losses are reduced, where D was read. Nothing of it can be changed later."""

    columns: tuple[str, ...]
    references: Mapping[str, float]
    reduction: str
    eval_point: Mapping[str, str]

    @classmethod
    def of(cls, spec: JobSpec) -> "Meaning":
        """Read it from a resolved spec."""
        return cls(recorded_columns(spec), references(spec), spec.objective.reduction, eval_point(spec.loop.variant))
