"""What is done about a diagnosis: the rows that tell of it, and the end of an attempt where the spec asks for one."""

from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

from service.models import Job
from service.spec.health import RULES, action_for
from service.spec.job import JobSpec
from service.spec.plan import Plan
from service.store.events import add_event
from service.store.rollbacks import Trouble
from worker.endings import Ending, Why
from worker.gan.diagnosis.case import Finding
from worker.gan.diagnosis.doctor import Change

Row = Callable[[Session, Job], object]
"""Adds a row that shows a saved file or notes a fact, in the transaction of a flush."""


def diagnosis_row(record: dict[str, Any]) -> Row:
    """Write down where each rule stands."""

    def show(_session: Session, job: Job) -> None:
        job.diagnosis = record

    return show


def plan_row(plan: Plan) -> Row:
    """Keep how the steps are carried out, with the first of them."""

    def show(session: Session, job: Job) -> None:
        job.plan = plan.to_json()
        place = "" if plan.cohort is None else f" together with {plan.cohort.size - 1} more of this shape"
        words = f"Steps are {plan.step}{place} on {plan.threads} thread{'s' * (plan.threads > 1)}: {plan.reason}."
        add_event(session, job, "plan", words, job.plan)

    return show


def event_row(change: Change, message: str | None) -> Row:
    """Tell of a rule that was raised or cleared."""
    state = change.standing.state
    words = explain(change, message) if state == "raised" else f"No longer so: {RULES[change.rule].description}"
    data = {"rule": change.rule, "state": state, "step": change.standing.since_step}
    finding = change.standing.finding
    evidence = {} if finding is None else {"evidence": evidence_of(finding)}
    return lambda session, job: add_event(session, job, "diagnosis", words, data | evidence)


def evidence_of(finding: Finding) -> dict[str, Any]:
    """Return the numbers and the steps of a finding as JSON."""
    return {"first_step": finding.first_step, "last_step": finding.last_step, "numbers": finding.numbers}


def ending_for(change: Change, spec: JobSpec, message: str | None) -> Ending | None:
    """Return the end of the attempt that a change asks for; message tells of a number that is not finite.

    Nothing can be learnt from such a number, so that it ends the attempt even where the spec asks for a warning.
    """
    finding, action = change.standing.finding, action_for(spec, change.rule)
    if change.standing.state != "raised" or finding is None or (action == "warn" and message is None):
        return None
    is_divergence = change.rule == "divergence"
    why, code = (Why.DIVERGED, "diverged") if is_divergence else (Why.UNHEALTHY, change.rule)
    words = explain(change, message)
    trouble = Trouble(finding.first_step, reason=why, code=code, message=words) if action == "rollback" else None
    return Ending(why, words, code, trouble)


def explain(change: Change, message: str | None) -> str:
    """Say in words what a rule has found and what to try."""
    facts = RULES[change.rule]
    finding = change.standing.finding
    seen = message or (", ".join(_say(*number) for number in finding.numbers.items()) if finding else "")
    name = change.rule.replace("_", " ").capitalize()
    return f"{name} at step {change.standing.since_step}: {seen.rstrip('.')}. {facts.description} {facts.advice}"


def _say(name: str, value: float | None) -> str:
    return f"{name} not finite" if value is None else f"{name} {value:g}"
