"""Which steps can be taken whole, compiled or captured, and which of them are worth it."""

from dataclasses import dataclass

from service.spec.job import JobSpec
from service.spec.parts.schedules import Schedule, ScheduledDecay
from service.spec.regularizers import highest

STEPS_WORTH_COMPILING = 10_000
"""Steps that win back what compiling costs, up to a minute of a core, or 5 s once a worker remembers it: they gain 4 to
11 ms each (docs/log.md)."""

SECONDS_WORTH_COMPILING = 180
"""A shorter job would spend much of its time on the compiler."""

MOST_UPDATES = 5
"""Discriminator updates in a compiled step: they stand in it one after the other, and the compiler takes its time."""

COMPILER_BYTES = 320 * 2**20  # that a trainer holds more when it compiles; measured, torch 2.13


COMPILED = ("mlp", "tabular")
"""Architectures whose steps gain by it. Convolutions gain nothing."""

_WHY = {
    "model.architecture": "is not compiled: that is done for mlp and tabular, as convolutions gain nothing by it",
    "loop.discriminator_steps": f"takes the compiler too long, which stops at {MOST_UPDATES}",
}  # of a step with such a key


def wants_to_compile(spec: JobSpec) -> bool:
    """Tell whether a worker that has a compiler compiles the steps of a resolved spec."""
    if spec.resources.step in ("eager", "captured") or obstacle(spec) is not None:
        return False
    return spec.resources.step == "compiled" or _is_long(spec)


def _is_long(spec: JobSpec) -> bool:
    seconds = spec.loop.max_seconds
    return spec.loop.max_steps >= STEPS_WORTH_COMPILING and (seconds is None or seconds >= SECONDS_WORTH_COMPILING)


@dataclass(frozen=True)
class Obstacle:
    """The key of a resolved spec that keeps its step from being taken whole, and why it does."""

    key: str
    why: str


def obstacle(spec: JobSpec) -> Obstacle | None:
    """Return what keeps the step of a resolved spec from being compiled; None where nothing does."""
    stand = {"model.architecture": spec.model.architecture not in COMPILED}
    key = _first(stand | _obstacles_to_whole_steps(spec))
    return None if key is None else Obstacle(key, _WHY.get(key, "cannot be compiled"))


def obstacle_to_capture(spec: JobSpec) -> Obstacle | None:
    """Return what keeps the step of a resolved spec from being captured; None where nothing does.

    The graph holds the decays of the moments as they are at first. Fourier transforms of short frames cannot be
    captured; convolutions along time and timbres have not been tried.
    """
    optimizers = (spec.optimizer.generator, spec.optimizer.discriminator)
    moving = any(isinstance(beta, ScheduledDecay) for each in optimizers for beta in each.betas)
    sounds = spec.model.architecture in ("spectrogram", "timbre", "wave")
    key = _first({"model.architecture": sounds, "optimizer.betas": moving} | _obstacles_to_whole_steps(spec))
    return None if key is None else Obstacle(key, "cannot be captured")


def _obstacles_to_whole_steps(spec: JobSpec) -> dict[str, bool]:
    """What draws in the midst of a step does so on the host, and so cannot be part of a function of tensors."""
    objective, optimizers = spec.objective, (spec.optimizer.generator, spec.optimizer.discriminator)
    return {
        "loop.discriminator_steps": spec.loop.discriminator_steps > MOST_UPDATES,
        "optimizer": any(each.name not in ("adam", "adamw") for each in optimizers),
        "objective.top_k": _moves(objective.top_k),
        "objective.instance_noise": highest(objective.instance_noise) > 0,
        "objective.augment": objective.augment is not None,
        "objective.gradient_penalty": highest(objective.gradient_penalty) > 0,
        "objective.dragan": highest(objective.dragan) > 0,
        "objective.reconstruction": highest(objective.reconstruction) > 0,
    }


def _first(obstacles: dict[str, bool]) -> str | None:
    return next((key for key, stands in obstacles.items() if stands), None)


def _moves(value: float | Schedule) -> bool:
    return isinstance(value, Schedule) and (value.name != "constant" or value.warmup_steps > 0)
