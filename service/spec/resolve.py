"""From what a client posted to the spec that runs: defaults of the data's recipe filled in, every rule checked."""

import secrets
from dataclasses import dataclass
from math import ceil
from typing import Any

from pydantic import ValidationError

from service.errors import Fault, InvalidInput
from service.spec.architectures import ARCHITECTURES, architecture_for
from service.spec.checks import faults_in
from service.spec.datasets import DATASETS, NoParams
from service.spec.estimate import Estimate, estimate
from service.spec.facts import DatasetFacts
from service.spec.faults import faults_of
from service.spec.job import LARGEST_SEED, DatasetRef, JobSpec
from service.spec.measuring import fill_quality
from service.spec.names import unknown_names
from service.spec.parts.schedules import ScheduledValue
from service.spec.parts.strict import Strict
from service.spec.recipes.registry import recipe_for
from service.spec.regularizers import SCHEDULED
from service.spec.uploads import FindUpload, no_uploads
from service.version import VERSION

SAMPLING_POINTS = 10  # in a job whose spec does not say how often to sample
GIB = 2**30


@dataclass(frozen=True)
class Resolved:
    """A spec with every value filled in, the data it is for, and what it will need."""

    spec: JobSpec
    facts: DatasetFacts
    estimate: Estimate


def parse_spec(body: object) -> JobSpec:
    """Return a posted body as a spec; raise InvalidInput with all its faults. Stored specs are known to be right."""
    faults = unknown_names(body)
    try:
        spec = JobSpec.model_validate(body)
    except ValidationError as error:
        told = faults_of(error, JobSpec)
        places = {fault.pointer for fault in told}
        faults = [*told, *(fault for fault in faults if fault.pointer not in places)]
    if faults:
        raise InvalidInput(faults)
    return spec


def resolve(posted: JobSpec, *, memory_limit_bytes: int, find_upload: FindUpload = no_uploads) -> Resolved:
    """Fill a posted spec from the recipe of its data and check it; raise InvalidInput with all its faults.

    find_upload finds the uploaded data sets of who posted it.
    """
    ref, facts = find_dataset(posted.dataset, find_upload)
    architecture = _architecture(posted, facts)
    defaults = recipe_for(facts, architecture).overrides
    merged = merge(defaults, posted.model_dump(mode="json", exclude_unset=True))
    merged["dataset"] = {"name": ref.name, "params": ref.params, "sha256": facts.sha256}
    merged["model"]["architecture"] = architecture
    spec = _fill(parse_spec(merged), facts)
    _check(spec, facts, memory_limit_bytes)
    return Resolved(spec, facts, estimate(spec, facts))


def find_dataset(dataset: str | DatasetRef, find_upload: FindUpload = no_uploads) -> tuple[DatasetRef, DatasetFacts]:
    """Return the full reference and the facts of a spec's data set, the name of which is a possible one.

    Raises InvalidInput for an upload that is not there or not ready, and for parameters or content that do not fit.
    """
    ref = DatasetRef(name=dataset) if isinstance(dataset, str) else dataset
    pointer = "/dataset" if isinstance(dataset, str) else "/dataset/name"
    if ref.name in DATASETS:
        params = _read_params(ref.params, DATASETS[ref.name].params)
        facts = DATASETS[ref.name].facts(params)
    else:
        facts = _uploaded(ref.name, pointer, find_upload)
        params = _read_params(ref.params, NoParams)
    if ref.sha256 not in (None, facts.sha256):
        message = "the data set has another content than the one this spec was resolved for"
        raise InvalidInput([Fault("/dataset/sha256", "content_differs", message, facts.sha256, ref.sha256)])
    return DatasetRef(name=ref.name, params=params.model_dump(), sha256=facts.sha256), facts


def _read_params(given: dict[str, Any], model: type[Strict]) -> Strict:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise InvalidInput([_moved(fault, "/dataset/params") for fault in faults_of(error, model)]) from None


def _uploaded(dataset_id: str, pointer: str, find_upload: FindUpload) -> DatasetFacts:
    upload = find_upload(dataset_id)
    if upload is None:
        message = f"you have no data set {dataset_id}; yours are listed at /datasets"
        raise InvalidInput([Fault(pointer, "unknown_name", message, got=dataset_id)])
    if upload.facts is None:
        message = f"the data set {dataset_id} is {upload.state}; only one that is ready can be trained on"
        raise InvalidInput([Fault(pointer, "dataset_not_ready", message, "ready", upload.state)])
    return upload.facts


def merge(defaults: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return the defaults with the given values laid over them, objects merged key by key."""
    merged = dict(defaults)
    for key, value in given.items():
        both_objects = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both_objects else value
    return merged


def _architecture(posted: JobSpec, facts: DatasetFacts) -> str:
    name = posted.model.architecture
    if name == "auto":
        return architecture_for(facts)
    modalities = ARCHITECTURES[name].modalities
    if facts.modality not in modalities:
        fits = [each.name for each in ARCHITECTURES.values() if facts.modality in each.modalities]
        message = f"{name} takes {' and '.join(modalities)} data; {facts.name} is {facts.modality} data"
        raise InvalidInput([Fault("/model/architecture", "unfit_architecture", message, fits, name)])
    return name


def _fill(spec: JobSpec, facts: DatasetFacts) -> JobSpec:
    """Give every value that depends on others: the seed, the horizons, the cadences, the versions."""
    max_steps = spec.loop.max_steps
    values = spec.model_dump(mode="json")
    values["seed"] = secrets.randbelow(LARGEST_SEED + 1) if spec.seed is None else spec.seed
    values["samples"]["every_steps"] = spec.samples.every_steps or ceil(max_steps / SAMPLING_POINTS)
    values["quality"] = fill_quality(spec, facts).model_dump()
    for key in SCHEDULED:
        value = getattr(spec.objective, key)
        scheduled = value if isinstance(value, ScheduledValue) else ScheduledValue(initial=value)
        values["objective"][key] = scheduled.model_dump()
    for part in ("model", "objective", "optimizer"):
        values[part] = _with_horizons(values[part], max_steps)
    values["versions"] = spec.versions or {"ganymede": VERSION}
    return JobSpec.model_validate(values)


def _with_horizons(part: Any, max_steps: int) -> Any:
    """Let every schedule in a part that names no end of its own end with the job."""
    if isinstance(part, dict):
        inner = {key: _with_horizons(value, max_steps) for key, value in part.items()}
        return inner | {"horizon_steps": inner["horizon_steps"] or max_steps} if "horizon_steps" in inner else inner
    return [_with_horizons(each, max_steps) for each in part] if isinstance(part, list) else part


def _check(spec: JobSpec, facts: DatasetFacts, memory_limit_bytes: int) -> None:
    if faults := faults_in(spec, facts) or _check_memory(estimate(spec, facts), memory_limit_bytes):
        raise InvalidInput(faults)


def _check_memory(needed: Estimate, limit_bytes: int) -> list[Fault]:
    if needed.memory_bytes <= limit_bytes:
        return []
    parameters = needed.generator_parameters + needed.discriminator_parameters
    message = (
        f"the job would need {needed.memory_bytes / GIB:.2f} GiB of memory ({parameters:,} parameters); "
        f"the limit is {limit_bytes / GIB:.2f} GiB. Make the networks or the batch smaller"
    )
    return [Fault("/model", "too_large", message, {"maximum_bytes": limit_bytes}, needed.memory_bytes)]


def _moved(fault: Fault, prefix: str) -> Fault:
    return Fault(prefix + fault.pointer, fault.code, fault.message, fault.allowed, fault.got)
