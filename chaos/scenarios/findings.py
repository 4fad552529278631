"""What a scenario reports: facts it measured, and promises it saw broken."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from chaos.stack import Database
from service.models import Job, State


@dataclass(frozen=True)
class Findings:
    """Collected while a scenario runs. No violations means that the promise held."""

    name: str
    database: Database
    lines: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    def note(self, line: str) -> None:
        """Tell a fact."""
        self.lines.append(line)

    def measure(self, name: str, value: float, *, at_most: float | None = None) -> None:
        """Keep the largest value of a figure; one beyond its bound is a violation."""
        self.figures[name] = round(max(value, self.figures.get(name, value)), 3)
        if at_most is not None and value > at_most:
            self.violations.append(f"{name}: {value:.3f}, where at most {at_most:g} is promised")

    def expect_success(self, jobs: Iterable[Job], *, attempt: int) -> None:
        """Count as violations the jobs that have not succeeded at just this attempt."""
        for job in jobs:
            self.expect(
                (job.state, job.attempt) == (State.SUCCEEDED, attempt),
                f"{job.id} is {job.state} at attempt {job.attempt}",
            )

    def expect(self, holds: object, otherwise: str) -> None:
        """Count as a violation what does not hold."""
        if not holds:
            self.violations.append(otherwise)
