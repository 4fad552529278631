"""Which jobs are of one shape: their steps consist of the same operations on tensors of the same sizes.

What reaches a step as a number may differ: seeds, rates, decays, weights of penalties, the half-life of the average.
"""

import json
from hashlib import sha256
from typing import Any

from service.spec.compilation import obstacle, wants_to_compile
from service.spec.job import JobSpec
from service.spec.parts.optimizer import OptimizerSpec
from service.spec.parts.schedules import Schedule
from service.spec.regularizers import PENALTIES, SCHEDULED, highest

_OF_NUMBERS = {"lr", "betas", "schedule"}  # what updates are made with


def shape_of(spec: JobSpec) -> str | None:
    """Return what jobs of one shape have in common, as a hash; None where steps cannot be compiled."""
    if obstacle(spec) is not None:
        return None
    objective, optimizers = spec.objective, (spec.optimizer.generator, spec.optimizer.discriminator)
    common = {
        "dataset": spec.dataset if isinstance(spec.dataset, str) else spec.dataset.model_dump(mode="json"),
        "model": spec.model.model_dump(mode="json", exclude={"ema"}),
        "average": spec.model.ema.half_life_samples > 0,
        "objective": objective.model_dump(mode="json", exclude=set(SCHEDULED)),
        "penalties": [_ends_at(highest(weight), weight) for weight in (getattr(objective, name) for name in PENALTIES)],
        "top_k": highest(objective.top_k),
        "loop": spec.loop.model_dump(mode="json", include={"variant", "discriminator_steps", "batch_size"}),
        "optimizer": [_updates(each) for each in optimizers],
        "resources": spec.resources.model_dump(mode="json"),
    }
    return sha256(json.dumps(common, sort_keys=True).encode()).hexdigest()


def shape_to_share(spec: JobSpec) -> str | None:
    """Return the shape by which a job finds others to be trained with; None where it is to be trained alone."""
    together = spec.resources.cohort == "auto" and wants_to_compile(spec)
    return shape_of(spec) if together else None


def _updates(spec: OptimizerSpec) -> dict[str, Any]:
    return {**spec.model_dump(mode="json", exclude=_OF_NUMBERS), "ends_at": _ends_at(spec.lr, spec.schedule)}


def _ends_at(height: float, schedule: float | Schedule) -> int | None:
    """Return the step from which on a value is 0, and a step is without it; None where it is never."""
    if height == 0:
        return 0
    if isinstance(schedule, Schedule) and schedule.name in ("linear", "cosine") and schedule.final_ratio == 0:
        horizon = schedule.horizon_steps
        return None if horizon is None else max(horizon, schedule.warmup_steps + 1)  # until then it still rises
    return None
