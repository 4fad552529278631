"""What is known of a data set before it is opened, and of a network before it is built. No torch, no numpy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from service.spec.parts.model import ModelSpec
from service.spec.parts.strict import Strict

Modality = Literal["vector", "image", "table", "audio"]


ColumnKind = Literal["continuous", "integer", "category", "boolean", "date"]

DAY_FORMAT = "%Y-%m-%d"
MANY_COORDINATES = 10  # of a vector: from here on their differences in spread stay, and D reads no waves of each


@dataclass(frozen=True)
class TableColumn:
    """A column of a mixed table, whose rows are float64 numbers (N, C).

    A category is stored as its index into categories, a boolean as 0 or 1, and its categories are how the two are
    spelled; a missing cell is NaN. A date is days since 1970-01-01 where date_format is DAY_FORMAT, seconds since then
    otherwise. decimals is how many digits after the point the data has, None where they vary without end. minimum and
    maximum are those of the numbers as stored.
    """

    name: str
    kind: ColumnKind
    categories: tuple[str, ...] = ()
    decimals: int | None = None
    missing: bool = False
    minimum: float = 0.0
    maximum: float = 0.0
    date_format: str = ""


@dataclass(frozen=True)
class DatasetFacts:
    """A data set as the spec sees it.

    shape is that of one sample as the networks see it: (D,) for vectors and tables, (C, H, W) for images, (1, frames)
    for audio. white is the value of the brightest pixel of an image, sample_rate the frames a second of audio, table
    the columns of an uploaded table. Where the labels are one of those columns, it stays among them and label_column
    names it. label_counts are the rows of each label, for data that is shown in its own proportions; () shows each
    label alike. components and kept_power are those of short sounds, None where they were not measured: of how many
    principal components they are mixtures in effect, and which share of the power of sounds that had no part in it the
    first MOST_COMPONENTS keep.
    """

    name: str
    modality: Modality
    shape: tuple[int, ...]
    count: int
    sha256: str
    labels: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    description: str = ""
    white: int = 255
    sample_rate: int | None = None
    table: tuple[TableColumn, ...] = ()
    label_column: str = ""
    label_counts: tuple[int, ...] = ()
    components: float | None = None
    kept_power: float | None = None


_FACTS = TypeAdapter(DatasetFacts)


def facts_to_json(facts: DatasetFacts) -> dict[str, Any]:
    """Return facts as JSON can hold them."""
    written: dict[str, Any] = _FACTS.dump_python(facts, mode="json")
    return written


def facts_from_json(written: object) -> DatasetFacts:
    """Read what facts_to_json wrote; raises pydantic.ValidationError."""
    return _FACTS.validate_python(written)


@dataclass(frozen=True)
class BuiltinDataset:
    """A data set that needs no upload: its parameters, and its facts for given parameters."""

    name: str
    modality: Modality
    description: str
    params: type[Strict]
    facts: Callable[[Any], DatasetFacts]


@dataclass(frozen=True)
class NetworkSize:
    """Numbers held by one network: trained parameters, buffers, and activations of one sample's forward pass."""

    parameters: int
    buffers: int
    activations_per_sample: int


@dataclass(frozen=True)
class ModelSize:
    """The sizes of both networks."""

    generator: NetworkSize
    discriminator: NetworkSize


@dataclass(frozen=True)
class Architecture:
    """A pair of networks by name: the data it takes, the size it has. The torch half is in worker.gan.networks."""

    name: str
    modalities: tuple[Modality, ...]
    description: str
    size: Callable[[ModelSpec, DatasetFacts], ModelSize]
    reconstructs: bool = False
    """Whether its discriminator can draw what it has seen, for objective.reconstruction."""
