"""Heights of scheduled values, such as learning rates and penalty weights, as pure functions of the step."""

from math import cos, pi
from typing import Literal

from service.spec.parts.schedules import Schedule, ScheduledDecay, ScheduledValue


def fraction_at(schedule: Schedule, step: int) -> float:
    """Return the fraction of its initial height that a value has at `step`, the number of completed steps.

    The rise reaches 1 on its last step, so that the first step of a job already moves; the descent begins after it
    and ends at the horizon.
    """
    if step < schedule.warmup_steps:
        return (step + 1) / schedule.warmup_steps
    if schedule.name == "constant":
        return 1.0
    progress = _progress(step - schedule.warmup_steps, _horizon(schedule) - schedule.warmup_steps)
    return _moved(schedule.name, schedule.final_ratio, progress)


def decay_at(decay: float | ScheduledDecay, step: int) -> float:
    """Return the decay rate of a moment at `step`; 1 less it is what moves."""
    if not isinstance(decay, ScheduledDecay):
        return decay
    final_ratio = (1.0 - decay.final) / (1.0 - decay.initial)
    return 1.0 - (1.0 - decay.initial) * _moved(decay.name, final_ratio, _progress(step, _horizon(decay)))


def _moved(name: Literal["linear", "cosine", "geometric"], final: float, progress: float) -> float:
    """Move from 1 to the final ratio as progress goes from 0 to 1."""
    match name:
        case "linear":
            return 1.0 + (final - 1.0) * progress
        case "cosine":
            return final + (1.0 - final) * (1.0 + cos(pi * progress)) / 2
        case "geometric":
            return float(final**progress)


def weight_at(weight: float | ScheduledValue, step: int) -> float:
    """Return the height of a number that may be scheduled at `step`."""
    if isinstance(weight, ScheduledValue):
        return weight.initial * fraction_at(weight, step)
    return weight


def _horizon(schedule: Schedule | ScheduledDecay) -> int:
    if schedule.horizon_steps is None:
        raise ValueError(f"a {schedule.name} schedule without a horizon: the spec is not resolved")
    return schedule.horizon_steps


def _progress(steps: int, length: int) -> float:
    return min(1.0, steps / max(1, length))
