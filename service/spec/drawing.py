"""Samples that are asked for of a generator: as a client posts it, and checked against what the generator is."""

import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from service.errors import Fault, InvalidInput
from service.spec.conditions import Condition, Where, conditions_on
from service.spec.facts import DatasetFacts, TableColumn
from service.spec.faults import MOST_FAULTS, MOST_UNKNOWN, faults_of, shorten, unknown_name
from service.spec.headers import GeneratorHeader
from service.spec.job import LARGEST_SEED
from service.spec.parts.strict import Strict
from service.spec.tables import CLASS_COLUMN, exported_columns, lies_in_the_plane

MOST_SAMPLES = 10_000
MOST_CONDITIONS = 100

# Of memory, for each number of a sample; measured with the default networks (docs/log.md). Samples are drawn so many at
# once, then lie beside a copy.
DRAWN_AT_ONCE = 256
BYTES_WHILE_DRAWN: dict[str, int] = {"image": 32, "audio": 64}
BYTES_KEPT = 8

Format = Literal["png", "wav", "csv", "npz", "parquet", "zip"]  # what a person would look at comes first
FORMATS: dict[str, tuple[Format, ...]] = {
    "image": ("png", "npz", "zip"),
    "audio": ("png", "wav", "npz", "zip"),
    "table": ("csv", "npz", "parquet"),
    "vector": ("csv", "npz", "parquet"),
}


class SampleSpec(Strict):
    """Which samples of a job's generator are wanted."""

    checkpoint: Literal["latest", "best"] | Annotated[int, Field(ge=0, le=2**53)] = Field(
        "latest", description="A step, `latest` or `best`."
    )
    part: Literal["generator", "ema"] | None = Field(
        None, description="The raw weights or their moving average; the average where one is kept, when not given."
    )
    n: int = Field(64, ge=1, le=MOST_SAMPLES, description="How many.")
    seed: int | None = Field(None, ge=0, le=LARGEST_SEED, description="Of the draws; drawn and told when not given.")
    classes: list[str | int] | None = Field(
        None,
        min_length=1,
        max_length=MOST_SAMPLES,
        description="Names of classes or their places, drawn evenly in this order; n of them are one for each sample.",
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
    format: Format | None = Field(None, description="As the data has it; what a person would look at, when not given.")


@dataclass(frozen=True)
class Restriction:
    """What conditions leave of a generator's rows: only these labels, None for all, and rows that pass these tests."""

    labels: tuple[int, ...] | None = None
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Drawing:
    """What a generator is to draw and to write.

    classes are places of labels, drawn evenly in this order; () leaves them to the data.
    """

    n: int
    seed: int
    format: Format
    classes: tuple[int, ...] = ()
    restriction: Restriction = Restriction()
    truncation: float = 1.0


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


def resolve_sample(posted: SampleSpec, generator: GeneratorHeader, *, memory_bytes: int) -> Drawing:
    """Fill in what is left open and check the rest against the generator; raise InvalidInput with all faults.

    memory_bytes is what may be used to draw.
    """
    faults: list[Fault] = []
    restriction = Restriction()
    try:
        restriction = restrict(posted.where or {}, generator)
    except InvalidInput as error:
        faults += error.faults
    classes = _classes(posted, generator, faults)
    faults += _contradictions(classes, restriction, generator.facts)
    formats = formats_of(generator.facts)
    most = most_samples(generator.facts, memory_bytes)
    if posted.n > most:
        message = f"so many samples of this size need more memory than there is; at most {most:,} fit"
        faults.append(Fault("/n", "too_many", message, {"maximum": most}, posted.n))
    if posted.format not in (None, *formats):
        faults.append(Fault("/format", "format_unavailable", "this data has no such format", [*formats], posted.format))
    if faults:
        raise InvalidInput(faults)
    seed = secrets.randbelow(LARGEST_SEED + 1) if posted.seed is None else posted.seed
    return Drawing(posted.n, seed, posted.format or formats[0], classes, restriction, posted.truncation)


def most_samples(facts: DatasetFacts, memory_bytes: int) -> int:
    """Return how many samples of some data fit into memory at once, at most MOST_SAMPLES and at least 1."""
    if facts.modality not in BYTES_WHILE_DRAWN:
        return MOST_SAMPLES  # rows are small
    drawn, numbers = BYTES_WHILE_DRAWN[facts.modality], memory_bytes / math.prod(facts.shape)
    few, many = numbers / (drawn + BYTES_KEPT), (numbers - drawn * DRAWN_AT_ONCE) / BYTES_KEPT
    return max(1, min(MOST_SAMPLES, int(few if few <= DRAWN_AT_ONCE else many)))


def formats_of(facts: DatasetFacts) -> tuple[Format, ...]:
    """Return the formats that samples of some data have, what a person would look at first."""
    formats = FORMATS[facts.modality]
    return ("png", *formats) if lies_in_the_plane(facts) else formats


def restrict(where: Where, generator: GeneratorHeader) -> Restriction:
    """Return what conditions leave of the rows of a generator; raise InvalidInput naming what there is not."""
    if not where:
        return Restriction()
    facts = generator.facts
    if facts.modality not in ("table", "vector"):
        message = "samples of this data have no columns; ask for classes"
        raise InvalidInput([Fault("/where", "no_columns", message)])
    columns = exported_columns(facts)
    named = [*columns]
    if generator.conditional and not facts.label_column:
        named.append(TableColumn(CLASS_COLUMN, "category", facts.labels))
    conditions = conditions_on(named, where)
    told = facts.label_column or CLASS_COLUMN
    on_labels = [each for each in conditions if generator.conditional and named[each.column].name == told]
    return Restriction(
        labels=_labels_left(named[on_labels[0].column], on_labels) if on_labels else None,
        conditions=tuple(each for each in conditions if each.column < len(columns)),
    )


def _labels_left(column: TableColumn, conditions: Sequence[Condition]) -> tuple[int, ...]:
    numbers = [float(place) for place in range(len(column.categories))] + [math.nan] * column.missing
    return tuple(
        label for label, number in enumerate(numbers) if all(condition.holds_for(number) for condition in conditions)
    )


def _classes(posted: SampleSpec, generator: GeneratorHeader, faults: list[Fault]) -> tuple[int, ...]:
    """Return the places of the labels that are asked for; what is wrong with them joins the faults."""
    wanted = posted.classes or []
    labels = generator.facts.labels if generator.conditional else ()
    if wanted and not labels:
        message = "this generator was trained without classes, so none can be asked for"
        faults.append(Fault("/classes", "not_conditional", message))
        return ()
    if len(wanted) > posted.n:
        message = f"names more classes than n, which is {posted.n}"
        faults.append(Fault("/classes", "too_long", message, {"maximum": posted.n}, len(wanted)))
    # A place may be a text, as a command line has it.
    known = {str(place): place for place in range(len(labels))} | {name: place for place, name in enumerate(labels)}
    places = [known.get(str(name)) if isinstance(name, str) else name for name in wanted]
    unknown = [number for number, place in enumerate(places) if place is None or not 0 <= place < len(labels)]
    faults += [
        unknown_name("class", f"/classes/{number}", str(wanted[number]), labels) for number in unknown[:MOST_UNKNOWN]
    ]
    return () if unknown else tuple(place for place in places if place is not None)


def _contradictions(classes: Sequence[int], restriction: Restriction, facts: DatasetFacts) -> list[Fault]:
    left = {*range(len(facts.labels))} if restriction.labels is None else {*restriction.labels}
    excluded = [(number, facts.labels[label]) for number, label in enumerate(classes) if label not in left]
    message = "no row of this class meets the condition on its column"
    return [
        Fault(f"/classes/{number}", "contradiction", message, got=shorten(name))
        for number, name in excluded[:MOST_FAULTS]
    ]
