"""Rules of a spec that need the data or several of its parts; each is a function that tells the fault it finds."""

from collections.abc import Callable, Iterable

from service.errors import Fault
from service.spec.architectures import ARCHITECTURES
from service.spec.compilation import Obstacle, obstacle, obstacle_to_capture
from service.spec.facts import DatasetFacts
from service.spec.job import JobSpec
from service.spec.measuring import (
    follows_a_metric,
    has_labels_to_learn_from,
    held_out_rows,
    measures_against_something,
    stops_by_what_is_measured,
)
from service.spec.objectives import OBJECTIVES, scores_in_batch
from service.spec.parts.schedules import Schedule
from service.spec.regularizers import SCHEDULED, highest

COORDINATES = ("vector", "table")  # modalities whose numbers each have a meaning of their own


def faults_in(spec: JobSpec, facts: DatasetFacts) -> list[Fault]:
    """Return all that is wrong with a spec that has every value filled in, but for its size."""
    return [
        *_check_schedules(spec),
        *(fault for check in CHECKS if (fault := check(spec, facts)) is not None),
    ]


def _check_schedules(spec: JobSpec) -> Iterable[Fault]:
    schedules = {
        **{f"/objective/{key}": getattr(spec.objective, key) for key in SCHEDULED},
        "/model/ema/schedule": spec.model.ema.schedule,
        "/optimizer/generator/schedule": spec.optimizer.generator.schedule,
        "/optimizer/discriminator/schedule": spec.optimizer.discriminator.schedule,
    }
    for pointer, schedule in schedules.items():
        if isinstance(schedule, Schedule) and schedule.name == "geometric" and schedule.final_ratio == 0:
            message = "a geometric schedule never reaches 0: final_ratio must be above it"
            yield Fault(f"{pointer}/final_ratio", "greater_than", message, {"above": 0}, 0)


def _batch_fits_data(spec: JobSpec, facts: DatasetFacts) -> Fault | None:
    count = facts.count - held_out_rows(spec.quality, facts)
    if spec.loop.batch_size <= count:
        return None
    message = f"a batch of {spec.loop.batch_size} is larger than the data: {facts.name} has {count} samples to train on"
    return Fault("/loop/batch_size", "batch_larger_than_data", message, {"maximum": count}, spec.loop.batch_size)


def _cuts_batches_into_packs(spec: JobSpec, _facts: DatasetFacts) -> Fault | None:
    packing, batch = spec.model.discriminator.packing, spec.loop.batch_size
    if batch % packing == 0:
        return None
    message = f"a batch of {batch} cannot be cut into packs of {packing}"
    return Fault("/model/discriminator/packing", "batch_not_divisible", message, {"divides": batch}, packing)


def _cuts_batches_into_groups(spec: JobSpec, _facts: DatasetFacts) -> Fault | None:
    group, count = spec.model.discriminator.minibatch_std, scores_in_batch(spec)
    if group is None or count % group == 0:
        return None
    message = f"a batch of {count} scores cannot be cut into groups of {group}"
    return Fault("/model/discriminator/minibatch_std", "batch_not_divisible", message, {"divides": count}, group)


def _smooths_a_label(spec: JobSpec, _facts: DatasetFacts) -> Fault | None:
    objective, smoothing = OBJECTIVES.get(spec.objective.loss), spec.objective.label_smoothing
    if objective is None or objective.smoothed or smoothing == 0:
        return None
    message = f"{objective.name} compares scores, not labels: there is none to smooth"
    return Fault("/objective/label_smoothing", "no_label_to_smooth", message, 0, smoothing)


def _has_labels_to_condition_on(spec: JobSpec, facts: DatasetFacts) -> Fault | None:
    if facts.labels or not spec.model.conditional:
        return None
    return Fault("/model/conditional", "no_labels", f"{facts.name} has no labels to condition on", False, True)


def _reads_coordinates(spec: JobSpec, facts: DatasetFacts) -> Fault | None:
    octaves, architecture = spec.model.discriminator.octaves, spec.model.architecture
    if not octaves or (architecture == "mlp" and facts.modality in COORDINATES):
        return None
    message = f"only an mlp of {' or '.join(COORDINATES)} data reads octaves; {facts.name} is {facts.modality} data"
    fault = "no_coordinates"
    return Fault("/model/discriminator/octaves", fault, f"{message} and its networks are {architecture}", 0, octaves)


def _augments_pictures(spec: JobSpec, facts: DatasetFacts) -> Fault | None:
    if spec.objective.augment is None or facts.modality == "image":
        return None
    message = f"only pictures can be augmented; {facts.name} is {facts.modality} data"
    return Fault("/objective/augment", "not_pictures", message, None, spec.objective.augment.model_dump(mode="json"))


def _adapts_by_signs(spec: JobSpec, _facts: DatasetFacts) -> Fault | None:
    augment, objective = spec.objective.augment, OBJECTIVES.get(spec.objective.loss)
    if objective is None or objective.signed or augment is None or augment.probability != "adaptive":
        return None
    signed = [each.name for each in OBJECTIVES.values() if each.signed]
    message = f"the sign of a logit says nothing under {objective.name}: give a number, or a loss where it does"
    return Fault("/objective/augment/probability", "no_sign_to_adapt_by", message, {"losses": signed}, "adaptive")


def _has_a_decoder(spec: JobSpec, _facts: DatasetFacts) -> Fault | None:
    name = spec.model.architecture
    if highest(spec.objective.reconstruction) == 0 or ARCHITECTURES[name].reconstructs:
        return None
    drawing = [each.name for each in ARCHITECTURES.values() if each.reconstructs]
    message = f"the discriminator of {name} has no decoder that could draw what it has seen"
    return Fault("/objective/reconstruction", "nothing_to_draw_with", message, {"architectures": drawing}, name)


def _can_be_compiled(spec: JobSpec, _facts: DatasetFacts) -> Fault | None:
    hindered_by = obstacle(spec) if spec.resources.step == "compiled" else None
    return None if hindered_by is None else _step_fault("not_compilable", hindered_by, "compiled")


def _can_be_captured(spec: JobSpec, _facts: DatasetFacts) -> Fault | None:
    hindered_by = obstacle_to_capture(spec) if spec.resources.step == "captured" else None
    return None if hindered_by is None else _step_fault("not_capturable", hindered_by, "captured")


def _step_fault(code: str, by: Obstacle, asked: str) -> Fault:
    allowed = {"allowed": ["auto", "eager"], "key": by.key}
    return Fault("/resources/step", code, f"a step with this {by.key} {by.why}", allowed, asked)


CHECKS: tuple[Callable[[JobSpec, DatasetFacts], Fault | None], ...] = (
    _batch_fits_data,
    _cuts_batches_into_packs,
    _cuts_batches_into_groups,
    _has_labels_to_condition_on,
    _smooths_a_label,
    _augments_pictures,
    _reads_coordinates,
    _adapts_by_signs,
    _has_a_decoder,
    _can_be_compiled,
    _can_be_captured,
    measures_against_something,
    follows_a_metric,
    has_labels_to_learn_from,
    stops_by_what_is_measured,
)
