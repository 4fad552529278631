"""What many segments say together stands in rows of its own, and says what the segments do."""

import numpy as np
import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from service.history.query import Query
from service.history.reading import Reading, read_history
from service.history.segments import Values
from service.models import Overview
from service.store import history
from service.store.jobs import delete_job
from service.store.transitions import request_cancel
from tests.building import add_job

COLUMNS = ("value", "d_loss", "g_loss")
STEPS = 2 * 65_536 + 20_000
STORED = [(512, 8192), (4096, 65_536)]  # steps of a cell, and of a row


@pytest.fixture(autouse=True)
def short_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a row end after 16 cells, so that a history of some thousand steps has many."""
    monkeypatch.setattr(history, "CELLS_IN_ROW", 16)


def noise(steps: int) -> Values:
    rows = np.random.default_rng(5).standard_normal((steps, len(COLUMNS))).astype(np.float32)
    rows[17_000:17_900, 1] = np.nan
    rows[8_192:24_576, 2] = np.nan  # at least one whole row, wherever the history begins
    return rows


def append(session: Session, job_id: str, first_step: int, rows: Values, *, flush: int = 30_000) -> None:
    for start in range(0, len(rows), flush):
        part = rows[start : start + flush]
        history.append_rows(session, job_id, attempt=1, first_step=first_step + start, columns=COLUMNS, rows=part)


def read(session: Session, job_id: str, *, columns: tuple[str, ...] = COLUMNS, **asked: int) -> Reading:
    return read_history(session, history.stretches_of(session, job_id), Query(columns=columns, **asked))


def stored(session: Session, job_id: str) -> list[tuple[object, ...]]:
    mine = select(Overview).where(Overview.job_id == job_id).order_by(Overview.cell_steps, Overview.first_step)
    return [(row.cell_steps, row.first_step, row.last_step, row.stats, row.cells) for row in session.scalars(mine)]


def places(first_step: int, last_step: int) -> list[tuple[int, int, int]]:
    """Which rows a history has: those that lie within it, whole."""
    return [
        (cell_steps, end - row_steps + 1, end)
        for cell_steps, row_steps in STORED
        for end in range(row_steps, last_step + 1, row_steps)
        if end - row_steps + 1 >= first_step
    ]


@pytest.mark.parametrize("first_step", [1, 5000])
def test_charts_and_summaries_say_what_they_would_without_rows_of_their_own(session: Session, first_step: int) -> None:
    job_id = add_job(session).id
    last = first_step + STEPS - 1
    append(session, job_id, first_step, noise(STEPS))
    asked = [
        {"max_points": max_points, **bounds}
        for max_points in (8, 20, 60, 400)
        for bounds in ({}, {"from_step": 8000}, {"from_step": 70_000, "to_step": last - 3}, {"to_step": 70_000})
    ]

    thinned = [read(session, job_id, **each) for each in asked] + [
        read(session, job_id, columns=("g_loss",), **asked[0])
    ]
    summary = history.summary(session, job_id)

    assert [row[:3] for row in stored(session, job_id)] == places(first_step, last)
    session.execute(delete(Overview))
    without = [read(session, job_id, **each) for each in asked] + [
        read(session, job_id, columns=("g_loss",), **asked[0])
    ]
    for one, other in zip(thinned, without, strict=True):
        assert one.steps.tobytes() == other.steps.tobytes()
        assert one.values.tobytes() == other.values.tobytes()
    for column, whole in history.summary(session, job_id).items():
        assert summary[column].mean == pytest.approx(whole.mean, rel=1e-9)
        assert (summary[column].min, summary[column].max) == (whole.min, whole.max)
        assert (summary[column].last, summary[column].count, summary[column].nonfinite) == (
            whole.last,
            whole.count,
            whole.nonfinite,
        )


def test_a_chart_of_a_long_run_reads_next_to_no_segment(session: Session) -> None:
    job_id = add_job(session).id
    append(session, job_id, 1, noise(STEPS))

    runs = [*history._cover(session, job_id, "overview", 4096, 4097, STEPS)]

    assert [(run.cell_steps, len(run.contents)) for run in runs] == [
        (64, 1),  # to the end of the first row of cells of 512
        (512, 7),  # to the end of the first of 4096
        (4096, 1),
        (512, 2),
        (64, 1),  # the last one is read by its rows
    ]


def test_steps_that_a_resume_takes_back_are_in_no_row(session: Session) -> None:
    resumed, unbroken = add_job(session).id, add_job(session).id
    rows = noise(STEPS)
    append(session, resumed, 1, rows[:100_000])
    append(session, resumed, 100_001, rows[:40_000])

    history.cut_after(session, resumed, 98_500)
    assert [row[:3] for row in stored(session, resumed)] == places(1, 98_500)
    append(session, resumed, 98_501, rows[98_500:], flush=999)

    append(session, unbroken, 1, rows)
    assert stored(session, resumed) == stored(session, unbroken)


def test_the_rows_of_a_job_go_with_it(session: Session) -> None:
    job = add_job(session)
    append(session, job.id, 1, noise(10_000))
    assert len(stored(session, job.id)) == 1
    request_cancel(session, job)
    session.flush()

    delete_job(session, job)

    assert session.scalar(select(func.count()).select_from(Overview)) == 0
