"""The members of a sweep: its spec with the values of each point laid over it, resolved, and checked all at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.errors import Fault, InvalidInput
from service.spec.columns import COLUMNS
from service.spec.faults import MOST_FAULTS, pointer_to, unknown_name
from service.spec.job import JobSpec
from service.spec.quality import METRICS
from service.spec.resolve import Resolved, merge, parse_spec, resolve
from service.spec.sweep import Goal, HalvingSearch, SweepSpec
from service.spec.uploads import FindUpload

FIXED = ("dataset", "quality")
"""Parts of a spec that all members have in common: else their values of a metric could not be compared."""


@dataclass(frozen=True)
class MemberSpec:
    """The spec of a member before anything is filled in, and after."""

    posted: dict[str, Any]
    resolved: JobSpec


def goal_for(metric: str, given: Goal | None, *, pointer: str = "/goal") -> Goal:
    """Return which values of a metric or a column are better; raise InvalidInput where nobody has said."""
    goal = given or (METRICS[metric].better if metric in METRICS else None)
    if goal is None:
        message = f"{metric} has no better end of its own: say which values are better"
        raise InvalidInput([Fault(pointer, "goal_needed", message, ["higher", "lower"])])
    return goal


def check_metric(metric: str | None, *, pointer: str) -> None:
    """Refuse what is neither a metric of quality nor a recorded column."""
    if faults := _faults_of_metric(metric, pointer):
        raise InvalidInput(faults)


def _faults_of_metric(metric: str | None, pointer: str) -> list[Fault]:
    if metric is None or metric in METRICS or metric in COLUMNS:
        return []
    return [unknown_name("metric or column", pointer, metric, [*METRICS, *COLUMNS])]


def resolve_members(
    sweep: SweepSpec,
    points: Sequence[Mapping[str, Any]],
    *,
    seed: int,
    memory_limit_bytes: int,
    find_upload: FindUpload,
) -> list[MemberSpec]:
    """Return the members of a sweep; raise InvalidInput with the faults of them all, each by its parameter.

    seed is that of members whose spec and parameters name none.
    """
    base, members = _common_spec(sweep, seed), []
    faults = [*_faults_of_metric(sweep.metric, "/metric"), *_sweep_faults(sweep)]
    for number, point in enumerate(points, 1):
        try:
            posted = _laid_over(base, sweep, point, number)
            resolved = resolve(parse_spec(posted), memory_limit_bytes=memory_limit_bytes, find_upload=find_upload)
        except InvalidInput as error:
            faults += [_at_parameter(fault, sweep, point) for fault in error.faults]
        else:
            members.append(MemberSpec(posted, resolved.spec))
            faults += _rung_faults(sweep, resolved)
    if faults:
        raise InvalidInput(_each_once(faults))
    return members


def _common_spec(sweep: SweepSpec, seed: int) -> dict[str, Any]:
    """Return what members have in common: what was posted over what a sweep's jobs have unless it says otherwise."""
    given = sweep.spec.model_dump(mode="json", exclude_unset=True)
    shared = seed if sweep.spec.seed is None else sweep.spec.seed
    quality: dict[str, Any] = {"split_seed": shared}  # also where seeds vary: measured against the same rows
    if sweep.metric in METRICS and METRICS[sweep.metric].better is not None:
        quality["metric"] = sweep.metric
    if sweep.asha is not None:
        quality["every_steps"] = sweep.asha.min_steps
    usual = {"quality": quality, "resources": {"cohort": "auto"}}
    return merge(usual, given) | {"seed": shared}


def _each_once(faults: Sequence[Fault]) -> list[Fault]:
    """Return the first fault of each kind at each place: members differ in values, not in what is wrong with them."""
    first: dict[tuple[str, str], Fault] = {}
    for fault in faults:
        first.setdefault((fault.pointer, fault.code), fault)
    return [*first.values()][:MOST_FAULTS]


def _laid_over(base: dict[str, Any], sweep: SweepSpec, point: Mapping[str, Any], number: int) -> dict[str, Any]:
    posted = base
    for path, value in point.items():
        for key in reversed(path.split(".")):
            value = {key: value}  # noqa: PLW2901 (from the inside out)
        posted = merge(posted, value)
    if sweep.name is not None and posted.get("name") is None:
        posted = posted | {"name": f"{sweep.name} {number}"}
    return posted


def _at_parameter(fault: Fault, sweep: SweepSpec, point: Mapping[str, Any]) -> Fault:
    """Return a fault of a member's spec where its cause stands in the sweep: at a parameter, or else in the spec."""
    for path, value in point.items():
        own = "/" + path.replace(".", "/") + "/"
        if own.startswith(fault.pointer + "/") or f"{fault.pointer}/".startswith(own):
            return replace(fault, pointer=_place_of(sweep, path, value))
    if fault.pointer == "/quality/metric" and sweep.metric is not None and sweep.spec.quality.metric is None:
        return replace(fault, pointer="/metric")
    return replace(fault, pointer="/spec" + fault.pointer)


def _place_of(sweep: SweepSpec, path: str, value: Any) -> str:
    if sweep.grid is not None:
        return pointer_to(("grid", path, sweep.grid[path].index(value)))
    return pointer_to((sweep.method, "parameters", path))


def _sweep_faults(sweep: SweepSpec) -> Iterator[Fault]:
    for path in sweep.paths:
        place = ("grid", path) if sweep.grid is not None else (sweep.method, "parameters", path)
        if path.split(".")[0] in FIXED:
            message = "members are compared with each other, so this is the same for all"
            yield Fault(pointer_to(place), "fixed_in_sweeps", message)
        for outer in sweep.paths:
            if path.startswith(f"{outer}."):
                message = f"{outer} varies as a whole, so no part of it can vary by itself"
                yield Fault(pointer_to(place), "paths_overlap", message)
    if sweep.asha is not None:
        yield from _halving_faults(sweep, sweep.asha)


def _halving_faults(sweep: SweepSpec, asha: HalvingSearch) -> Iterator[Fault]:
    quality = sweep.spec.quality
    if asha.count < asha.reduction:
        least = {"minimum": asha.reduction}
        yield Fault("/asha/count", "too_few_members", "nobody would ever be stopped", least, asha.count)
    if sweep.metric is not None and (sweep.metric not in METRICS or METRICS[sweep.metric].better is None):
        allowed = [name for name, metric in METRICS.items() if metric.better]
        message = f"members are stopped by a metric of quality that has a better end, which {sweep.metric} has not"
        yield Fault("/metric", "not_followed", message, allowed, sweep.metric)
    elif None not in (sweep.metric, quality.metric) and sweep.metric != quality.metric:
        message = "members are stopped by what they are measured by"
        yield Fault("/metric", "not_followed", message, quality.metric, sweep.metric)
    if quality.every_steps is not None and (not quality.every_steps or asha.min_steps % quality.every_steps):
        message = f"quality must be measured at step {asha.min_steps}, the first rung"
        yield Fault("/spec/quality/every_steps", "misses_rungs", message, asha.min_steps, quality.every_steps)


def _rung_faults(sweep: SweepSpec, resolved: Resolved) -> Iterator[Fault]:
    last_step = resolved.spec.loop.max_steps
    if sweep.asha is not None and sweep.asha.min_steps >= last_step:
        message = f"a member has ended by its step {last_step}: nobody would be stopped"
        yield Fault("/asha/min_steps", "no_rung", message, {"below": last_step}, sweep.asha.min_steps)
