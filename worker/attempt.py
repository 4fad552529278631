"""What a supervisor hands to a trainer process, and what it may hear back. Loads no torch: both sides import it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from typing import Any

from service.models import Checkpoint, Dataset, Job
from service.settings import Settings
from service.spec.facts import DatasetFacts
from service.spec.health import rate_factor
from service.spec.job import DatasetRef, JobSpec
from service.spec.plan import Plan
from service.spec.resolve import find_dataset
from service.store.datasets import facts_of


@dataclass(frozen=True)
class Origin:
    """The verified checkpoint that an attempt continues from."""

    step: int
    samples_seen: int
    trained_s: float
    file: dict[str, Any]  # key, size and SHA-256 of the whole state

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> "Origin":
        """Describe a checkpoint."""
        return cls(checkpoint.step, checkpoint.samples_seen, checkpoint.trained_s, checkpoint.files["all"])


@dataclass(frozen=True)
class Prepared:
    """An uploaded data set that is ready: its facts and the records (key, size, SHA-256) of `rows` and `labels`."""

    facts: DatasetFacts
    files: dict[str, Any]

    @classmethod
    def of(cls, dataset: Dataset) -> "Prepared | None":
        """Describe a data set, None unless it is ready."""
        facts = facts_of(dataset)
        return None if facts is None else cls(facts, dataset.files)


@dataclass(frozen=True)
class Attempt:
    """One claim of a job, with all that its trainer needs to begin."""

    job_id: str
    number: int
    spec: JobSpec
    max_steps: int
    origin: Origin | None
    prepared: Prepared | None = None
    rate_factor: float = 1.0
    diagnosis: dict[str, Any] | None = None
    plan: Plan | None = None  # None before the first step
    branch_step: int | None = None  # of the checkpoint that a fork begins from

    @classmethod
    def of(cls, job: Job, checkpoint: Checkpoint | None, dataset: Dataset | None = None) -> "Attempt":
        """Describe a job that has just been claimed; its data set when it is for an uploaded one."""
        origin = Origin.of(checkpoint) if checkpoint else None
        prepared = Prepared.of(dataset) if dataset else None
        return cls(
            job.id,
            job.attempt,
            JobSpec.model_validate(job.resolved_spec),
            job.max_steps,
            origin,
            prepared,
            rate_factor(job.rollbacks),
            job.diagnosis,
            Plan.of(job.plan),
            job.parent_step,
        )

    @property
    def has_begun(self) -> bool:
        """Tell whether the job has taken steps of its own that the attempt continues."""
        return self.origin is not None and not self.is_at_branch

    @property
    def is_at_branch(self) -> bool:
        """Tell whether the attempt continues what another job has done, and nothing of its own."""
        return self.origin is not None and self.origin.step == self.branch_step

    @property
    def dataset(self) -> DatasetRef:
        """The data by name and content, as the spec of every stored job has it."""
        if isinstance(self.spec.dataset, str):
            raise TypeError("the spec of a stored job names its data by reference")
        return self.spec.dataset

    @property
    def facts(self) -> DatasetFacts:
        """What is known of the data of that name; whether it is still the same, its trainer finds out.

        Raises InvalidInput when it is an uploaded data set that is gone.
        """
        if self.prepared:
            return self.prepared.facts
        return find_dataset(self.dataset.model_copy(update={"sha256": None}))[1]


@dataclass(frozen=True)
class Task:
    """An attempt and how its steps are to be carried out."""

    attempt: Attempt
    plan: Plan


@dataclass(frozen=True)
class LastWords:
    """Why an attempt broke off, as the trainer itself saw it."""

    reason: str
    message: str

    def send(self, channel: Connection) -> None:
        """Tell the supervisor."""
        channel.send_bytes(json.dumps(asdict(self)).encode())

    @classmethod
    def read(cls, words: bytes) -> "LastWords":
        """Return what a trainer has said."""
        return cls(**json.loads(words))


def carry_out(tasks: Sequence[Task], settings: Settings, *, device: str, words: Connection) -> None:
    """Run an attempt, or several together, in a process of its own, forked from the fork server."""
    from worker.trainer import train  # the fork server has it already; the supervisor must never load torch

    train(tasks, settings, device=device, words=words)
