"""The training-job spec as a client posts it. Defaults by data are in recipes, checks that need the data in resolve."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MAX_STEPS = 100_000_000
LARGEST_SEED = 2**53 - 1  # every JSON reader keeps integers up to here exactly

Label = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[\w./-]+$")]
LabelValue = Annotated[str, StringConstraints(max_length=256)]
DatasetName = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class Strict(BaseModel):
    """A part of the spec: unknown keys are refused, values are not coerced across kinds, non-finite numbers neither."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Schedule(Strict):
    """How a value moves from its initial height over the steps of a job. Past the horizon the last value holds."""

    name: Literal["constant", "linear", "cosine", "geometric"] = Field("constant", description="Shape of the descent.")
    warmup_steps: int = Field(0, ge=0, le=MAX_STEPS, description="Steps of linear rise from 0 at the start.")
    final_ratio: float = Field(
        0.0, ge=0, le=1, description="Value at the horizon, as a fraction of the initial one; above 0 for geometric."
    )
    horizon_steps: int | None = Field(
        None, ge=1, le=MAX_STEPS, description="Step at which the descent ends; max_steps at creation when not given."
    )


class ScheduledValue(Schedule):
    """A number with its schedule, such as the weight of a penalty."""

    initial: float = Field(ge=0, le=1e6, description="Height at the start, after warm-up.")


class ScheduledFraction(ScheduledValue):
    """A fraction with its schedule."""

    initial: float = Field(gt=0, le=1, description="Height at the start, after warm-up.")


Weight = Annotated[float, Field(ge=0, le=1e6)]
Fraction = Annotated[float, Field(gt=0, le=1)]


class DatasetRef(Strict):
    """A data set by name, with the parameters of the generated ones."""

    name: DatasetName = Field(description="A built-in name or the id of an uploaded data set.")
    params: dict[str, Any] = Field({}, description="Parameters of a generated data set, see /catalog.")
    sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="Content hash; given by resolved specs, checked when present."
    )


class EmaSpec(Strict):
    """The exponential moving average of the generator, from which samples are taken."""

    half_life_samples: int = Field(
        20_000, ge=0, le=10**9, description="Real samples after which a weight's share in the average halves; 0 is off."
    )
    ramp: float = Field(
        0.1, ge=0, le=1, description="Upper bound of the half-life as a fraction of the samples seen so far; 0 is none."
    )


class NetworkSpec(Strict):
    """Size of one network."""

    width: int = Field(128, ge=4, le=8192, description="Units of a hidden layer, or channels of the largest map.")
    depth: int | None = Field(
        None,
        ge=1,
        le=16,
        description="Hidden layers of an mlp, blocks of an r3 at each size; else it follows from the data.",
    )
    activation: Literal["silu", "leaky_relu"] = Field("leaky_relu", description="Between the layers.")


class DiscriminatorSpec(NetworkSpec):
    """Size of the discriminator, and what its layers are held to."""

    spectral_norm: bool = Field(
        False, description="Divide each layer's weights by their largest singular value; a dcgan's D is not normalised."
    )


class ModelSpec(Strict):
    """The two networks."""

    architecture: str = Field("auto", max_length=32, description="Name from /catalog; auto follows the data.")
    latent_dim: int = Field(64, ge=1, le=1024, description="Normal latent variables.")
    latent_codes: int = Field(
        0,
        ge=0,
        le=4096,
        description="Entries of a learnt codebook drawn uniformly beside the normal latents; 0 is none.",
    )
    conditional: bool = Field(False, description="Feed class labels to both networks.")
    generator: NetworkSpec = NetworkSpec()
    discriminator: DiscriminatorSpec = DiscriminatorSpec()
    ema: EmaSpec = EmaSpec()


class AugmentSpec(Strict):
    """Random changes of all pictures that the discriminator is shown, real and generated."""

    policy: tuple[Literal["colour", "translation", "cutout"], ...] = Field(
        ("colour", "translation", "cutout"), strict=False, min_length=1, max_length=3, description="Kinds of changes."
    )
    probability: Fraction | Literal["adaptive"] = Field(
        1.0, description="Of each kind for each picture; adaptive begins at 0 and follows the discriminator (ADA)."
    )
    target: float = Field(
        0.6, gt=0, lt=1, description="Mean sign of D's logits of reals above which an adaptive probability rises."
    )
    rise_samples: int = Field(
        500_000, ge=1, le=10**9, description="Real samples in which an adaptive probability can rise from 0 to 1."
    )


class ObjectiveSpec(Strict):
    """What each player minimises."""

    loss: str = Field("non_saturating", max_length=32, description="Name from /catalog.")
    reduction: Literal["sum_of_means", "mean", "sum"] = Field(
        "sum_of_means", description="How per-sample losses become one number: factors for D 1, 1/2, m; for G 1, 1, m."
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="The label of reals is 1 minus this (one-sided).")
    r1: Weight | ScheduledValue = Field(
        0.0, description="gamma of the penalty gamma/2 |grad_x D(x)|^2 on reals, each step; a number or a schedule."
    )
    r2: Weight | ScheduledValue = Field(0.0, description="gamma of the same penalty on generated samples.")
    gradient_penalty: Weight | ScheduledValue = Field(
        0.0, description="Weight of E (|grad D| - 1)^2 between reals and generated samples (WGAN-GP)."
    )
    dragan: Weight | ScheduledValue = Field(0.0, description="Weight of E (|grad D| - 1)^2 around reals (DRAGAN).")
    lecam: Weight | ScheduledValue = Field(
        0.0, description="Weight of the squared distance of D's scores from their averages of the other kind (LeCam)."
    )
    instance_noise: Weight | ScheduledValue = Field(
        0.0, description="Deviation of the normal noise added to all that D scores, in network units."
    )
    augment: AugmentSpec | None = Field(
        None, description="Random changes of pictures before D sees them, for little data; null is none."
    )
    top_k: Fraction | ScheduledFraction = Field(
        1.0, description="Fraction of its samples, those D scores highest, that the generator learns from."
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


class OptimizerSpec(Strict):
    """The optimiser of one player."""

    name: str = Field("adam", max_length=32, description="Name from /catalog.")
    lr: float = Field(2e-4, ge=0, le=10, description="Learning rate; 0 freezes the player.")
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        (0.5, 0.999), strict=False, description="Decay rates of Adam's moments; RMSprop uses the second."
    )
    eps: float = Field(1e-8, gt=0, le=1, description="Added to the root that divides, in Adam and RMSprop.")
    weight_decay: float = Field(0.01, ge=0, le=1, description="Decay of weights a step, times the rate; AdamW's alone.")
    clip_gradient: float | None = Field(
        None, gt=0, le=1e6, description="Euclidean norm to which a longer gradient is shortened; null is none."
    )
    clip_weights: float | None = Field(
        None, gt=0, le=1e6, description="Greatest absolute value of a weight after an update; null is none."
    )
    schedule: Schedule = Schedule()


class OptimizersSpec(Strict):
    """The optimisers of both players."""

    generator: OptimizerSpec = OptimizerSpec()
    discriminator: OptimizerSpec = OptimizerSpec()


class CheckpointsSpec(Strict):
    """When the whole state of training is saved. The last step is always saved."""

    every_steps: int | None = Field(
        None, ge=1, le=MAX_STEPS, description="Also after this many steps; null is by time."
    )
    keep_last: int = Field(3, ge=1, le=1000, description="How many of the newest are kept.")
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
    precision: Literal["auto", "float32", "float64"] = Field("auto", description="auto is float32.")
    threads: int | None = Field(
        None, ge=1, le=256, description="Threads of the trainer; by the networks' size when null."
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
