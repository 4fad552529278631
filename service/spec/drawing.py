"""Samples that are asked for of a generator: as a client posts it, and as it is carried out."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from service.errors import InvalidInput
from service.spec.conditions import Condition, Where
from service.spec.facts import DatasetFacts
from service.spec.faults import faults_of
from service.spec.job import LARGEST_SEED
from service.spec.parts.strict import Strict
from service.spec.tables import lies_in_the_plane

MOST_SAMPLES = 10_000
MOST_CONDITIONS = 100
SMALL_N = 256  # samples that most generators draw in moments
LARGEST_LATENT = 1_000.0  # a standard normal is never beyond 10
USUAL_KEYS = 8
USUAL_FPS = 20.0

Mode = Literal["random", "interpolate"]
Format = Literal["png", "wav", "csv", "npz", "parquet", "zip"]  # what a person would look at comes first
DrawnFormat = Literal[Format, "gif"]  # the last of paths alone
FORMATS: dict[str, tuple[Format, ...]] = {
    "image": ("png", "npz", "zip"),
    "audio": ("png", "wav", "npz", "zip"),
    "table": ("csv", "npz", "parquet"),
    "vector": ("csv", "npz", "parquet"),
}

Latent = Annotated[float, Field(ge=-LARGEST_LATENT, le=LARGEST_LATENT)]


class SampleSpec(Strict):
    """Which samples of a job's generator are wanted."""

    checkpoint: Literal["latest", "best"] | Annotated[int, Field(ge=0, le=2**53)] = Field(
        "latest", description="A step, `latest` or `best`."
    )
    part: Literal["generator", "ema"] | None = Field(
        None, description="The raw weights or their moving average; the average where one is kept, when not given."
    )
    mode: Mode = Field(
        "random",
        description="`random`: each sample by itself. `interpolate`: frames of a path through the latents of a few.",
    )
    n: int = Field(64, ge=1, le=MOST_SAMPLES, description="How many; of a path, all its frames.")
    seed: int | None = Field(None, ge=0, le=LARGEST_SEED, description="Of the draws; drawn and told when not given.")
    keys: int | None = Field(
        None,
        ge=2,
        le=MOST_SAMPLES,
        description="Samples that a path leads through: those of `random` with this for its n. "
        f"{USUAL_KEYS} when not given, or n where that is less.",
    )
    closed: bool = Field(True, description="Whether a path leads from its last key back to its first.")
    latents: list[list[Latent]] | None = Field(
        None,
        min_length=1,
        max_length=MOST_SAMPLES,
        description="The normal latents of each sample, `model.latent_dim` numbers, in place of n; of each key of a "
        "path, in place of keys. What else a generator draws follows from the seed, which is 0 when not given.",
    )
    classes: list[str | int] | None = Field(
        None,
        min_length=1,
        max_length=MOST_SAMPLES,
        description="Names of classes or their places, drawn evenly in this order; n of them are one for each sample. "
        "Of a path the keys have them, and a frame is of the class of the nearer key.",
    )
    where: Where | None = Field(
        None,
        min_length=1,
        max_length=MOST_CONDITIONS,
        description="By column of a table or of vectors: a value, a list of values, null for a missing cell, or "
        '{"minimum": ..., "maximum": ...}. Only rows that meet all of it are drawn.',
    )
    truncation: float = Field(
        1.0, gt=0, le=1, description="Factor of the normal latents: smaller is more typical and less varied."
    )
    format: DrawnFormat | None = Field(
        None,
        description="As the data has it; what a person would look at, when not given: of a path of pictures a gif.",
    )
    fps: float | None = Field(None, ge=1, le=50, description=f"Frames a second of a gif; {USUAL_FPS:g} when not given.")


@dataclass(frozen=True)
class Restriction:
    """What conditions leave of a generator's rows: only these labels, None for all, and rows that pass these tests."""

    labels: tuple[int, ...] | None = None
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Walk:
    """A path through the latents of so many samples, one after the other and, if it is closed, back to the first."""

    keys: int
    closed: bool = True


@dataclass(frozen=True)
class Drawing:
    """What a generator is to draw and to write.

    classes are places of labels, drawn evenly in this order; () leaves them to the data. latents are the normal ones of
    each sample or key; () leaves them to the seed. fps is that of a gif.
    """

    n: int
    seed: int
    format: DrawnFormat
    classes: tuple[int, ...] = ()
    restriction: Restriction = Restriction()
    truncation: float = 1.0
    walk: Walk | None = None
    latents: tuple[tuple[float, ...], ...] = ()
    fps: float | None = None

    @property
    def is_small(self) -> bool:
        """Whether it takes moments: a few samples, of which none is searched for, and no gif."""
        return self.n <= SMALL_N and not self.restriction.conditions and self.format != "gif"

    @property
    def points(self) -> int:
        """How many samples are drawn: those that are written, or the keys of a path."""
        return self.n if self.walk is None else self.walk.keys


_DRAWINGS = TypeAdapter(Drawing)


def drawing_to_json(drawing: Drawing) -> dict[str, Any]:
    """Return a drawing as JSON can hold it: equal drawings, equal JSON."""
    written: dict[str, Any] = _DRAWINGS.dump_python(drawing, mode="json")
    return written


def drawing_from_json(written: object) -> Drawing:
    """Read what drawing_to_json wrote; raises pydantic.ValidationError."""
    return _DRAWINGS.validate_python(written)


def parse_sample(body: object) -> SampleSpec:
    """Return a wish for samples; raise InvalidInput with all its faults."""
    try:
        return SampleSpec.model_validate(body)
    except ValidationError as error:
        raise InvalidInput(faults_of(error, SampleSpec)) from None


def formats_of(facts: DatasetFacts) -> tuple[Format, ...]:
    """Return the formats that samples of some data have, what a person would look at first."""
    formats = FORMATS[facts.modality]
    return ("png", *formats) if lies_in_the_plane(facts) else formats


def drawn_formats_of(facts: DatasetFacts, mode: Mode) -> tuple[DrawnFormat, ...]:
    """Return the same for samples that are asked for: a path of pictures moves."""
    formats = formats_of(facts)
    return ("gif", *formats) if mode == "interpolate" and facts.modality == "image" else formats
