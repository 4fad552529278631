"""Heights of scheduled values, such as learning rates and penalty weights, as pure functions of the step."""

from math import cos, pi

from service.spec.parts.schedules import Schedule, ScheduledValue


def fraction_at(schedule: Schedule, step: int) -> float:
    """Return the fraction of its initial height that a value has at `step`, the number of completed steps.

    The rise reaches 1 on its last step, so that the first step of a job already moves; the descent begins after it
    and ends at the horizon.
    """
    if step < schedule.warmup_steps:
        return (step + 1) / schedule.warmup_steps
    return descent(schedule, _progress(schedule, step))


def descent(schedule: Schedule, progress: float) -> float:
    """Fall from 1 to final_ratio as progress goes from 0 to 1."""
    final = schedule.final_ratio
    match schedule.name:
        case "constant":
            return 1.0
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


def _progress(schedule: Schedule, step: int) -> float:
    if schedule.name == "constant":
        return 0.0
    if schedule.horizon_steps is None:
        raise ValueError(f"a {schedule.name} schedule without a horizon: the spec is not resolved")
    length = max(1, schedule.horizon_steps - schedule.warmup_steps)
    return min(1.0, (step - schedule.warmup_steps) / length)
