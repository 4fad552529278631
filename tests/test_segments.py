"""The codec of loss segments: lossless values, absolute cuts, statistics and overviews of the finite values."""

import math
import struct
from decimal import Decimal

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from service.history.extremes import (
    OVERVIEW_STEPS,
    merge,
    overview_of,
    pack_overview,
    pairs_of,
    unpack_overviews,
)
from service.history.segments import (
    SEGMENT_STEPS,
    Block,
    Values,
    block_of,
    join,
    pack,
    short,
    split,
    statistics,
    unpack,
)
from service.history.summaries import Extreme, summarise

any_values = arrays.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 100)), elements=st.floats(width=32))
any_first_step = st.integers(1, 3 * SEGMENT_STEPS)


@given(any_values)
def test_packed_values_come_back_bit_for_bit(values: Values) -> None:
    columns = values.shape[0]

    back = unpack(pack(values), columns=columns, chosen=range(columns))

    assert back.tobytes() == values.tobytes()


@given(any_values, st.data())
def test_chosen_columns_come_back_in_the_order_chosen(values: Values, data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, values.shape[0] - 1), min_size=1, unique=True))

    back = unpack(pack(values), columns=values.shape[0], chosen=chosen)

    assert back.tobytes() == values[chosen].tobytes()


def test_columns_that_were_packed_as_one_come_back() -> None:
    values = np.array([[1, np.nan, 3], [4, 5, np.inf]], np.float32)
    planes = values.view(np.uint8).reshape(2, 3, 4).transpose(0, 2, 1)

    back = unpack(zstandard.compress(planes.tobytes()), columns=2, chosen=[1, 0])

    assert back.tobytes() == values[::-1].tobytes()


def test_rows_of_a_recorder_become_columns() -> None:
    block = block_of(5, [[1, 10], [2, 20], [3, 30]])

    assert block.values.tolist() == [[1, 2, 3], [10, 20, 30]]
    assert block.steps.tolist() == [5, 6, 7]


@given(any_first_step, st.integers(1, 3 * SEGMENT_STEPS))
def test_a_block_is_split_only_after_multiples_of_the_segment_length(first_step: int, count: int) -> None:
    block = Block(first_step, np.arange(count, dtype=np.float32)[None])

    parts = list(split(block))

    assert all(part.last_step % SEGMENT_STEPS == 0 for part in parts[:-1])
    assert all(part.values.shape[1] <= SEGMENT_STEPS for part in parts)
    assert [part.first_step for part in parts[1:]] == [part.last_step + 1 for part in parts[:-1]]
    assert join(parts).values.tolist() == block.values.tolist()


@pytest.mark.parametrize(
    ("first", "last", "steps"),
    [(1, 99, [5, 6, 7]), (6, 6, [6]), (7, 99, [7]), (1, 5, [5]), (8, 99, []), (1, 4, [])],
)
def test_a_cut_keeps_the_steps_within_its_bounds(first: int, last: int, steps: list[int]) -> None:
    block = Block(5, np.array([[5, 6, 7]], np.float32))

    cut = block.cut(first, last)

    assert cut.values[0].tolist() == steps
    assert cut.steps.tolist() == steps


@given(any_values, any_first_step)
def test_statistics_are_those_of_the_finite_values(values: Values, first_step: int) -> None:
    described = statistics(Block(first_step, values), [str(row) for row in range(values.shape[0])])

    for row, column in enumerate(values):
        stats = described[str(row)]
        finite = [(float(str(value)), first_step + i) for i, value in enumerate(column) if np.isfinite(value)]
        assert stats["nonfinite"] == column.size - len(finite)
        assert stats["last"] == short(column[-1])
        if finite:
            assert (stats["min"], stats["min_step"]) == min(finite)
            assert (stats["max"], -stats["max_step"]) == max((value, -step) for value, step in finite)
            assert stats["sum"] == pytest.approx(math.fsum(np.float32(v).item() for v, _ in finite), rel=1e-6, abs=1e30)
        else:
            assert (stats["min"], stats["max"]) == (None, None)


def digits(value: float) -> int:
    """Return how many digits of a number are written, zeros at either end aside."""
    return len(Decimal(repr(value)).normalize().as_tuple().digits)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_short_floats_have_the_fewest_decimals_that_round_trip(value: float) -> None:
    shortened = short(np.float32(value))

    assert shortened is not None
    assert struct.pack("<f", shortened) == struct.pack("<f", value)
    assert digits(shortened) <= digits(value)


def test_a_summary_joins_segments_and_keeps_the_first_step_of_an_extreme() -> None:
    first = statistics(Block(1, np.array([[3, 1, np.nan]], np.float32)), ["a"])["a"]
    second = statistics(Block(4, np.array([[1, 8, 2]], np.float32)), ["a"])["a"]

    summary = summarise([first, second], 6)

    assert (summary.min, summary.max) == (Extreme(1.0, 2), Extreme(8.0, 5))
    assert (summary.mean, summary.last, summary.count, summary.nonfinite) == (3.0, 2.0, 6, 1)


def test_a_summary_of_no_finite_value_has_no_extremes_and_no_mean() -> None:
    segment = statistics(Block(1, np.array([[np.nan, np.inf]], np.float32)), ["a"])["a"]

    summary = summarise([segment], 2)

    assert (summary.min, summary.max, summary.mean, summary.last) == (None, None, None, None)
    assert summary.nonfinite == 2


def plain_pair(steps: list[int], values: list[float]) -> list[tuple[int, float]]:
    """The two extremes of a run by the definition, on plain lists."""
    finite = [i for i, value in enumerate(values) if math.isfinite(value)] or [0]
    lowest = min(finite, key=lambda i: values[i])
    highest = max(finite, key=lambda i: values[i])
    return [(steps[i], values[i]) for i in sorted((lowest, highest))]


@given(any_values, any_first_step)
def test_an_overview_holds_the_extremes_of_absolute_cells(values: Values, first_step: int) -> None:
    block = Block(first_step, values)

    overview = overview_of(block)

    for row, column in enumerate(values):
        cells: dict[int, list[int]] = {}
        for i in range(column.size):
            cells.setdefault((first_step + i - 1) // OVERVIEW_STEPS, []).append(i)
        expected = [plain_pair([first_step + i for i in cell], column[cell].tolist()) for cell in cells.values()]
        got = [list(zip(*pair, strict=True)) for pair in zip(overview.steps[row], overview.values[row], strict=True)]
        np.testing.assert_equal(got, expected)


@given(any_values, any_first_step, st.data())
def test_packed_overviews_of_segments_come_back_as_one(values: Values, first_step: int, data: st.DataObject) -> None:
    block, cut = Block(first_step, values), data.draw(st.integers(1, 3)) * OVERVIEW_STEPS
    segments = [block.cut(first_step, cut), block.cut(cut + 1, cut + 64), block.cut(cut + 65, block.last_step)]
    segments = [segment for segment in segments if segment.values.size]
    columns = values.shape[0]
    chosen = data.draw(st.permutations(range(columns)))[: data.draw(st.integers(1, columns))]

    packed, first_steps = zip(*((pack_overview(overview_of(part)), part.first_step) for part in segments), strict=True)
    back = unpack_overviews(packed, first_steps, columns=columns, chosen=chosen)

    overview = overview_of(block)
    assert back.steps.tolist() == overview.steps[chosen].tolist()
    assert back.values.tobytes() == overview.values[chosen].tobytes()


@given(any_values, st.integers(1, 5), st.integers(1, 5))
def test_pairs_of_pairs_are_the_pairs_of_the_whole(values: Values, inner: int, outer: int) -> None:
    block = Block(1, values)

    merged = merge(pairs_of(block, inner), outer)

    whole = pairs_of(block, inner * outer)
    assert merged.steps.tolist() == whole.steps.tolist()
    assert merged.values.tobytes() == whole.values.tobytes()
