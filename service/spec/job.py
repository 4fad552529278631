"""The training-job spec as a client posts it; networks, objective and optimisers have parts of their own.

Defaults by data are in recipes, checks that need the data in resolve.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from service.spec.datasets import DATASETS
from service.spec.faults import no_such
from service.spec.parts.model import ModelSpec
from service.spec.parts.objective import ObjectiveSpec
from service.spec.parts.optimizer import OptimizersSpec
from service.spec.parts.strict import MAX_STEPS, Strict
from service.spec.uploads import ID_PREFIX

LARGEST_SEED = 2**53 - 1  # every JSON reader keeps integers up to here exactly

Label = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[\w./-]+$")]
LabelValue = Annotated[str, StringConstraints(max_length=256)]


def _known_dataset(name: str) -> str:
    """Refuse what is neither built in nor looks like an upload, which is told beside all other faults of a spec.

    Stored specs are read with this, too: a data set that was built in once must stay known.
    """
    if name not in DATASETS and not name.startswith(ID_PREFIX):
        raise no_such("data set", DATASETS)
    return name


DatasetName = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_known_dataset)]


class DatasetRef(Strict):
    """A data set by name, with the parameters of the generated ones."""

    name: DatasetName = Field(description="A built-in name or the id of an uploaded data set.")
    params: dict[str, Any] = Field({}, description="Parameters of a generated data set, see /catalog.")
    sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="Content hash; given by resolved specs, checked when present."
    )


class LoopSpec(Strict):
    """The training loop. A step is one full iteration: the discriminator updates, then one generator update."""

    variant: Literal["original", "reuse", "fused"] = Field(
        "original",
        description="original draws new fakes for the generator; reuse scores the old ones again; "
        "fused takes both gradients from the same scores.",
    )
    discriminator_steps: int = Field(1, ge=1, le=100, description="Discriminator updates in a step.")
    batch_size: int = Field(64, ge=2, le=65_536, description="Real samples in a batch; as many generated ones.")
    max_steps: int = Field(2_000, ge=1, le=MAX_STEPS, description="Steps after which the job has succeeded.")
    max_seconds: float | None = Field(
        None, gt=0, le=31_536_000, description="Seconds of training after which the job has succeeded early."
    )


class CheckpointsSpec(Strict):
    """When the whole state of training is saved. The last step is always saved."""

    every_steps: int | None = Field(
        None, ge=1, le=MAX_STEPS, description="Also after this many steps; null is by time."
    )
    keep_last: int = Field(
        3, ge=1, le=1000, description="How many of the newest are kept, beside those to roll back to."
    )
    keep_every: int | None = Field(
        None, ge=1, le=MAX_STEPS, description="Also at each multiple of this step, and kept as long as the job."
    )
    keep_best: int = Field(
        1, ge=0, le=1000, description="How many with the best quality are kept; above 0 each measured step is saved."
    )


class SamplesSpec(Strict):
    """When the generator is sampled from latents that never change. The last step is always sampled."""

    every_steps: int | None = Field(
        None, ge=1, le=MAX_STEPS, description="Steps between sampling points; a tenth of max_steps when not given."
    )
    count: int = Field(64, ge=1, le=10_000, description="Samples at each point; a picture shows the first 64.")


HealthAction = Annotated[
    Literal["warn", "stop", "rollback"],
    Field(description="warn tells; stop fails the job; rollback returns to a healthy checkpoint at half the rates."),
]


class HealthSpec(Strict):
    """What happens when a rule of the diagnosis is raised. Numbers that are not finite are never trained on."""

    on_saturation: HealthAction = "warn"
    on_discriminator_wins: HealthAction = "warn"
    on_discriminator_blind: HealthAction = "warn"
    on_collapse: HealthAction = "warn"
    on_divergence: HealthAction = "rollback"
    on_rotation: HealthAction = "warn"
    on_memorisation: HealthAction = "warn"
    on_stale_quality: HealthAction = "warn"


class EarlyStopSpec(Strict):
    """When a job has succeeded early: the followed metric no longer gets better. Losses of a GAN never say so."""

    patience_points: int = Field(5, ge=1, le=1000, description="Measuring points without a better value.")
    min_delta: float = Field(0.0, ge=0, le=1e6, description="What a value must be better by to count.")


class QualitySpec(Strict):
    """When samples are measured against data that is kept aside. The last step is measured too."""

    every_steps: int | None = Field(
        None,
        ge=0,
        le=MAX_STEPS,
        description="Steps between measuring points; a fifth of max_steps when not given, 0 is never.",
    )
    held_out: float | None = Field(
        None, ge=0, le=0.5, description="Share of the rows kept aside for it; a fifth when not given."
    )
    split_seed: int | None = Field(
        None, ge=0, le=LARGEST_SEED, description="Of the choice of these rows; the job's seed when not given."
    )
    count: int = Field(
        1_000, ge=10, le=5_000, description="Samples, and as many held-out rows as far as there are any."
    )
    metric: str | None = Field(
        None, max_length=32, description="Name from /catalog of what `best` goes by; by the data when null."
    )
    early_stop: EarlyStopSpec | None = Field(None, description="End the job once the metric no longer gets better.")


class ResourcesSpec(Strict):
    """What a worker gives to the job."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto is the worker's own device.")
    precision: Literal["auto", "float32", "float64", "tf32", "bfloat16"] = Field(
        "auto",
        description="auto is float32. tf32 lets a GPU round what it multiplies to ten bits. bfloat16 lets the networks "
        "compute with eight, from weights in float32; it pays where the device has units for it.",
    )
    step: Literal["auto", "eager", "compiled", "captured"] = Field(
        "auto",
        description="compiled makes one function of a whole step on a CPU, which takes up to a minute; captured hands "
        "a GPU the whole step at once; auto is by steps and device.",
    )
    threads: int | None = Field(
        None, ge=1, le=256, description="Threads of the trainer; by the networks' size when null."
    )
    cohort: Literal["auto", "never"] = Field(
        "never",
        description="auto may train the job in one process with others of its owner that differ in seeds and rates "
        "alone and ask for it too, if their steps are compiled and more of them wait than there are slots: faster "
        "together, but the last bits then depend on which others waited.",
    )


class JobSpec(Strict):
    """A training job. Only `dataset` is required; every other default is the recipe of the data."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"dataset": "digits"}]})

    dataset: DatasetName | DatasetRef = Field(description="A built-in name, a data set's id, or {name, params}.")
    name: str | None = Field(None, max_length=200, description="For people.")
    labels: dict[Label, LabelValue] = Field({}, max_length=64, description="For finding jobs again.")
    model: ModelSpec = ModelSpec()
    objective: ObjectiveSpec = ObjectiveSpec()
    loop: LoopSpec = LoopSpec()
    optimizer: OptimizersSpec = OptimizersSpec()
    seed: int | None = Field(None, ge=0, le=LARGEST_SEED, description="Of all randomness; drawn when not given.")
    priority: int = Field(0, ge=-100, le=100, description="Higher runs first.")
    checkpoints: CheckpointsSpec = CheckpointsSpec()
    samples: SamplesSpec = SamplesSpec()
    quality: QualitySpec = QualitySpec()
    health: HealthSpec = HealthSpec()
    resources: ResourcesSpec = ResourcesSpec()
    versions: dict[Annotated[str, StringConstraints(max_length=64)], LabelValue] | None = Field(
        None,
        max_length=64,
        description="Versions that resolved the spec, for people.",
    )
