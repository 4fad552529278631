"""What the preparation of an upload is given, what it answers, and how it refuses."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from service.spec.facts import DatasetFacts, Modality

MIB = 2**20
GIB = 2**30

TAKEN = "a zip of PNG or JPEG pictures or of WAV sounds, npz or npy, CSV, Parquet, WAV, or IDX"

Preview = Literal["preview.png", "preview.csv"]
ROWS, LABELS = "rows.npy", "labels.npy"
PREVIEW_PNG: Final = "preview.png"
PREVIEW_CSV: Final = "preview.csv"
SMALLEST = 8  # samples; fewer teach nothing
MOST_CLASSES = 1_000
MOST_TEXT_SHOWN = 60  # characters of somebody else's text in a sentence of ours


class BadUpload(Exception):
    """An upload is refused; str() says what was wrong, where, and what would be right."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Remark:
    """Something about an upload that its owner should know."""

    code: str
    message: str


@dataclass(frozen=True)
class Options:
    """How the owner wants an upload to be read. A rate or length of None is that of the sounds themselves."""

    modality: Modality | None = None
    label: str | None = None  # the column that holds the classes
    sample_rate: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Upload:
    """A file as it was sent, and the names that its data set goes by."""

    path: Path
    name: str
    sha256: str
    options: Options = field(default_factory=Options)


@dataclass(frozen=True)
class Limits:
    """What an upload may be. Sizes are in bytes, and those of entries are as unpacked."""

    entries: int = 200_000
    entry_bytes: int = 512 * MIB
    prepared_bytes: int = 16 * GIB
    ratio: int = 200
    ratio_free_bytes: int = MIB  # unpacked for nothing: small files compress as well as they like
    pixels: int = 16_000_000
    columns: int = 10_000
    field_characters: int = 65_536
    line_characters: int = 16 * MIB
    row_group_bytes: int = 256 * MIB
    frames: int = 2**20  # of one prepared sound


@dataclass(frozen=True)
class Prepared:
    """A data set made ready: its files lie in the directory that was given, under the names above."""

    facts: DatasetFacts
    remarks: tuple[Remark, ...]
    preview: Preview


def shown(text: object) -> str:
    """Return somebody else's text fit for a sentence: escaped, short, in quotes."""
    escaped = str(text).encode("unicode_escape").decode("ascii")
    return f'"{escaped if len(escaped) <= MOST_TEXT_SHOWN else escaped[: MOST_TEXT_SHOWN - 3] + "..."}"'
