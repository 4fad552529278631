"""Rows leave the loop in order, once each, whatever thread takes them and whenever."""

from threading import Event, Thread

import numpy as np
import pytest
import torch

from worker.gan.recorder import ROWS_PER_BLOCK, Recorder, first_non_finite


def make_recorder() -> Recorder:
    return Recorder(("d_loss", "g_loss"), ("step_ms",), device=torch.device("cpu"))


def write_rows(recorder: Recorder, count: int, *, start: int = 1) -> None:
    for step in range(start, start + count):
        recorder.write(torch.tensor([step, -step], dtype=torch.float64), [step / 2])


def test_rows_come_out_as_they_went_in() -> None:
    recorder = make_recorder()
    write_rows(recorder, 3)

    first_step, rows = recorder.take()

    assert recorder.columns == ("d_loss", "g_loss", "step_ms")
    assert first_step == 1
    assert rows.dtype == np.float32
    assert rows.tolist() == [[1, -1, 0.5], [2, -2, 1], [3, -3, 1.5]]


def test_each_row_is_taken_once() -> None:
    recorder = make_recorder()
    write_rows(recorder, 3)
    recorder.take()
    write_rows(recorder, 2, start=4)

    first_step, rows = recorder.take()

    assert (first_step, rows[:, 0].tolist()) == (4, [4, 5])


def test_nothing_written_is_no_rows_from_the_next_step_on() -> None:
    recorder = make_recorder()
    write_rows(recorder, 3)
    recorder.take()

    first_step, rows = recorder.take()

    assert first_step == 4
    assert rows.shape == (0, 3)


def test_rows_taken_do_not_change_when_the_loop_goes_on() -> None:
    recorder = make_recorder()
    write_rows(recorder, 2)
    _, rows = recorder.take()

    write_rows(recorder, 2, start=3)

    assert rows[:, 0].tolist() == [1, 2]


@pytest.mark.parametrize("count", [ROWS_PER_BLOCK - 1, ROWS_PER_BLOCK, 2 * ROWS_PER_BLOCK + 1])
def test_a_late_taker_loses_nothing(count: int) -> None:
    recorder = make_recorder()
    write_rows(recorder, count)

    first_step, rows = recorder.take()

    assert first_step == 1
    assert rows[:, 0].tolist() == list(range(1, count + 1))


def test_a_restart_forgets_what_was_not_taken() -> None:
    recorder = make_recorder()
    write_rows(recorder, 5)

    recorder.restart(first_step=41)
    write_rows(recorder, 1, start=41)

    first_step, rows = recorder.take()
    assert (first_step, rows[:, 0].tolist()) == (41, [41])


def test_a_thread_that_takes_while_the_loop_writes_gets_every_row_once_in_order() -> None:
    recorder, done, taken = make_recorder(), Event(), []

    def keep_taking() -> None:
        while not done.is_set():
            taken.append(recorder.take())
        taken.append(recorder.take())

    taker = Thread(target=keep_taking)
    taker.start()
    write_rows(recorder, 20_000)
    done.set()
    taker.join()

    steps = [first_step + row for first_step, rows in taken for row in range(len(rows))]
    written = np.concatenate([rows[:, 0] for _, rows in taken])
    assert steps == written.tolist() == list(range(1, 20_001))


def test_the_first_number_that_is_not_finite_is_named_by_step_and_column() -> None:
    rows = np.zeros((4, 3), dtype=np.float32)
    rows[2, 2], rows[2, 1], rows[3, 0] = np.nan, np.inf, np.nan

    assert first_non_finite(("d_loss", "g_loss", "step_ms"), rows, 101) == (103, "g_loss")


@pytest.mark.parametrize("count", [0, 3])
def test_finite_rows_name_nothing(count: int) -> None:
    assert first_non_finite(("d_loss",), np.ones((count, 1), dtype=np.float32), 1) is None
