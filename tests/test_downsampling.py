"""Thinned readings of a history: what they always keep, that spikes stay visible, that only the query decides."""

import json
import math
from collections.abc import Iterator
from itertools import pairwise
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from service.errors import InvalidInput
from service.history.extremes import OVERVIEW_STEPS
from service.history.formats import columnar, to_json
from service.history.query import FEWEST_POINTS, Downsample, Query, resolve_columns
from service.history.reading import Reading, read_history
from service.history.segments import Values
from service.history.thinning import _triangle_corners
from service.store import history
from service.tables import Table

COLUMNS = ("value", "d_loss", "g_loss")
METHODS: tuple[Downsample, ...] = ("minmax", "lttb", "mean")
JOB = "job_1"


def noise(steps: int, seed: int = 0) -> Values:
    return np.random.default_rng(seed).standard_normal((steps, len(COLUMNS))).astype(np.float32)


def store(rows: Values, *, first_step: int = 1, flush: int = 4096) -> Session:
    """Return a session on a new database that holds the rows of one job, flushed in pieces."""
    engine = create_engine("sqlite://")
    Table.metadata.create_all(engine)
    session = Session(engine)
    for at in range(0, len(rows), flush):
        history.append_rows(
            session, JOB, attempt=1, first_step=first_step + at, columns=COLUMNS, rows=rows[at : at + flush]
        )
    return session


def read(session: Session, **asked: Any) -> Reading:
    return read_history(session, history.stretches_of(session, JOB), resolve_columns(Query(**asked), COLUMNS))


@pytest.fixture(scope="module")
def long_run() -> Iterator[tuple[Session, Values]]:
    """A run long enough for overviews."""
    rows = noise(40_000)
    with store(rows) as session:
        yield session, rows


def test_without_max_points_every_step_is_there() -> None:
    rows = noise(5000)
    with store(rows) as session:
        reading = read(session)

    assert reading.steps.tolist() == list(range(1, 5001))
    assert reading.values.T.tobytes() == rows.tobytes()
    assert (reading.method, reading.is_exact, reading.total_steps) == ("none", True, 5000)


@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_fits_is_not_thinned(method: Downsample) -> None:
    with store(noise(100)) as session:
        reading = read(session, max_points=100, downsample=method)

    assert (reading.method, reading.is_exact, len(reading.steps)) == ("none", True, 100)


@pytest.mark.parametrize(
    ("asked", "steps"),
    [
        ({"from_step": 8}, [8, 9, 10]),
        ({"to_step": 2}, [1, 2]),
        ({"after_step": 8}, [9, 10]),
        ({"after_step": 0, "to_step": 1}, [1]),
        ({"from_step": 3, "after_step": 4, "to_step": 6}, [5, 6]),
        ({"after_step": 10}, []),
        ({"from_step": 99}, []),
    ],
)
def test_bounds_select_steps(asked: dict[str, int], steps: list[int]) -> None:
    with store(noise(10)) as session:
        reading = read(session, **asked)

    assert reading.steps.tolist() == steps
    assert reading.total_steps == len(steps)


def test_a_poller_that_follows_next_after_step_sees_each_step_once() -> None:
    rows, seen, position = noise(30), [], 0
    with store(rows[:0]) as session:
        for at in range(0, 30, 10):
            history.append_rows(session, JOB, attempt=1, first_step=at + 1, columns=COLUMNS, rows=rows[at : at + 10])
            for _ in range(2):
                reading = read(session, after_step=position)
                seen += reading.steps.tolist()
                position = reading.next_after_step

    assert seen == list(range(1, 31))


def test_a_job_without_steps_reads_as_empty() -> None:
    with store(noise(0)) as session:
        reading = read(session, max_points=10)

    assert (reading.steps.size, reading.values.shape) == (0, (3, 0))
    assert (reading.total_steps, reading.next_after_step) == (0, 0)


any_run = st.tuples(st.integers(5, 3000), st.integers(1, 200), st.integers(0, 5))


@settings(max_examples=60, deadline=None)
@given(any_run, st.integers(FEWEST_POINTS, 400), st.sampled_from(METHODS))
def test_every_method_keeps_the_ends_the_extremes_and_the_limit(
    run: tuple[int, int, int], max_points: int, method: Downsample
) -> None:
    count, first_step, seed = run
    rows = noise(count, seed)[:, :1]
    with store(np.repeat(rows, 3, axis=1), first_step=first_step) as session:
        reading = read(session, columns=("d_loss",), max_points=max_points, downsample=method)

    values, steps = reading.values[0], reading.steps
    assert len(steps) <= max_points
    assert (np.diff(steps) > 0).all()
    assert (steps[0], steps[-1]) == (first_step, first_step + count - 1)
    assert (values[0], values[-1]) == (rows[0, 0], rows[-1, 0])
    shown = dict(zip(steps.tolist(), values.tolist(), strict=True))
    for extreme in (rows.argmin(), rows.argmax()):
        assert shown[first_step + int(extreme)] == rows[extreme, 0]


@settings(max_examples=60, deadline=None)
@given(any_run, st.integers(FEWEST_POINTS, 400))
def test_minmax_of_several_columns_keeps_the_extremes_of_each(run: tuple[int, int, int], max_points: int) -> None:
    count, first_step, seed = run
    rows = noise(count, seed)
    with store(rows, first_step=first_step) as session:
        reading = read(session, max_points=max_points)

    assert len(reading.steps) <= max_points
    assert (np.diff(reading.steps) > 0).all()
    assert reading.values.min(axis=1).tolist() == rows.min(axis=0).tolist()
    assert reading.values.max(axis=1).tolist() == rows.max(axis=0).tolist()
    assert reading.values[:, 0].tolist() == rows[0].tolist()
    assert reading.values[:, -1].tolist() == rows[-1].tolist()


@settings(max_examples=60, deadline=None)
@given(any_run, st.integers(8, 400))
def test_lttb_answers_with_rows_that_were_recorded(run: tuple[int, int, int], max_points: int) -> None:
    count, first_step, seed = run
    rows = noise(count, seed)
    with store(rows, first_step=first_step) as session:
        reading = read(session, max_points=max_points, downsample="lttb")

    assert len(reading.steps) <= max_points
    assert reading.values.T.tolist() == rows[reading.steps - first_step].tolist()


def largest_triangles_one_by_one(series: list[float], edges: list[int]) -> list[int]:
    """LTTB by its definition: the area of each triangle from its three corners."""
    chosen = [0]
    for i, (start, end) in enumerate(pairwise(edges)):
        following = range(end, edges[i + 2] if i + 2 < len(edges) else len(series))
        ax, ay = chosen[-1], series[chosen[-1]]
        cx, cy = fmean(following), fmean(series[x] for x in following)
        areas = {x: abs(ax * (series[x] - cy) + x * (cy - ay) + cx * (ay - series[x])) / 2 for x in range(start, end)}
        chosen.append(max(areas, key=lambda x: areas[x]))
    return [*chosen, len(series) - 1]


@pytest.mark.parametrize(("count", "buckets"), [(30, 1), (100, 10), (101, 7), (1000, 50)])
def test_lttb_chooses_the_largest_triangle_of_each_bucket(count: int, buckets: int) -> None:
    series = noise(count)[:, 0].astype(np.float64)
    edges = np.linspace(1, count - 1, buckets + 1).astype(int).tolist()

    corners = _triangle_corners(series, buckets + 2)

    assert corners.tolist() == largest_triangles_one_by_one(series.tolist(), edges)


def test_lttb_of_a_corner_finds_the_corner() -> None:
    rows = np.repeat(np.abs(np.arange(101, dtype=np.float32) - 37)[:, None], 3, axis=1)
    with store(rows) as session:
        reading = read(session, max_points=6, downsample="lttb")

    assert 38 in reading.steps


def test_means_stand_at_the_middle_of_their_buckets() -> None:
    ramp = np.repeat(np.arange(1, 103, dtype=np.float32)[:, None], 3, axis=1)
    with store(ramp) as session:
        reading = read(session, columns=("value",), max_points=12, downsample="mean")

    assert reading.steps.tolist() == [1, 6, 16, 26, 36, 46, 56, 66, 76, 86, 96, 102]
    assert reading.values[0].tolist() == [1, *(10 * i + 6.5 for i in range(10)), 102]


@pytest.mark.parametrize("spike_step", [2, 19_999, 20_000, 39_999])
@pytest.mark.parametrize("max_points", [100, 2000])
def test_a_spike_of_one_step_stays_visible_in_every_column(spike_step: int, max_points: int) -> None:
    rows = noise(40_000)
    rows[spike_step - 1] = [1e6, -1e6, 1e6]
    with store(rows) as session:
        together = read(session, max_points=max_points)
        alone = read(session, columns=("d_loss",), max_points=max_points)

    bucket_steps = 2 * 40_000 / max_points
    for column, peak in ((0, 1e6), (1, -1e6), (2, 1e6)):
        place = np.flatnonzero(together.values[column] == peak)
        assert place.size == 1
        assert abs(together.steps[place[0]] - spike_step) <= 2 * bucket_steps
    assert alone.values[0, alone.steps == spike_step].tolist() == [-1e6]


@pytest.mark.parametrize("columns", [COLUMNS, ("g_loss",)])
@pytest.mark.parametrize(("first", "last"), [(1, 40_000), (50, 39_990), (4097, 20_000), (4100, 36_864), (4096, 36_865)])
def test_an_overview_says_what_the_rows_would(
    long_run: tuple[Session, Values], columns: tuple[str, ...], first: int, last: int
) -> None:
    session, rows = long_run
    asked = {"columns": columns, "from_step": first, "to_step": last, "max_points": 60}
    assert last - first > 2 * OVERVIEW_STEPS * 30

    thinned = read(session, **asked)

    chosen = rows[first : last - 1, [COLUMNS.index(column) for column in columns]]
    inner = thinned.values[:, 1:-1]
    assert inner.min(axis=1).tolist() == chosen.min(axis=0).tolist()
    assert inner.max(axis=1).tolist() == chosen.max(axis=0).tolist()
    if len(columns) == 1:
        assert inner[0].tolist() == rows[thinned.steps[1:-1] - 1, COLUMNS.index(columns[0])].tolist()
    else:
        edges = thinned.steps[1:-1].reshape(-1, 2)
        assert (edges[1:, 0] == edges[:-1, 1] + 1).all()
        for (start, end), pair in zip(edges, inner.reshape(len(columns), -1, 2).transpose(1, 2, 0), strict=True):
            bucket = rows[start - 1 : end]
            assert pair.min(axis=0).tolist() == bucket.min(axis=0).tolist()
            assert pair.max(axis=0).tolist() == bucket.max(axis=0).tolist()
            in_order = bucket.argmin(axis=0) <= bucket.argmax(axis=0)
            assert (pair[0] <= pair[1]).tolist() == in_order.tolist()


@pytest.mark.parametrize("method", METHODS)
def test_the_cuts_of_flushes_leave_no_trace(method: Downsample) -> None:
    rows = noise(9000)
    answers = []
    for flush in (1000, 4096, 9000):
        with store(rows, flush=flush) as session:
            reading = read(session, max_points=50, downsample=method)
            answers.append((reading.steps.tobytes(), reading.values.tobytes()))

    assert len(set(answers)) == 1


@pytest.mark.parametrize("method", [*METHODS, "none"])
def test_every_reading_can_be_written_as_json(method: Downsample) -> None:
    max_points = None if method == "none" else 50
    with store(noise(1000)) as session:
        reading = read(session, max_points=max_points, downsample=method)

    columns = json.loads(to_json(columnar(reading)))["columns"]

    assert columns["step"] == reading.steps.tolist()
    assert np.array([columns[name] for name in COLUMNS], np.float32).tolist() == reading.values.tolist()


@pytest.mark.parametrize("method", METHODS)
def test_non_finite_values_neither_win_nor_spread(method: Downsample) -> None:
    rows = noise(1000)
    rows[100:110] = np.nan
    rows[500] = np.inf
    with store(rows) as session:
        reading = read(session, columns=("value",), max_points=100, downsample=method)

    finite = rows[np.isfinite(rows[:, 0]), 0]
    shown = reading.values[0][np.isfinite(reading.values[0])]
    assert (shown.min(), shown.max()) == (finite.min(), finite.max())
    assert len(shown) >= len(reading.steps) - 2


def test_a_column_without_any_finite_value_can_be_thinned() -> None:
    with store(np.full((1000, 3), np.nan, np.float32)) as session:
        readings = [read(session, max_points=20, downsample=method) for method in METHODS]

    assert all(len(reading.steps) <= 20 for reading in readings)
    assert all(math.isnan(value) for reading in readings for value in reading.values.ravel())


@pytest.mark.parametrize(
    ("asked", "pointer", "code"),
    [
        ({"columns": ("d_loss", "loss")}, "columns", "unknown_column"),
        ({"columns": ("step",)}, "columns", "missing"),
        ({"from_step": 9, "to_step": 8}, "from_step", "empty_range"),
        ({"max_points": 3}, "max_points", "out_of_range"),
        ({"max_points": 50, "downsample": "none"}, "downsample", "contradiction"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(asked: dict[str, Any], pointer: str, code: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        resolve_columns(Query(**asked), COLUMNS)

    assert [(fault.pointer, fault.code) for fault in refusal.value.faults] == [(pointer, code)]


def test_an_unknown_column_is_refused_with_the_list_and_all_other_faults() -> None:
    with pytest.raises(InvalidInput) as refusal:
        resolve_columns(Query(columns=("loss",), max_points=1), COLUMNS)

    unknown, too_few = refusal.value.faults
    assert unknown.allowed == ["step", *COLUMNS]
    assert too_few.pointer == "max_points"


def test_columns_come_once_each_in_the_order_asked() -> None:
    resolved = resolve_columns(Query(columns=("g_loss", "step", "value", "g_loss")), COLUMNS)

    assert resolved.columns == ("g_loss", "value")
