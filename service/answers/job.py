"""A job and its events as clients see them."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from service.answers.writing import Moment, PageAnswer, StoredSpec
from service.models import Event, Job, Sample
from service.spec.estimate import Estimate
from service.spec.job import JobSpec
from service.spec.plan import Layout, Route, Way

Status = Literal["queued", "running", "pausing", "paused", "cancelling", "cancelled", "succeeded", "failed"]
Reason = Literal[
    "max_steps",
    "max_seconds",
    "early_stop",
    "user_request",
    "outperformed",
    "worker_lost",
    "out_of_memory",
    "diverged",
    "unhealthy",
    "crashed",
    "storage_full",
    "bad_dataset",
]
LINKED = (
    "losses",
    "samples",
    "checkpoints",
    "quality",
    "events",
    "stream",
    "diagnosis",
    "log",
    "cancel",
    "pause",
    "resume",
)


class ProgressAnswer(BaseModel):
    """How far a job is."""

    step: int
    max_steps: int
    fraction: float
    steps_per_second: float | None
    eta_seconds: float | None
    samples_seen: int

    @classmethod
    def of(cls, job: Job) -> "ProgressAnswer":
        """Tell a job's progress."""
        return cls.at(
            job.step,
            job.max_steps,
            samples_seen=job.samples_seen,
            steps_per_second=job.steps_per_second,
            is_running=job.state == "running",
        )

    @classmethod
    def at(
        cls, step: int, max_steps: int, *, samples_seen: int, steps_per_second: float | None, is_running: bool
    ) -> "ProgressAnswer":
        """Tell the progress at a step; there is an end to expect only while the job runs."""
        left = max(0, max_steps - step)
        return cls(
            step=step,
            max_steps=max_steps,
            fraction=round(min(1.0, step / max_steps), 6),
            steps_per_second=steps_per_second,
            eta_seconds=round(left / steps_per_second, 1) if steps_per_second and is_running else None,
            samples_seen=samples_seen,
        )


class SeatAnswer(BaseModel):
    """The place of a job among those that one process trains together."""

    size: int
    index: int = Field(description="Counted from 0.")


class ExecutionAnswer(BaseModel):
    """How the steps of a job are carried out; every attempt follows it, unless a worker cannot."""

    step: Way = Field(
        description="eager carries out each operation by itself; compiled is one function; captured is one launch."
    )
    threads: int
    reason: str = Field(description="Why so.")
    layout: Layout = Field(
        "contiguous",
        description="Whether a picture's channels stand one after the other in memory, or those of a pixel.",
    )
    route: Route = Field(
        "default",
        description="What multiplies matrices on a CPU: torch's own choice or oneDNN, if that is faster there.",
    )
    cohort: SeatAnswer | None = Field(None, description="Its place in a cohort; null where it is trained alone.")


class LatestSamplesAnswer(BaseModel):
    """The newest sampling point."""

    step: int
    formats: list[str] = Field(description="In which its file can be had.")

    @classmethod
    def of(cls, sample: Sample) -> "LatestSamplesAnswer":
        """Tell a sampling point."""
        return cls(step=sample.step, formats=sorted(sample.files))


class JobError(BaseModel):
    """Why a job failed."""

    code: str
    message: str = Field(description="What happened, in words a person can act on.")


class ParentAnswer(BaseModel):
    """Where a fork begins."""

    job: str = Field(description="The job that it continues, which may be deleted by now.")
    step: int = Field(description="The step of the checkpoint that it begins from.")

    @classmethod
    def of(cls, job: Job) -> "ParentAnswer | None":
        """Tell the parent of a fork."""
        if job.parent_id is None or job.parent_step is None:
            return None
        return cls(job=job.parent_id, step=job.parent_step)


class JobAnswer(BaseModel):
    """A training job."""

    id: str
    status: Status
    reason: Reason | None = Field(description="Why the job is where it is.")
    version: int = Field(description="Grows with every change; wait for the next one with ?wait=&since=.")
    name: str | None
    labels: dict[str, str]
    priority: int
    owner: str
    spec: StoredSpec = Field(description="As it was posted.")
    resolved_spec: StoredSpec = Field(
        description="Every value in use; posted again it reproduces a run that is no fork."
    )
    attempt: int = Field(description="How many times a worker has taken the job.")
    queue_position: int | None = Field(description="1 is next; null unless queued.")
    worker: str | None
    execution: ExecutionAnswer | None = Field(
        description="How its steps are carried out; null until its worker has opened the data."
    )
    progress: ProgressAnswer
    losses: dict[str, float | None] | None = Field(description="The newest step's numbers, null before the first.")
    latest_samples: LatestSamplesAnswer | None = Field(description="null before the first sampling point.")
    parent: ParentAnswer | None = Field(description="What this one continues; null where it is no fork.")
    sweep: str | None = Field(description="The sweep that this job is a member of.")
    error: JobError | None
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    links: dict[str, str]

    @classmethod
    def of(cls, job: Job, *, queue_position: int | None, samples: Sample | None) -> "JobAnswer":
        """Tell a job."""
        return cls(
            id=job.id,
            status=job.status,
            reason=job.reason,
            version=job.version,
            name=job.name,
            labels=dict(sorted(job.resolved_spec["labels"].items())),
            priority=job.priority,
            owner=job.owner_id,
            spec=job.spec,
            resolved_spec=job.resolved_spec,
            attempt=job.attempt,
            queue_position=queue_position,
            worker=job.worker,
            execution=None if job.plan is None else ExecutionAnswer(**job.plan),
            progress=ProgressAnswer.of(job),
            losses=job.last_losses,
            latest_samples=samples and LatestSamplesAnswer.of(samples),
            parent=ParentAnswer.of(job),
            sweep=job.sweep_id,
            error=_error_of(job),
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
            links=_links(f"/jobs/{job.id}"),
        )


class JobPage(PageAnswer[JobAnswer]):
    """Jobs, newest first."""


class EstimateAnswer(BaseModel):
    """What a job will need."""

    generator_parameters: int
    discriminator_parameters: int
    memory_bytes: int = Field(description="Peak memory of the trainer.")
    checkpoint_bytes: int

    @classmethod
    def of(cls, estimate: Estimate) -> "EstimateAnswer":
        """Tell an estimate."""
        return cls.model_validate(estimate, from_attributes=True)


class PlanAnswer(BaseModel):
    """What a spec would become; nothing was stored."""

    resolved_spec: JobSpec
    estimate: EstimateAnswer


class EventAnswer(BaseModel):
    """A transition or notable fact of a job."""

    seq: int = Field(description="Rises from 1; the numbers between are those of losses and progress in the stream.")
    at: Moment
    type: str
    message: str
    attempt: int
    data: dict[str, Any]

    @classmethod
    def of(cls, event: Event) -> "EventAnswer":
        """Tell an event."""
        return cls.model_validate(event, from_attributes=True)


class EventPage(PageAnswer[EventAnswer]):
    """Events in order."""


def _links(url: str) -> dict[str, str]:
    return {"self": url, "chart": f"{url}/losses.svg"} | {noun: f"{url}/{noun}" for noun in LINKED}


def _error_of(job: Job) -> JobError | None:
    return None if job.error_code is None else JobError(code=job.error_code, message=job.error_message or "")
