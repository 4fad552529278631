"""The stored history against a plain list: each step once, whatever the order of flushes, cuts and resumes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from service.history.segments import SEGMENT_STEPS, Values
from service.history.summaries import Extreme
from service.models import Segment
from service.store import history
from tests.building import add_job

COLUMNS = ("value", "d_loss")


def rows_of(first_step: int, count: int, salt: float = 0.0) -> Values:
    """Rows whose values tell their step, so that a row in the wrong place shows."""
    steps = np.arange(first_step, first_step + count, dtype=np.float32)
    return np.stack([steps, -steps - np.float32(salt)], axis=1)


def append(session: Session, job_id: str, first_step: int, rows: Any, attempt: int = 1) -> None:
    history.append_rows(session, job_id, attempt=attempt, first_step=first_step, columns=COLUMNS, rows=rows)


def stored(session: Session, job_id: str) -> list[tuple[Any, ...]]:
    """Every stored byte of a job, but for the attempt that wrote it."""
    segments = session.scalars(select(Segment).where(Segment.job_id == job_id).order_by(Segment.first_step))
    return [(s.first_step, s.last_step, s.columns, s.stats, s.payload, s.overview) for s in segments]


def read_all(session: Session, job_id: str) -> list[tuple[Any, ...]]:
    recorded = history.span(session, job_id)
    if recorded is None:
        return []
    block = history.read_rows(session, job_id, columns=COLUMNS, first=recorded[0], last=recorded[1])
    return list(zip(block.steps.tolist(), *block.values.tolist(), strict=True))


def test_a_job_without_steps_has_no_span_and_an_empty_summary(session: Session) -> None:
    job_id = add_job(session).id

    assert history.span(session, job_id) is None
    assert history.last_step(session, job_id) is None
    assert history.summary(session, job_id) == {}
    with pytest.raises(LookupError):
        history.read_rows(session, job_id, columns=COLUMNS, first=1, last=10)


def test_rows_of_several_flushes_come_back_as_one_run(session: Session) -> None:
    job_id = add_job(session).id

    append(session, job_id, 1, rows_of(1, 3))
    append(session, job_id, 4, rows_of(4, 2))

    assert read_all(session, job_id) == [(step, step, -step) for step in range(1, 6)]
    assert len(stored(session, job_id)) == 1


def test_a_fork_continues_the_numbers_of_its_parent(session: Session) -> None:
    job_id = add_job(session).id

    append(session, job_id, 501, rows_of(501, SEGMENT_STEPS))

    assert history.span(session, job_id) == (501, 500 + SEGMENT_STEPS)
    assert [segment[:2] for segment in stored(session, job_id)] == [(501, 4096), (4097, 4596)]


@pytest.mark.parametrize("first_step", [1, 3, 5])
def test_gaps_and_overlaps_are_refused(session: Session, first_step: int) -> None:
    job_id = add_job(session).id
    append(session, job_id, 1, rows_of(1, 3))

    with pytest.raises(ValueError, match="does not follow the last recorded step 3"):
        append(session, job_id, first_step, rows_of(first_step, 1))


def test_other_columns_than_the_recorded_ones_are_refused(session: Session) -> None:
    job_id = add_job(session).id
    append(session, job_id, 1, rows_of(1, 3))

    with pytest.raises(ValueError, match="columns"):
        history.append_rows(session, job_id, attempt=1, first_step=4, columns=["value"], rows=[[1.0]])


def test_jobs_do_not_see_each_other(session: Session) -> None:
    one, other = add_job(session).id, add_job(session).id
    append(session, one, 1, rows_of(1, 3))
    append(session, other, 1, rows_of(1, 9))

    history.cut_after(session, other, 2)

    assert history.last_step(session, one) == 3
    assert history.last_step(session, other) == 2


def test_a_segment_carries_the_attempt_that_wrote_it_last(session: Session) -> None:
    job_id = add_job(session).id
    append(session, job_id, 1, rows_of(1, SEGMENT_STEPS), attempt=1)
    append(session, job_id, SEGMENT_STEPS + 1, rows_of(SEGMENT_STEPS + 1, 10), attempt=2)

    attempts = session.scalars(select(Segment.attempt).order_by(Segment.first_step)).all()

    assert attempts == [1, 2]


def test_read_rows_takes_the_asked_columns_and_steps_only(session: Session) -> None:
    job_id = add_job(session).id
    append(session, job_id, 1, rows_of(1, 2 * SEGMENT_STEPS))

    block = history.read_rows(session, job_id, columns=["d_loss"], first=SEGMENT_STEPS, last=SEGMENT_STEPS + 1)

    assert block.first_step == SEGMENT_STEPS
    assert block.values.tolist() == [[-SEGMENT_STEPS, -SEGMENT_STEPS - 1]]


def test_a_summary_spans_segments_and_resumes(session: Session) -> None:
    job_id = add_job(session).id
    append(session, job_id, 1, rows_of(1, SEGMENT_STEPS + 100))
    history.cut_after(session, job_id, SEGMENT_STEPS + 4)

    summary = history.summary(session, job_id)["d_loss"]

    assert (summary.last, summary.count, summary.nonfinite) == (-4100.0, 4100, 0)
    assert (summary.min, summary.max) == (Extreme(-4100.0, 4100), Extreme(-1.0, 1))
    assert summary.mean == pytest.approx(-2050.5)


# A flush of so many steps, or a resume from a checkpoint so many steps back.
deeds = st.lists(
    st.one_of(
        st.tuples(st.just("flush"), st.integers(1, SEGMENT_STEPS + 1500)),
        st.tuples(st.just("resume"), st.integers(0, SEGMENT_STEPS + 1500)),
    ),
    max_size=8,
)


@settings(max_examples=40, deadline=None)
@given(deeds, st.sampled_from([1, 501, SEGMENT_STEPS + 1]))
def test_any_course_of_flushes_and_resumes_equals_one_uninterrupted_append(
    deeds: list[tuple[str, int]], first_step: int
) -> None:
    engine = create_engine("sqlite://")
    Segment.metadata.create_all(engine)
    model: list[list[float]] = []
    job_id, attempt = "job_1", 1
    with Session(engine) as session:
        for deed, size in deeds:
            if deed == "flush":
                rows = rows_of(first_step + len(model), size, salt=attempt)
                append(session, job_id, first_step + len(model), rows, attempt)
                model.extend(rows.tolist())
            else:
                attempt += 1
                del model[max(0, len(model) - size) :]
                history.cut_after(session, job_id, first_step + len(model) - 1)
            session.commit()

        assert read_all(session, job_id) == [(first_step + i, *row) for i, row in enumerate(model)]
        if model:
            append(session, "job_2", first_step, model)
            assert stored(session, job_id) == stored(session, "job_2")
    engine.dispose()
