"""What goes on between the two players of a job, as clients see it."""

from typing import Any

from pydantic import BaseModel, Field

from service.models import Job
from service.spec.health import RULES, Action, RuleState, action_for, rate_factor
from service.spec.job import JobSpec


class EvidenceAnswer(BaseModel):
    """The numbers that raised a rule."""

    first_step: int = Field(description="Of the steps in which they were seen.")
    last_step: int
    numbers: dict[str, float | None] = Field(description="null: not finite.")


class RuleAnswer(BaseModel):
    """Where one rule stands."""

    rule: str
    state: RuleState = Field(
        description="healthy: never raised; cleared: raised once and no longer; not_applicable: nothing to judge by."
    )
    since_step: int | None = Field(description="The step at which it was raised or cleared.")
    evidence: EvidenceAnswer | None = Field(description="What raises it, or had raised it.")
    description: str = Field(description="What it means when it is raised.")
    advice: str = Field(description="What to try, by the keys of the spec.")
    action: Action = Field(description="What the spec asks for when it is raised.")


class DiagnosisAnswer(BaseModel):
    """Every rule of a job."""

    job: str
    step: int
    rollbacks: int = Field(description="How often the job was rolled back to a healthy checkpoint.")
    rate_factor: float = Field(description="What both learning rates are multiplied with since the last rollback.")
    rules: list[RuleAnswer]

    @classmethod
    def of(cls, job: Job, spec: JobSpec) -> "DiagnosisAnswer":
        """Tell a job's diagnosis; before its first check-up nothing is raised."""
        known: dict[str, Any] = job.diagnosis["rules"] if job.diagnosis else {}
        return cls(
            job=job.id,
            step=job.step,
            rollbacks=job.rollbacks,
            rate_factor=rate_factor(job.rollbacks),
            rules=[_rule(spec, name, known.get(name)) for name in RULES],
        )


def _rule(spec: JobSpec, name: str, known: dict[str, Any] | None) -> RuleAnswer:
    facts = RULES[name]
    standing = known or {"state": "healthy" if facts.applies(spec) else "not_applicable", "since_step": 0}
    return RuleAnswer(
        rule=name,
        state=standing["state"],
        since_step=standing["since_step"] or None,
        evidence=standing.get("finding"),
        description=facts.description,
        advice=facts.advice,
        action=action_for(spec, name),
    )
