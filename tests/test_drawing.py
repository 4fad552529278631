"""What may be asked of a generator: classes, conditions on columns, formats, and how a wrong wish is told."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from service.errors import Fault, InvalidInput
from service.spec.conditions import Condition
from service.spec.datasets import DIGITS, SURVEY, TONES, WINE
from service.spec.drawing import Drawing, Walk, drawing_from_json, drawing_to_json, parse_sample
from service.spec.facts import DAY_FORMAT, DatasetFacts, TableColumn
from service.spec.faults import MOST_NAMES, MOST_UNKNOWN
from service.spec.headers import GeneratorHeader
from service.spec.wishes import most_samples, resolve_sample

PLACES = {column.name: place for place, column in enumerate(SURVEY.table)}
MANY = tuple(f"label {number:04d} {'x' * 60_000}" for number in range(1_000))
SPELLED = (
    TableColumn("target", "boolean", ("0.0", "1.0")),
    TableColumn("told", "category", ("False", "maybe", "true")),
    TableColumn("grade", "category", ("1", "1.0", "2.50", "none")),
    TableColumn("founded", "date", minimum=-719_162, maximum=0, date_format=DAY_FORMAT),
    TableColumn("tag", "category", MANY),
)


def drawn(facts: DatasetFacts = SURVEY, *, conditional: bool = True, **wish: Any) -> Drawing:
    header = GeneratorHeader(facts, conditional, latent_dim=2)
    return resolve_sample(parse_sample(wish), header, memory_bytes=2 * 2**30)


def faults_in(facts: DatasetFacts = SURVEY, *, conditional: bool = True, **wish: Any) -> dict[str, Fault]:
    with pytest.raises(InvalidInput) as refusal:
        drawn(facts, conditional=conditional, **wish)
    return {fault.pointer: fault for fault in refusal.value.faults}


def condition(wanted: Any, column: str = "age") -> Condition:
    [found] = drawn(where={column: wanted}, conditional=False).restriction.conditions
    assert found.column == PLACES[column]
    return found


def test_what_is_left_open_is_filled_in_and_the_seed_is_drawn() -> None:
    first, second = drawn(), drawn()

    assert (first.n, first.format, first.classes, first.truncation) == (64, "csv", (), 1.0)
    assert first.seed != second.seed
    assert drawn(DIGITS).format == "png"


def test_a_drawing_survives_json() -> None:
    drawing = drawn(n=7, seed=1, classes=["yes"], where={"age": {"minimum": 30}, "contract": None}, truncation=0.5)

    path = drawn(DIGITS, mode="interpolate", latents=[[0.1, -2], [3, 4.5]], closed=False, classes=["3"], fps=12)

    assert [drawing_from_json(drawing_to_json(each)) for each in (drawing, path)] == [drawing, path]


def test_a_path_leads_through_as_many_keys_as_are_asked_for_or_given() -> None:
    usual, short = drawn(DIGITS, mode="interpolate"), drawn(WINE, mode="interpolate", n=5)
    given = drawn(DIGITS, mode="interpolate", n=30, latents=[[0, 0], [1, 1], [2, 2]], closed=False, format="png")

    assert (usual.n, usual.walk, usual.format, usual.fps) == (64, Walk(8), "gif", 20)
    assert (short.walk, short.format, short.fps) == (Walk(5), "csv", None)
    assert (given.n, given.walk, given.fps) == (30, Walk(3, closed=False), None)


def test_as_many_samples_are_drawn_as_latents_are_given_always_the_same() -> None:
    first, second = drawn(latents=[[0, 1]] * 3), drawn(latents=[[0, 1]] * 3, n=3)

    assert first == second
    assert (first.n, first.seed, first.latents) == (3, 0, ((0.0, 1.0),) * 3)
    assert drawn(latents=[[0, 1]] * 3, seed=1) != first


@pytest.mark.parametrize(
    ("column", "wanted", "met", "unmet"),
    [
        ("age", {"minimum": 30, "maximum": 40}, [30, 35, 40], [29, 41, math.nan]),
        ("income", {"maximum": 0.5}, [0, 0.5], [0.51]),
        ("age", 30, [30], [31]),
        ("age", [30, 32], [30, 32], [31]),
        ("contract", "self-employed", [2], [0, 1, math.nan]),
        ("contract", ["permanent", None], [0, math.nan], [1, 2]),
        ("contract", None, [math.nan], [0, 1, 2]),
        ("owns_home", True, [1], [0]),
        ("owns_home", "no", [0], [1]),
        ("joined", {"minimum": "1970-01-02", "maximum": "1970-02-01"}, [1, 31], [0, 32, math.nan]),
        ("joined", "1969-12-31", [-1], [0]),
    ],
)
def test_a_condition_holds_for_what_it_says(column: str, wanted: Any, met: list[float], unmet: list[float]) -> None:
    found = condition(wanted, column)

    assert all(found.holds_for(number) for number in met)
    assert not any(found.holds_for(number) for number in unmet)


@pytest.mark.parametrize(
    ("column", "wanted", "word"),
    [
        ("target", 1.0, "1.0"),
        ("target", 1, "1.0"),
        ("target", False, None),
        ("told", True, "true"),
        ("told", False, "False"),
        ("grade", 1, "1"),
        ("grade", 1.0, "1.0"),
        ("grade", 2.5, "2.50"),
        ("grade", "2.5", None),
    ],
)
def test_a_number_or_a_truth_means_the_category_that_spells_it(column: str, wanted: Any, word: str | None) -> None:
    facts = replace(SURVEY, table=SPELLED, label_column="")
    categories = next(each for each in SPELLED if each.name == column).categories

    if word is None:
        assert f"/where/{column}" in faults_in(facts, where={column: wanted}, conditional=False)
    else:
        [found] = drawn(facts, where={column: wanted}, conditional=False).restriction.conditions
        assert categories[int(found.values[0])] == word


def test_the_example_of_an_early_date_is_one_that_is_taken() -> None:
    facts = replace(SURVEY, table=SPELLED, label_column="")
    example = faults_in(facts, where={"founded": "x"}, conditional=False)["/where/founded"].allowed

    [found] = drawn(facts, where={"founded": example}, conditional=False).restriction.conditions

    assert (example, found.values) == ("0001-01-01", (-719_162,))


def test_a_wish_of_many_wrong_names_is_refused_in_few_words() -> None:
    facts = replace(SURVEY, table=SPELLED, label_column="tag", labels=MANY)
    values: dict[str, Any] = {f"column {number}": "x" * 60_000 for number in range(98)}
    where = values | {"tag": [f"lable {number} {'x' * 60_000}" for number in range(1_000)], "told": "y" * 60_000}

    faults = faults_in(facts, where=where, classes=[f"lable {number}" for number in range(5_000)], n=10_000)

    assert len(faults) <= 3 * MOST_UNKNOWN
    assert all(len(fault.allowed) <= MOST_NAMES for fault in faults.values())
    assert len(json.dumps([vars(fault) for fault in faults.values()])) < 1_000_000


def test_more_conditions_or_values_than_anybody_needs_are_refused() -> None:
    assert faults_in(where={f"column {number}": 1 for number in range(101)}).keys() == {"/where"}
    assert faults_in(where={"age": [1] * 1_002}).keys() == {"/where/age"}


@pytest.mark.parametrize(
    ("where", "pointer", "code", "said"),
    [
        ({"age": {"minimum": 200}}, "/where/age", "out_of_range", "18 to 90"),
        ({"age": {"maximum": 17.5}}, "/where/age", "out_of_range", "18 to 90"),
        ({"age": [20, 91]}, "/where/age/1", "out_of_range", "18 to 90"),
        ({"joined": "2030-01-01"}, "/where/joined", "out_of_range", "1960-01-01 to 2024-07-01"),
        ({"age": 20.5}, "/where/age", "not_whole", "whole numbers"),
        ({"age": {"minimum": 20.2, "maximum": 20.8}}, "/where/age", "not_whole", "whole numbers"),
    ],
)
def test_what_no_cell_can_be_is_refused_with_what_they_are(
    where: dict[str, Any], pointer: str, code: str, said: str
) -> None:
    [(found, fault)] = faults_in(where=where).items()

    assert (found, fault.code) == (pointer, code)
    assert said in fault.message
    assert fault.allowed.keys() == {"minimum", "maximum"}


def test_of_numbers_whose_range_is_not_known_any_may_be_asked_for() -> None:
    drawn(WINE, where={"alcohol": {"minimum": 1e6}})

    assert faults_in(WINE, where={"alcohol": "strong"})["/where/alcohol"].allowed is None


def test_all_that_there_is_not_is_told_at_once_with_the_nearest_name() -> None:
    where = {"aeg": 1, "contract": ["permanant", "permanent"], "joined": "1 May", "age": {"minimum": "x"}, "mood": None}
    faults = faults_in(where=where, classes=["yess", 2], format="wav")

    assert faults["/where/aeg"].message == "there is no column 'aeg'; did you mean age?"
    assert faults["/where/contract/0"].message.endswith("did you mean permanent?")
    assert faults["/where/contract/0"].allowed == list(SURVEY.table[PLACES["contract"]].categories)
    assert faults["/where/joined"].allowed == "1960-01-01"
    assert faults["/where/age/minimum"].code == "float_type"
    assert faults["/where/mood"].code == "never_missing"
    assert (faults["/classes/0"].got, faults["/classes/1"].got) == ("yess", "2")
    assert faults["/format"].allowed == ["csv", "npz", "parquet"]


@pytest.mark.parametrize(
    ("wish", "pointer"),
    [
        ({"where": {"age": {"minimum": 40, "maximum": 30}}}, "/where/age"),
        ({"where": {"age": {}}}, "/where/age"),
        ({"where": {"age": []}}, "/where/age"),
        ({"where": {"age": [[1]]}}, "/where/age/0"),
        ({"where": {"age": [1, {"minimum": 1}]}}, "/where/age/1"),
        ({"where": {"age": {"minimum": [1]}}}, "/where/age/minimum"),
        ({"classes": ["9" * 5_000]}, "/classes/0"),
        ({"where": {"contract": {"minimum": "a"}}}, "/where/contract"),
        ({"where": {}}, "/where"),
        ({"n": 2, "classes": ["no", "yes", "no"]}, "/classes"),
        ({"truncation": 0}, "/truncation"),
        ({"n": 10_001}, "/n"),
        ({"checkpoint": "newest"}, "/checkpoint"),
        ({"fromat": "csv"}, "/fromat"),
        ({"latents": [[0, 0], [1]]}, "/latents/1"),
        ({"latents": [[0, math.inf]]}, "/latents/0/1"),
        ({"latents": [[1e4, 0]]}, "/latents/0/0"),
        ({"latents": [[0, 0]], "n": 2}, "/n"),
        ({"latents": [[0, 0]], "where": {"age": 30}}, "/where"),
        ({"mode": "interpolate", "latents": [[0, 0]]}, "/latents"),
        ({"mode": "interpolate", "latents": [[0, 0]] * 3, "n": 2}, "/latents"),
        ({"mode": "interpolate", "latents": [[0, 0]] * 2, "keys": 3}, "/keys"),
        ({"mode": "interpolate", "keys": 9, "n": 8}, "/keys"),
        ({"mode": "interpolate", "keys": 2, "classes": ["no", "yes", "no"]}, "/classes"),
        ({"mode": "interpolate", "where": {"age": 30}}, "/where"),
        ({"mode": "interpolate", "n": 1}, "/n"),
        ({"mode": "interpolate", "format": "gif"}, "/format"),
        ({"keys": 3}, "/keys"),
        ({"closed": False}, "/closed"),
        ({"fps": 10}, "/fps"),
    ],
)
def test_a_wish_that_means_nothing_is_refused_at_its_place(wish: dict[str, Any], pointer: str) -> None:
    assert faults_in(**wish).keys() == {pointer}


def test_pictures_have_no_columns_and_an_unconditional_generator_no_classes() -> None:
    assert faults_in(DIGITS, where={"x": 1})["/where"].code == "no_columns"
    assert faults_in(DIGITS, conditional=False, classes=[1])["/classes"].code == "not_conditional"
    assert faults_in(WINE, conditional=False, where={"class": "class_1"}).keys() == {"/where/class"}


def test_more_samples_than_memory_holds_are_refused_with_how_many_fit() -> None:
    long_sounds = replace(TONES, shape=(1, 65_536))

    fault = faults_in(long_sounds, n=10_000)["/n"]

    assert (fault.code, fault.got) == ("too_many", 10_000)
    assert 256 < fault.allowed["maximum"] < 4_096
    assert drawn(long_sounds, n=fault.allowed["maximum"]).n == fault.allowed["maximum"]


@pytest.mark.parametrize("facts", [DIGITS, TONES, SURVEY, replace(TONES, shape=(1, 16_000))])
def test_of_usual_samples_ten_thousand_fit(facts: DatasetFacts) -> None:
    assert drawn(facts, n=10_000).n == 10_000


def test_of_the_longest_sounds_there_is_memory_for_a_few() -> None:
    assert 10 < most_samples(replace(TONES, shape=(1, 2**20)), 2 * 2**30) < 100


def test_a_gif_has_not_too_many_frames_and_moves() -> None:
    assert faults_in(DIGITS, mode="interpolate", n=1_001)["/n"].allowed == {"maximum": 1_000}
    assert faults_in(DIGITS, format="gif").keys() == {"/format"}


def test_classes_are_named_or_numbered() -> None:
    assert drawn(DIGITS, classes=["7", 3]).classes == (7, 3)


def test_conditions_on_the_class_choose_labels() -> None:
    inside = drawn(where={"owns_home": True, "age": 30}).restriction
    beside = drawn(WINE, where={"class": ["class_0", "class_2"]}).restriction
    untold = drawn(where={"owns_home": True}, conditional=False).restriction

    assert inside.labels == (1,)
    assert [each.column for each in inside.conditions] == [PLACES["owns_home"], PLACES["age"]]
    assert (beside.labels, beside.conditions) == ((0, 2), ())
    assert untold.labels is None


def test_a_class_that_the_conditions_exclude_is_refused() -> None:
    assert faults_in(where={"owns_home": True}, classes=["yes", "no"])["/classes/1"].code == "contradiction"
