"""How the service is, as clients see it."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from service.answers.writing import Moment, PageAnswer
from service.models import Worker


class HealthAnswer(BaseModel):
    """The process lives."""

    status: Literal["ok"]
    version: str


class ReadyAnswer(BaseModel):
    """The service can take jobs."""

    status: Literal["ready"]
    version: str
    schema_revision: str = Field(description="Of the database.")


class WorkerAnswer(BaseModel):
    """A worker process that has been seen."""

    id: str
    device: str
    slots: int = Field(description="Jobs it trains at once.")
    busy: int = Field(description="Slots in use.")
    version: str
    facts: dict[str, Any] = Field(description="Build, threads, machine.")
    started_at: Moment
    seen_at: Moment

    @classmethod
    def of(cls, worker: Worker) -> "WorkerAnswer":
        """Tell a worker."""
        return cls.model_validate(worker, from_attributes=True)


class WorkerPage(PageAnswer[WorkerAnswer]):
    """Workers, by id."""


class QueueAnswer(BaseModel):
    """What waits and what runs, of all owners."""

    queued: int
    running: int
    paused: int
    slots: int = Field(description="Of all workers that are seen.")
    busy: int


class LimitsAnswer(BaseModel):
    """What a request and an owner may use."""

    body_bytes: int = Field(description="Largest JSON body.")
    job_memory_bytes: int = Field(description="Most memory a job may need by its estimate.")
    max_live_jobs: int = Field(description="Jobs of one owner that have not ended.")
    live_jobs: int = Field(description="Yours now.")
    dataset_max_bytes: int = Field(description="Largest upload of a data set.")
    dataset_quota_bytes: int = Field(description="Bytes of data sets of one owner.")
    dataset_bytes: int = Field(description="Yours now.")
    max_live_orders: int = Field(description="Samples on demand and exports that one owner may wait for.")
    live_orders: int = Field(description="Yours now.")
    sample_quota_bytes: int = Field(
        description="Bytes of samples on demand and exports of one owner; beyond, the oldest go."
    )
    sample_bytes: int = Field(description="Yours now.")
    max_webhooks: int = Field(description="Webhooks of one owner.")
    webhooks: int = Field(description="Yours now.")
