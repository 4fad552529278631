"""The part of a spec that says how quality is measured: what it is filled with and what is refused."""

import difflib
from math import ceil

from service.errors import Fault
from service.spec.facts import DatasetFacts
from service.spec.job import JobSpec, QualitySpec
from service.spec.quality import DEFAULT_SHARE, FOLLOWED, LEAST_ROWS, MEASURING_POINTS, METRICS


def fill_quality(spec: JobSpec, facts: DatasetFacts) -> QualitySpec:
    """Choose share, cadence and metric where the spec leaves them open; data that is too small is not measured."""
    given = spec.quality
    share = given.held_out
    if share is None:
        share = DEFAULT_SHARE if round(DEFAULT_SHARE * facts.count) >= LEAST_ROWS else 0.0
    cadence = given.every_steps
    if cadence is None:
        cadence = ceil(spec.loop.max_steps / MEASURING_POINTS) if share else 0
    chosen = {"held_out": share, "every_steps": cadence, "metric": given.metric or FOLLOWED[facts.modality]}
    return given.model_copy(update=chosen)


def held_out_rows(quality: QualitySpec, facts: DatasetFacts) -> int:
    """Return how many rows are kept aside, give or take half a row for each class."""
    return round((quality.held_out or 0.0) * facts.count)


def measures_against_something(spec: JobSpec, facts: DatasetFacts) -> Fault | None:
    """Refuse to measure against fewer rows than tell anything."""
    rows = held_out_rows(spec.quality, facts)
    if not spec.quality.every_steps or rows >= LEAST_ROWS:
        return None
    least = LEAST_ROWS / facts.count
    message = f"{rows} rows are kept aside, and to measure quality takes {LEAST_ROWS}; every_steps 0 measures nothing"
    return Fault("/quality/held_out", "too_little_held_out", message, {"minimum": least}, spec.quality.held_out)


def follows_a_metric(spec: JobSpec, facts: DatasetFacts) -> Fault | None:
    """Refuse a metric that this data does not have or that has no better end."""
    name = spec.quality.metric
    allowed = [each.name for each in METRICS.values() if each.applies_to(facts) and each.better]
    if name in allowed:
        return None
    nearest = difflib.get_close_matches(str(name), allowed, n=1)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    message = f"{name!r} is no metric of {facts.name} that can be followed{hint}"
    return Fault("/quality/metric", "unknown_name", message, allowed, name)


def has_labels_to_learn_from(spec: JobSpec, facts: DatasetFacts) -> Fault | None:
    """Refuse to follow what a classifier learns from samples that no label comes with."""
    if spec.quality.metric != "tstr" or spec.model.conditional or facts.label_column:
        return None
    message = "tstr needs samples with labels, and those of an unconditional training have none: set model.conditional"
    return Fault("/quality/metric", "no_labels", message, {"conditional": True}, "tstr")


def stops_by_what_is_measured(spec: JobSpec, _: DatasetFacts) -> Fault | None:
    """Refuse to stop early by what is never measured."""
    if spec.quality.early_stop is None or spec.quality.every_steps:
        return None
    message = "nothing is measured, so there is nothing to stop early by"
    return Fault("/quality/early_stop", "never_measured", message, None, spec.quality.early_stop.model_dump())
