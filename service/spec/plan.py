"""How the steps of a job are carried out: chosen once, before the first step, and followed by every resume.

A plan changes speed and last bits, never what is computed. It follows from the spec and from what a worker can do, not
from clocks, so that equal jobs on equal workers have equal plans.
"""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from service.spec.compilation import (
    SECONDS_WORTH_COMPILING,
    STEPS_WORTH_COMPILING,
    obstacle,
    obstacle_to_capture,
    wants_to_compile,
)
from service.spec.estimate import estimate
from service.spec.facts import DatasetFacts
from service.spec.job import JobSpec

# Weights times batch. Measured on two cores: below, handing work to a second thread costs more than the thread brings
# (a step of the digits' recipe took 2.9 ms on one and 9.1 ms on two); from four times this on it brings 1.5.
WORTH_SHARING = 2**27
Way = Literal["eager", "compiled", "captured"]
"""One operation after the other, all as one compiled function, or all as one graph that the GPU is handed at once."""

Layout = Literal["contiguous", "channels_last"]
"""Whether the channels of a picture stand one after the other in memory, or those of a pixel side by side."""

Route = Literal["default", "onednn"]
"""Which library multiplies matrices on a CPU: the one that torch takes by itself, or oneDNN."""

# Measured on a CPU: steps of these take 4 to 14 % less time so, those of r3, whose convolutions are grouped, 4 % more.
FASTER_CHANNELS_LAST = ("dcgan", "resnet", "lite")

_PAYS = f"pays from {STEPS_WORTH_COMPILING:,} steps and {SECONDS_WORTH_COMPILING} s on"


@dataclass(frozen=True)
class Seat:
    """The place of a job among those that one process trains together, counted from 0."""

    size: int
    index: int

    def __str__(self) -> str:
        """Say it to people, who count from 1."""
        return f"{self.index + 1} of {self.size}"


@dataclass(frozen=True)
class Plan:
    """In which way steps are carried out, on how many threads, why so, how pictures lie in memory, what multiplies."""

    step: Way
    threads: int
    reason: str
    layout: Layout = "contiguous"  # as it was of all before plans knew any other
    route: Route = "default"  # the same
    cohort: Seat | None = None

    @classmethod
    def of(cls, stored: dict[str, Any] | None) -> "Plan | None":
        """Return the plan that was stored with a job."""
        if stored is None:
            return None
        known = {field.name for field in fields(cls)}  # a newer version may have stored more
        values = {name: value for name, value in stored.items() if name in known}
        seat = stored.get("cohort")
        return cls(**values | {"cohort": None if seat is None else Seat(**seat)})

    def to_json(self) -> dict[str, Any]:
        """Return what is stored; what older workers do not know only where it is no matter of course."""
        stored = asdict(self)
        for usual in [field.name for field in fields(self) if stored[field.name] == field.default]:
            del stored[usual]
        return stored


def choose_plan(
    spec: JobSpec,
    facts: DatasetFacts,
    *,
    device: str,
    can_compile: bool,
    threads: int | None,
    share: int,
    route: Route = "default",
) -> Plan:
    """Choose for a resolved spec on a worker that gives each job a share of its cores and may fix the threads.

    `route` is the faster one of its processor.
    """
    step, reason = _choose_step(spec, device=device, can_compile=can_compile)
    threads = spec.resources.threads or threads or threads_for(spec, facts, share)
    return Plan(step, threads, reason, layout_for(spec), route if device == "cpu" else "default")


def plan_to_follow(known: Plan | None, planned: Plan, *, has_begun: bool) -> Plan:
    """Return the plan of an attempt: that of the job, unless the worker, which has planned by itself, can do less.

    A job that has begun without a plan is older than plans are. One that has begun together with others goes on alone.
    """
    if known is None:
        begun = Plan("eager", planned.threads, "it has begun so")
        return begun if has_begun else planned
    if known.step not in ("eager", planned.step):
        return planned
    route = known.route if known.route == planned.route else "default"  # oneDNN may round where it was not chosen
    return replace(known, threads=min(known.threads, planned.threads), route=route, cohort=None)


def _choose_step(spec: JobSpec, *, device: str, can_compile: bool) -> tuple[Way, str]:
    if spec.resources.step == "eager":
        return "eager", "asked for"
    return _choose_on_cpu(spec, can_compile=can_compile) if device == "cpu" else _choose_on_gpu(spec)


def _choose_on_gpu(spec: JobSpec) -> tuple[Way, str]:
    wanted, hindered_by = spec.resources.step, obstacle_to_capture(spec)
    if wanted == "compiled":
        return "eager", "steps are compiled for CPUs alone"
    if hindered_by is not None:
        return "eager", f"a step with this {hindered_by.key} {hindered_by.why}"
    return "captured", "asked for" if wanted == "captured" else "the GPU is handed a step at once"


def _choose_on_cpu(spec: JobSpec, *, can_compile: bool) -> tuple[Way, str]:
    wanted, hindered_by = spec.resources.step, obstacle(spec)
    if wanted == "captured":
        return "eager", "steps are captured on GPUs alone"
    if hindered_by is not None:
        return "eager", f"a step with this {hindered_by.key} {hindered_by.why}"
    if not wants_to_compile(spec):
        return "eager", f"compiling {_PAYS}"
    if not can_compile:
        return "eager", "the worker has no C++ compiler or no headers of Python"
    return "compiled", "asked for" if wanted == "compiled" else f"it {_PAYS}"


def layout_for(spec: JobSpec) -> Layout:
    """Return what the convolutions of an architecture are faster in."""
    return "channels_last" if spec.model.architecture in FASTER_CHANNELS_LAST else "contiguous"


def threads_for(spec: JobSpec, facts: DatasetFacts, most: int) -> int:
    """Return one thread for small networks and all of a slot's share for large ones."""
    size = estimate(spec, facts)
    weights = size.generator_parameters + size.discriminator_parameters
    return most if weights * spec.loop.batch_size >= WORTH_SHARING else 1
