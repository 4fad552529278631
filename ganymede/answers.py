"""What the service answers with, as types of JSON, named and filled as the schemas of the OpenAPI document.

What is not listed here is a plain object; /openapi.json describes it.
"""

from typing import Any, NotRequired, TypedDict

Numbers = dict[str, float | None]  # None: not finite


class ProgressAnswer(TypedDict):
    """How far a job is."""

    step: int
    max_steps: int
    fraction: float
    steps_per_second: float | None
    eta_seconds: float | None
    samples_seen: int


class SeatAnswer(TypedDict):
    """The place of a job among those that one process trains together."""

    size: int
    index: int


class ExecutionAnswer(TypedDict):
    """How the steps of a job are carried out."""

    step: str
    threads: int
    reason: str
    layout: str
    route: str
    cohort: SeatAnswer | None


class LatestSamplesAnswer(TypedDict):
    """The newest sampling point, and the formats in which its file can be had."""

    step: int
    formats: list[str]


class ParentAnswer(TypedDict):
    """What a fork continues, and from which step."""

    job: str
    step: int


class JobError(TypedDict):
    """Why a job failed."""

    code: str
    message: str


class JobAnswer(TypedDict):
    """A training job."""

    id: str
    status: str
    reason: str | None
    version: int
    name: str | None
    labels: dict[str, str]
    priority: int
    owner: str
    spec: dict[str, Any]
    resolved_spec: dict[str, Any]
    attempt: int
    queue_position: int | None
    worker: str | None
    execution: ExecutionAnswer | None
    progress: ProgressAnswer
    losses: Numbers | None
    latest_samples: LatestSamplesAnswer | None
    parent: ParentAnswer | None
    sweep: str | None
    error: JobError | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    links: dict[str, str]


class EstimateAnswer(TypedDict):
    """What a job will need."""

    generator_parameters: int
    discriminator_parameters: int
    memory_bytes: int
    checkpoint_bytes: int


class PlanAnswer(TypedDict):
    """What a spec would become; nothing was stored."""

    resolved_spec: dict[str, Any]
    estimate: EstimateAnswer


class SamplingAnswer(TypedDict):
    """How the steps of a reading were chosen."""

    method: str
    exact: bool
    row: str
    total_steps: int
    returned: int


class LossesAnswer(TypedDict):
    """Columns of numbers by step, with their equilibrium."""

    job: str
    columns: dict[str, list[float | None]]
    nonfinite: dict[str, dict[str, str]]
    references: dict[str, float]
    reduction: str
    eval_point: dict[str, str]
    sampling: SamplingAnswer
    next_after_step: int


class ExtremeAnswer(TypedDict):
    """A finite value and the first step that had it."""

    value: float
    step: int


class ColumnSummaryAnswer(TypedDict):
    """A column over all its steps."""

    last: float | None
    min: ExtremeAnswer | None
    max: ExtremeAnswer | None
    mean: float | None
    count: int
    nonfinite: int


class FileAnswer(TypedDict):
    """A file that can be downloaded."""

    sha256: str
    size_bytes: int
    url: str


class SampleAnswer(TypedDict):
    """A sampling point: what the generator made of the job's fixed latents."""

    step: int
    attempt: int
    count: int
    formats: dict[str, FileAnswer]
    created_at: str


class CheckpointAnswer(TypedDict):
    """A durable state of training."""

    step: int
    attempt: int
    samples_seen: int
    losses: Numbers
    quality: Numbers | None
    sha256: str
    size_bytes: int
    parts: dict[str, FileAnswer]
    exports: dict[str, str]
    kept_because: list[str]
    created_at: str


class QualityAnswer(TypedDict):
    """What was measured at a step, and what it is compared with."""

    step: int
    attempt: int
    checkpoint: int | None
    metrics: Numbers
    real: Numbers | None
    baselines: dict[str, Numbers] | None
    behind: list[str]


class EvidenceAnswer(TypedDict):
    """The numbers that raised a rule."""

    first_step: int
    last_step: int
    numbers: Numbers


class RuleAnswer(TypedDict):
    """Where one rule of the diagnosis stands."""

    rule: str
    state: str
    since_step: int | None
    evidence: EvidenceAnswer | None
    description: str
    advice: str
    action: str


class DiagnosisAnswer(TypedDict):
    """Every rule of a job."""

    job: str
    step: int
    rollbacks: int
    rate_factor: float
    rules: list[RuleAnswer]


class EventAnswer(TypedDict):
    """A transition or notable fact of a job."""

    seq: int
    at: str
    type: str
    message: str
    attempt: int
    data: dict[str, Any]


class DatasetEntry(TypedDict):
    """A data set."""

    id: str
    name: str | None
    builtin: bool
    status: str
    version: int
    sha256: str | None
    size_bytes: int | None
    stored_bytes: int
    content: dict[str, Any] | None
    warnings: list[dict[str, str]]
    error: dict[str, str] | None
    created_at: str | None
    finished_at: str | None
    links: dict[str, str]


class PlaceAnswer(TypedDict):
    """A member of a sweep in its place; rank and value are None before it has been measured."""

    rank: int | None
    job: str
    parameters: dict[str, Any]
    status: str
    reason: str | None
    step: int
    value: float | None
    value_step: int | None


class LeaderboardAnswer(TypedDict):
    """The members of a sweep, the best first."""

    metric: str
    goal: str
    best: str | None
    data: list[PlaceAnswer]


class SweepSummary(TypedDict):
    """A sweep."""

    id: str
    status: str
    name: str | None
    owner: str
    method: str
    search: dict[str, Any]
    spec: dict[str, Any]
    metric: str
    goal: str
    members: dict[str, int]
    created_at: str
    links: dict[str, str]


class SweepAnswer(SweepSummary):
    """A sweep with its leaderboard, which those of a list come without."""

    leaderboard: NotRequired[LeaderboardAnswer]


class WebhookAnswer(TypedDict):
    """A webhook, without its secret."""

    id: str
    name: str | None
    url: str
    events: list[str]
    enabled: bool
    created_at: str
    links: dict[str, str]


class NewWebhookAnswer(WebhookAnswer):
    """A webhook with its secret, which is told once, when it is created."""

    secret: NotRequired[str]


class DeliveryAnswer(TypedDict):
    """A message to a webhook, and what became of it."""

    id: str
    webhook: str
    job: str | None
    type: str
    status: str
    attempts: int
    status_code: int | None
    error: str | None
    payload: dict[str, Any]
    created_at: str
    tried_at: str | None
    next_try_at: str | None
    finished_at: str | None
    links: dict[str, str]


class Message(TypedDict):
    """What happened to a job. Ids count from 1 without gaps; a `snapshot` has none."""

    id: int | None
    event: str
    data: dict[str, Any]
