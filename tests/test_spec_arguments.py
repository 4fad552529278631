"""Specs and conditions from the command line."""

import json
from pathlib import Path

import click
import pytest

from ganymede.condition_arguments import read_conditions
from ganymede.spec_arguments import read_spec


def test_assignments_make_a_nested_spec() -> None:
    spec = read_spec(["dataset=digits", "loop.max_steps=300", "model.conditional=true", "name=3 rings"])

    assert spec == {
        "dataset": "digits",
        "loop": {"max_steps": 300},
        "model": {"conditional": True},
        "name": "3 rings",
    }


def test_later_arguments_win_and_objects_merge(tmp_path: Path) -> None:
    file = tmp_path / "spec.json"
    file.write_text(json.dumps({"dataset": "ring", "loop": {"variant": "fused", "max_steps": 10}}))

    assert read_spec([str(file), "loop.max_steps=20"])["loop"] == {"variant": "fused", "max_steps": 20}
    assert read_spec(["loop.max_steps=20", str(file)])["loop"] == {"variant": "fused", "max_steps": 10}


def test_a_value_may_hold_an_equals_sign() -> None:
    assert read_spec(["name=a=b"]) == {"name": "a=b"}


def test_what_is_no_number_of_json_is_a_text() -> None:
    assert read_spec(["name=NaN", "seed=1e999"]) == {"name": "NaN", "seed": "1e999"}


@pytest.mark.parametrize("content", ["[1]", "{", "digits", '{"seed": NaN}'])
def test_a_file_that_holds_no_object_of_json_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "spec.json"
    file.write_text(content)

    with pytest.raises(click.BadParameter, match=r"spec\.json"):
        read_spec([str(file)])


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (["contract=permanent"], {"contract": "permanent"}),
        (["contract=permanent", "contract=null"], {"contract": ["permanent", None]}),
        (["age=30..40", "mood=7"], {"age": {"minimum": 30, "maximum": 40}, "mood": 7}),
        (["age=..40.5"], {"age": {"maximum": 40.5}}),
        (["joined=2020-01-01.."], {"joined": {"minimum": "2020-01-01"}}),
        (['name="a..b"'], {"name": "a..b"}),
        (["owner=true", "note=a=b"], {"owner": True, "note": "a=b"}),
    ],
)
def test_conditions_are_values_choices_and_ranges(arguments: list[str], where: dict[str, object]) -> None:
    assert read_conditions(arguments) == where


def test_several_ranges_of_a_column_are_refused() -> None:
    with pytest.raises(click.BadParameter, match="age is named several times; it may have one range"):
        read_conditions(["age=20..30", "age=50..60"])


def test_a_condition_without_an_equals_sign_is_refused() -> None:
    with pytest.raises(click.BadParameter, match="COLUMN=VALUE"):
        read_conditions(["age"])
