"""What a client may say about an upload, and how the spec sees an uploaded data set. The records are in the store."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from service.spec.datasets import canonical_json
from service.spec.facts import DatasetFacts, Modality

ID_PREFIX = "ds_"


class UploadOptions(BaseModel):
    """How an upload is to be read. Values come as text, from a form."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    label: str | None = Field(
        None,
        min_length=1,
        max_length=256,
        description="Column of a table that holds the classes; the last of 2 to 20 words or truths when not given.",
    )
    sample_rate: int | None = Field(
        None,
        ge=1_000,
        le=192_000,
        description="Frames a second that sounds are converted to; their own, but 16,000 at most, when not given.",
    )
    seconds: float | None = Field(
        None, gt=0, le=600, description="Length that sounds are cut or padded to; by the sounds when not given."
    )


@dataclass(frozen=True)
class Upload:
    """An uploaded data set as the spec sees it; facts once it is ready."""

    state: str
    facts: DatasetFacts | None


FindUpload = Callable[[str], Upload | None]


def no_uploads(_: str) -> Upload | None:
    """Find nothing: where only built-in data sets are to be had."""
    return None


def identity_of(sha256: str, modality: Modality | None, options: UploadOptions) -> str:
    """Return what makes two uploads of an owner one data set: the same bytes, to be read in the same way."""
    read_as = {"sha256": sha256, "modality": modality, "options": options.model_dump(exclude_none=True)}
    return hashlib.sha256(canonical_json(read_as)).hexdigest()
