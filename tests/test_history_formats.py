"""What a reading looks like as JSON, JSON lines, CSV and npz: strict, short, exact, the same each time."""

import csv
import io
import json
import math
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from service.history.formats import columnar, envelope, to_csv, to_json, to_ndjson, to_npz
from service.history.reading import Reading
from service.history.segments import Values

any_values = arrays.arrays(np.float32, st.tuples(st.just(2), st.integers(0, 50)), elements=st.floats(width=32))


def a_reading(values: Any, *, first_step: int = 1) -> Reading:
    values = np.asarray(values, np.float32)
    steps = np.arange(first_step, first_step + values.shape[1])
    return Reading(("value", "d_loss"), steps, values, "none", len(steps), first_step + len(steps) - 1)


def parse_strictly(text: bytes) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def as_float32(numbers: list[float | None]) -> Values:
    return np.array([np.nan if number is None else number for number in numbers], np.float32)


@given(any_values, st.integers(1, 10**9))
def test_json_is_strict_and_holds_every_value(values: Values, first_step: int) -> None:
    answer = parse_strictly(to_json(columnar(a_reading(values, first_step=first_step))))

    assert answer["columns"]["step"] == list(range(first_step, first_step + values.shape[1]))
    for column, expected in zip(("value", "d_loss"), values, strict=True):
        numbers = answer["columns"][column]
        for step, word in answer["nonfinite"].get(column, {}).items():
            assert numbers[int(step) - first_step] is None
            numbers[int(step) - first_step] = float(word)
        np.testing.assert_array_equal(np.array(numbers, np.float32), expected)


def test_json_writes_floats_short_and_names_what_is_not_finite() -> None:
    reading = a_reading([[1.3862944, math.nan, -math.inf, 0.1], [1e-8, 1e30, math.inf, -0.0]], first_step=122)

    text = to_json(columnar(reading))

    assert text == (
        b'{"columns":{"step":[122,123,124,125],'
        b'"value":[1.3862944,null,null,0.1],"d_loss":[1e-8,1e+30,null,-0.0]},'
        b'"nonfinite":{"value":{"123":"NaN","124":"-Infinity"},"d_loss":{"124":"Infinity"}}}'
    )


def test_the_envelope_tells_how_to_read_the_numbers() -> None:
    reading = a_reading([[1, 2], [3, 4]])

    answer = parse_strictly(
        to_json(
            envelope(
                "job_1",
                reading,
                references={"value": -1.3863, "g_loss": 0.6931},
                reduction="sum_of_means",
                eval_point={"value": "pre_d", "d_loss": "pre_d", "g_loss": "post_d"},
            )
        )
    )

    assert answer == {
        "job": "job_1",
        "columns": {"step": [1, 2], "value": [1.0, 2.0], "d_loss": [3.0, 4.0]},
        "nonfinite": {},
        "references": {"value": -1.3863},
        "reduction": "sum_of_means",
        "eval_point": {"value": "pre_d", "d_loss": "pre_d"},
        "sampling": {"method": "none", "exact": True, "row": "step", "total_steps": 2, "returned": 2},
        "next_after_step": 2,
    }


@given(any_values, st.integers(1, 10**9))
def test_json_lines_hold_one_step_each(values: Values, first_step: int) -> None:
    text = b"".join(to_ndjson(a_reading(values, first_step=first_step)))

    lines = [parse_strictly(line) for line in text.splitlines()]
    assert [list(line) for line in lines] == [["step", "value", "d_loss"]] * values.shape[1]
    assert [line["step"] for line in lines] == list(range(first_step, first_step + values.shape[1]))
    finite = np.where(np.isfinite(values), values, np.nan)
    for column, expected in zip(("value", "d_loss"), finite, strict=True):
        np.testing.assert_array_equal(as_float32([line[column] for line in lines]), expected)


@given(any_values, st.integers(1, 10**9))
def test_csv_holds_every_value_also_the_non_finite(values: Values, first_step: int) -> None:
    text = b"".join(to_csv(a_reading(values, first_step=first_step))).decode()

    header, *lines = csv.reader(io.StringIO(text))
    assert header == ["step", "value", "d_loss"]
    assert [int(line[0]) for line in lines] == list(range(first_step, first_step + values.shape[1]))
    back = np.array([line[1:] for line in lines], np.float32).reshape(-1, 2)
    np.testing.assert_array_equal(back.T, values)


def test_csv_spells_non_finite_values_as_numpy_does() -> None:
    text = b"".join(to_csv(a_reading([[math.nan, 1.5], [math.inf, -math.inf]])))

    assert text == b"step,value,d_loss\n1,nan,inf\n2,1.5,-inf\n"


@pytest.mark.parametrize("write", [to_csv, to_ndjson])
def test_text_of_a_long_run_has_each_step_once(write: Any) -> None:
    values = np.arange(100_000, dtype=np.float32).reshape(2, -1)

    pieces = list(write(a_reading(values)))

    assert len(pieces) > 3
    lines = b"".join(pieces).splitlines()
    assert [line for line in lines if b"49999" in line.split(b",")[0]] == [lines[-2]]
    assert len(lines) == 50_000 + (write is to_csv)


@given(any_values)
def test_npz_comes_back_bit_for_bit(values: Values) -> None:
    reading = a_reading(values)

    with np.load(io.BytesIO(to_npz(reading)), allow_pickle=False) as back:
        assert list(back) == ["step", "value", "d_loss"]
        assert (back["step"].dtype, back["value"].dtype) == (np.int64, np.float32)
        assert back["step"].tolist() == reading.steps.tolist()
        assert back["value"].tobytes() == values[0].tobytes()
        assert back["d_loss"].tobytes() == values[1].tobytes()


def test_npz_entries_carry_a_fixed_date() -> None:
    with zipfile.ZipFile(io.BytesIO(to_npz(a_reading([[1], [2]])))) as archive:
        dates = {entry.date_time for entry in archive.infolist()}

    assert dates == {(1980, 1, 1, 0, 0, 0)}
