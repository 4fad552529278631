"""What is asked of a generator, checked against what the generator is: all that is wrong with it at once."""

import math
import secrets
from collections.abc import Sequence
from dataclasses import replace

from service.errors import Fault, InvalidInput
from service.spec.conditions import Condition, Where, conditions_on
from service.spec.drawing import (
    MOST_SAMPLES,
    USUAL_FPS,
    USUAL_KEYS,
    Drawing,
    DrawnFormat,
    Restriction,
    SampleSpec,
    Walk,
    drawn_formats_of,
)
from service.spec.facts import DatasetFacts, TableColumn
from service.spec.faults import MOST_FAULTS, MOST_UNKNOWN, shorten, unknown_name
from service.spec.headers import GeneratorHeader
from service.spec.job import LARGEST_SEED
from service.spec.tables import CLASS_COLUMN, exported_columns

MOST_FRAMES = 1_000  # of a gif, which lies in memory while it is made

# Of memory, for each number of a sample; measured with the default networks (docs/log.md). Samples are drawn so many at
# once, then lie beside a copy.
DRAWN_AT_ONCE = 256
BYTES_WHILE_DRAWN: dict[str, int] = {"image": 32, "audio": 64}
BYTES_KEPT = 8


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
    formats = drawn_formats_of(generator.facts, posted.mode)
    drawing = Drawing(
        _count(posted),
        _seed(posted),
        posted.format or formats[0],
        restriction=restriction,
        truncation=posted.truncation,
        walk=_walk(posted) if posted.mode == "interpolate" else None,
        latents=tuple(map(tuple, posted.latents or ())),
    )
    classes = _classes(posted, drawing, generator, faults)
    faults += _contradictions(classes, restriction, generator.facts)
    faults += _faults_of_latents(posted, drawing, generator.latent_dim)
    faults += _faults_of_path(posted, drawing)
    faults += _faults_of_file(posted, drawing, most_samples(generator.facts, memory_bytes), formats)
    if faults:
        raise InvalidInput(faults)
    fps = (posted.fps or USUAL_FPS) if drawing.format == "gif" else None
    return replace(drawing, classes=classes, fps=fps)


def _count(posted: SampleSpec) -> int:
    """Return how many samples are wanted: as many as latents, unless these are the keys of a path."""
    if posted.latents and posted.mode == "random" and "n" not in posted.model_fields_set:
        return len(posted.latents)
    return posted.n


def _seed(posted: SampleSpec) -> int:
    """Return the seed; with latents given there is mostly nothing left to draw, so that none is drawn for it."""
    if posted.seed is not None:
        return posted.seed
    return 0 if posted.latents else secrets.randbelow(LARGEST_SEED + 1)


def _walk(posted: SampleSpec) -> Walk:
    keys = len(posted.latents) if posted.latents else posted.keys or min(USUAL_KEYS, posted.n)
    return Walk(keys, posted.closed)


def _faults_of_latents(posted: SampleSpec, drawing: Drawing, width: int) -> list[Fault]:
    if not drawing.latents:
        return []
    given, takes = len(drawing.latents), f"this generator takes {width:,} normal latents for a sample"
    misfits = [(number, len(latent)) for number, latent in enumerate(drawing.latents) if len(latent) != width]
    faults = [Fault(f"/latents/{number}", "wrong_width", takes, width, got) for number, got in misfits[:MOST_FAULTS]]
    if drawing.points != given:
        faults.append(
            Fault("/n", "contradiction", "with latents given, n is how many they are, or left out", given, drawing.n)
        )
    if drawing.walk and posted.keys not in (None, given):
        faults.append(
            Fault(
                "/keys",
                "contradiction",
                "with latents given, keys is how many they are, or left out",
                given,
                posted.keys,
            )
        )
    if posted.where and not drawing.walk:
        faults.append(Fault("/where", "contradiction", "latents that are given are not chosen by what comes of them"))
    return faults


def _faults_of_path(posted: SampleSpec, drawing: Drawing) -> list[Fault]:
    if drawing.walk is None:
        message, given = 'only of mode "interpolate"', {"keys": posted.keys, "closed": None if posted.closed else False}
        return [Fault(f"/{name}", "no_path", message, got=got) for name, got in given.items() if got is not None]
    faults, keys = [], drawing.walk.keys
    if keys < 2:
        pointer, least = "/latents" if drawing.latents else "/n", {"minimum": 2}
        faults.append(Fault(pointer, "too_short", "a path leads through at least 2 samples", least, keys))
    if keys > drawing.n:
        pointer, message = (
            "/latents" if drawing.latents else "/keys",
            f"n is {drawing.n:,}, and a path has no more keys",
        )
        faults.append(Fault(pointer, "too_long", message, {"maximum": drawing.n}, keys))
    if posted.where:
        faults.append(Fault("/where", "contradiction", "the frames of a path are not chosen; name classes instead"))
    return faults


def _faults_of_file(posted: SampleSpec, drawing: Drawing, most: int, formats: Sequence[DrawnFormat]) -> list[Fault]:
    """Return what is wrong with the file that is asked for; most is how many samples memory holds."""
    faults, n, form = [], drawing.n, drawing.format
    if n > most:
        message = f"so many samples of this size need more memory than there is; at most {most:,} fit"
        faults.append(Fault("/n", "too_many", message, {"maximum": most}, n))
    elif form == "gif" and n > MOST_FRAMES:
        message = f"a gif has at most {MOST_FRAMES:,} frames; a zip may have more"
        faults.append(Fault("/n", "too_many", message, {"maximum": MOST_FRAMES}, n))
    if form not in formats:
        faults.append(Fault("/format", "format_unavailable", "this data has no such format", [*formats], form))
    if posted.fps is not None and form != "gif":
        faults.append(Fault("/fps", "no_frames", f"a {form} does not move", got=posted.fps))
    return faults


def most_samples(facts: DatasetFacts, memory_bytes: int) -> int:
    """Return how many samples of some data fit into memory at once, at most MOST_SAMPLES and at least 1."""
    if facts.modality not in BYTES_WHILE_DRAWN:
        return MOST_SAMPLES  # rows are small
    drawn, numbers = BYTES_WHILE_DRAWN[facts.modality], memory_bytes / math.prod(facts.shape)
    few, many = numbers / (drawn + BYTES_KEPT), (numbers - drawn * DRAWN_AT_ONCE) / BYTES_KEPT
    return max(1, min(MOST_SAMPLES, int(few if few <= DRAWN_AT_ONCE else many)))


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


def _classes(posted: SampleSpec, drawing: Drawing, generator: GeneratorHeader, faults: list[Fault]) -> tuple[int, ...]:
    """Return the places of the labels that are asked for; what is wrong with them joins the faults."""
    wanted = posted.classes or []
    labels = generator.facts.labels if generator.conditional else ()
    if wanted and not labels:
        message = "this generator was trained without classes, so none can be asked for"
        faults.append(Fault("/classes", "not_conditional", message))
        return ()
    if len(wanted) > drawing.points:
        message = f"names more classes than {'keys' if drawing.walk else 'n'}, which is {drawing.points}"
        faults.append(Fault("/classes", "too_long", message, {"maximum": drawing.points}, len(wanted)))
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
