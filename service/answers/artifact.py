"""What training leaves behind, as clients see it: checkpoints and sampling points with their files."""

from typing import Any

from pydantic import BaseModel, Field

from service.answers.writing import Moment, PageAnswer
from service.models import Checkpoint, Sample
from service.spec.exports import EXPORT_FORMATS


class FileAnswer(BaseModel):
    """A file that can be downloaded."""

    sha256: str
    size_bytes: int
    url: str

    @classmethod
    def of(cls, file: dict[str, Any], url: str) -> "FileAnswer":
        """Tell a recorded file."""
        return cls(sha256=file["sha256"], size_bytes=file["size"], url=url)


class CheckpointAnswer(BaseModel):
    """A durable state of training."""

    step: int
    attempt: int
    samples_seen: int
    losses: dict[str, float | None] = Field(description="The numbers of its step.")
    quality: dict[str, float | None] | None = Field(
        description="Quality metrics of its step, null where none was measured."
    )
    sha256: str = Field(description="Of the file with everything in it.")
    size_bytes: int
    parts: dict[str, FileAnswer] = Field(description="all, generator (raw weights) and, where one is kept, ema.")
    exports: dict[str, str] = Field(description="Where the generator is in formats of other programs.")
    kept_because: list[str] = Field(
        description="Why it stays: latest, recent (of keep_last), multiple (of keep_every), best (of keep_best), "
        "healthy (to be rolled back to, now or once it is older), wanted (samples are still to be drawn from it), "
        "branch (a fork begins from it). "
        "Empty where the next checkpoint takes its place."
    )
    created_at: Moment

    @classmethod
    def of(
        cls, checkpoint: Checkpoint, *, kept_because: list[str], quality: dict[str, float | None] | None
    ) -> "CheckpointAnswer":
        """Tell a checkpoint."""
        url = f"/jobs/{checkpoint.job_id}/checkpoints/{checkpoint.step}"
        parts = {part: FileAnswer.of(file, f"{url}/file?part={part}") for part, file in checkpoint.files.items()}
        return cls(
            step=checkpoint.step,
            attempt=checkpoint.attempt,
            samples_seen=checkpoint.samples_seen,
            losses=checkpoint.losses,
            quality=quality,
            sha256=parts["all"].sha256,
            size_bytes=parts["all"].size_bytes,
            parts=parts,
            exports={name: f"{url}/exports/{name}" for name in EXPORT_FORMATS},
            kept_because=kept_because,
            created_at=checkpoint.created_at,
        )


class CheckpointPage(PageAnswer[CheckpointAnswer]):
    """Checkpoints, ascending by step."""


class SampleAnswer(BaseModel):
    """A sampling point: what the generator made of the job's fixed latents."""

    step: int
    attempt: int
    count: int
    formats: dict[str, FileAnswer]
    created_at: Moment

    @classmethod
    def of(cls, sample: Sample) -> "SampleAnswer":
        """Tell a sampling point."""
        url = f"/jobs/{sample.job_id}/samples/{sample.step}"
        return cls(
            step=sample.step,
            attempt=sample.attempt,
            count=sample.count,
            formats={name: FileAnswer.of(file, f"{url}?format={name}") for name, file in sample.files.items()},
            created_at=sample.created_at,
        )


class SamplePage(PageAnswer[SampleAnswer]):
    """Sampling points, ascending by step."""
