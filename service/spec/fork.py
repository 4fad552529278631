"""A job that continues from a checkpoint of another one: what may differ from there on, and what may not.

What is held in the checkpoint stays as it is: the networks, the moments of the optimisers, what its data looks like.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from service.errors import Fault, InvalidInput
from service.spec.job import JobSpec
from service.spec.parts.strict import Strict
from service.spec.resolve import Resolved, merge, parse_spec, resolve
from service.spec.uploads import FindUpload

_NETWORKS = "the networks of the checkpoint are made so"
_MOMENTS = "the moments that the checkpoint holds are of this optimiser"
_ROWS = "the rows that were kept aside must be those that were never trained on"
FIXED: Mapping[str, str] = {
    "dataset": "the networks have learnt this data, and the checkpoint says how they see it",
    "model": _NETWORKS,
    "optimizer.generator.name": _MOMENTS,
    "optimizer.discriminator.name": _MOMENTS,
    "quality.held_out": _ROWS,
    "quality.split_seed": _ROWS,
}
"""Parts of a spec that a fork cannot change, by path, each with the reason. Of the model, `ema` is left free."""


class ForkSpec(Strict):
    """Where a new job begins, and how it differs from the one that it continues."""

    checkpoint: Literal["latest", "best"] | Annotated[int, Field(ge=0, le=2**53)] = Field(
        "latest", description="A step, `latest` or `best`."
    )
    overrides: dict[str, Any] = Field(
        {},
        description="Parts of a spec, laid over that of the parent key by key. Steps continue the parent's numbers, so "
        "that max_steps counts from the parent's beginning.",
    )


@dataclass(frozen=True)
class Branch:
    """The checkpoint that a fork begins from, as far as its spec depends on it."""

    step: int
    trained_s: float
    rate_factor: float  # what the parent's learning rates were multiplied with in the steps that followed it


@dataclass(frozen=True)
class ForkedSpec:
    """The spec of a fork before anything is filled in, and after."""

    posted: dict[str, Any]
    resolved: Resolved


def fork_spec(
    parent: dict[str, Any],
    overrides: dict[str, Any],
    branch: Branch,
    *,
    memory_limit_bytes: int,
    find_upload: FindUpload,
) -> ForkedSpec:
    """Lay overrides over a parent's resolved spec and check the result; raise InvalidInput with all its faults."""
    # What the parent's version did not know is as the parent is trained, not as a recipe of today would have it.
    base = _continued(JobSpec.model_validate(parent).model_dump(mode="json"), branch.rate_factor)
    is_same_data = overrides.get("dataset") == base["dataset"]["name"]
    posted = _plan_to_end(base, merge(base, overrides | ({"dataset": {}} if is_same_data else {})), overrides)
    try:
        spec = parse_spec(posted)
        _refuse(_fixed_faults(base, spec), _average_faults(base, spec), _end_faults(spec, branch))
        return ForkedSpec(posted, resolve(spec, memory_limit_bytes=memory_limit_bytes, find_upload=find_upload))
    except InvalidInput as error:
        raise InvalidInput([_within_overrides(fault) for fault in error.faults]) from None


def _refuse(*found: Iterator[Fault]) -> None:
    if faults := [fault for each in found for fault in each]:
        raise InvalidInput(faults)


def _continued(parent: dict[str, Any], rate_factor: float) -> dict[str, Any]:
    """Return what the steps after the branch point were taken with, had nothing been said.

    Rates that rollbacks have halved become rates of the spec: they are powers of two times as low, so that not a bit
    of any step differs, and who overrides one gets what he asks for.
    """
    rates = {player: {"lr": of["lr"] * rate_factor} for player, of in parent["optimizer"].items()}
    given = parent["quality"]["split_seed"]
    aside = {"split_seed": parent["seed"] if given is None else given}  # a fork may have another seed for all else
    return merge(parent, {"optimizer": rates, "quality": aside, "versions": None})


def _plan_to_end(base: dict[str, Any], posted: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """Let schedules end with the fork that ended with a parent which was shorter, or that an override brings along.

    Else a fork that goes on from a parent's end would go on at the rates of that end, which are 0 with most recipes.
    """
    if not isinstance(loop := posted["loop"], dict) or not isinstance(loop.get("max_steps"), int):
        return posted  # the faults of which are told
    end = base["loop"]["max_steps"]
    moved = {end} if loop["max_steps"] > end else set()
    return {part: _replanned(value, overrides.get(part), moved) for part, value in posted.items()}


def _replanned(part: Any, override: Any, moved: AbstractSet[int]) -> Any:
    """Return a part of a spec in which such horizons, and those of schedules that are overridden, are open."""
    if isinstance(part, list):
        given = override if isinstance(override, list) else [None] * len(part)
        return [_replanned(value, each, moved) for value, each in zip(part, given, strict=False)]
    if not isinstance(part, dict):
        return part
    said = override if isinstance(override, dict) else {}
    inner = {key: _replanned(value, said.get(key), moved) for key, value in part.items()}
    if "horizon_steps" in inner and "horizon_steps" not in said and (said or inner["horizon_steps"] in moved):
        inner["horizon_steps"] = None
    return inner


def _fixed_faults(base: dict[str, Any], spec: JobSpec) -> Iterator[Fault]:
    wanted = spec.model_dump(mode="json")
    for path, reason in FIXED.items():
        before, after = _at(base, path), _at(wanted, path)
        for pointer, kept, got in _differences(before, after, "/" + path.replace(".", "/")):
            if not pointer.startswith("/model/ema"):
                message = f"it cannot change in a fork: {reason}"
                yield Fault(pointer, "fixed_by_checkpoint", message, kept, got)


def _at(spec: Any, path: str) -> Any:
    for key in path.split("."):
        spec = spec[key]
    return spec


def _differences(before: Any, after: Any, pointer: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield where two parts of specs differ: the pointer, the value before and the one after."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before.keys() | after.keys():
            yield from _differences(before.get(key), after.get(key), f"{pointer}/{key}")
    elif before != after:
        yield pointer, before, after


def _average_faults(base: dict[str, Any], spec: JobSpec) -> Iterator[Fault]:
    if base["model"]["ema"]["half_life_samples"] == 0 and spec.model.ema.half_life_samples > 0:
        pointer = "/model/ema/half_life_samples"
        message = "the checkpoint holds no average of the generator that could be continued"
        yield Fault(pointer, "fixed_by_checkpoint", message, 0, spec.model.ema.half_life_samples)


def _end_faults(spec: JobSpec, branch: Branch) -> Iterator[Fault]:
    loop = spec.loop
    if loop.max_steps <= branch.step:
        message = f"steps count on from the parent's: the checkpoint is of step {branch.step}, say up to which to train"
        pointer, least = "/loop/max_steps", {"minimum": branch.step + 1}
        yield Fault(pointer, "too_small", message, least, loop.max_steps)
    if loop.max_seconds is not None and loop.max_seconds <= branch.trained_s:
        message = f"seconds count on from the parent's, which had trained for {branch.trained_s:.1f} s by then"
        pointer, above = "/loop/max_seconds", {"above": branch.trained_s}
        yield Fault(pointer, "too_small", message, above, loop.max_seconds)


def _within_overrides(fault: Fault) -> Fault:
    return Fault("/overrides" + fault.pointer, fault.code, fault.message, fault.allowed, fault.got)
