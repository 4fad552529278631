"""The parts of a trainer: what is flushed, how an attempt ends, when it has stalled, what a save leaves behind."""

import errno
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from service.blobs import BlobStore, Piece, make_blobs, read_verified
from service.db import DATABASE_AWAY, make_engine, reading, writing
from service.errors import AttemptOver
from service.models import Checkpoint, Job
from service.settings import Settings
from service.spec.plan import Plan
from service.store import history, transitions
from service.store.events import list_events
from service.store.transitions import request_cancel, request_pause
from tests.building import add_job, claim_next
from tests.house import SMALL_JOB
from worker import vigil
from worker.attempt import Attempt, LastWords
from worker.endings import Ending, Why
from worker.exactness import difference, machine_facts
from worker.flusher import Flusher
from worker.gan.data.registry import open_dataset
from worker.gan.diagnosis.doctor import Doctor
from worker.gan.files import read_state
from worker.gan.training import Training
from worker.outbox import Outbox
from worker.patience import GivenUp
from worker.saver import Saver
from worker.stopsign import StopSign
from worker.vigil import Vigil

MAX_STEPS = 20


class Left(Exception):
    """Raised where a trainer would end its process."""


def leave(words: LastWords | None) -> NoReturn:
    raise Left(words)


class Desk:
    """An attempt in this process, with all parts of a trainer but its loop."""

    def __init__(self, engine: Engine, home: Path) -> None:
        with writing(engine) as session:
            loop = {"batch_size": 16, "max_steps": MAX_STEPS}
            add_job(session, **{**SMALL_JOB, "loop": loop, "health": {"on_divergence": "stop"}})
            self.attempt = Attempt.of(claim_next(session), None)
        self.engine, self.blobs = engine, make_blobs(f"file://{home}/blobs")
        self.outbox, self.vigil, self.stopping = Outbox(self.attempt), Vigil(300.0), StopSign()
        settings = Settings(_env_file=None, home=home, flush_s=0.01)
        self.flusher = Flusher(engine, self.outbox, self.vigil, attempt=self.attempt, settings=settings, leave=leave)
        self.spec = self.attempt.spec
        self.training = Training(
            self.spec, open_dataset(self.spec.dataset), device=torch.device("cpu"), dtype=torch.float32
        )
        self.outbox.follow(self.training, Doctor(self.spec, self.training.recorder.columns, has_held_out=False))

    def saver(self, blobs: BlobStore | None = None) -> Saver:
        return Saver(
            blobs or self.blobs,
            self.outbox,
            self.vigil,
            attempt=self.attempt,
            machine={},
            stopping=self.stopping,
        )

    def save_checkpoint(self, blobs: BlobStore | None = None) -> None:
        """Save a checkpoint and wait until it is stored."""
        saver = self.saver(blobs)
        saver.save_checkpoint(self.training)
        saver.finish()

    def take_steps(self, count: int) -> None:
        for _ in range(count):
            self.training.step()

    def ask(self, wish: Callable[[Any, Job], object]) -> None:
        with writing(self.engine) as session:
            wish(session, session.get_one(Job, self.attempt.job_id))

    @property
    def job(self) -> Job:
        with reading(self.engine) as session:
            return session.get_one(Job, self.attempt.job_id)

    @property
    def notes(self) -> list[str]:
        with reading(self.engine) as session:
            rows = list_events(session, self.attempt.job_id).data
        return [row.message for row in rows if row.type == "note"]

    @property
    def recorded(self) -> tuple[int, int] | None:
        with reading(self.engine) as session:
            return history.span(session, self.attempt.job_id)


@pytest.fixture
def desk(engine: Engine, tmp_path: Path) -> Desk:
    return Desk(engine, tmp_path)


def test_a_flush_writes_history_progress_and_beat_together(desk: Desk) -> None:
    beat = desk.job.beat
    desk.take_steps(3)

    desk.flusher._flush(None)

    job = desk.job
    assert desk.recorded == (1, 3)
    assert (job.step, job.samples_seen) == (3, 48)
    assert job.last_losses is not None
    assert set(job.last_losses) == {"step", "d_loss", "g_loss", "value", "total_loss"}
    assert job.beat > beat


def test_a_flush_without_new_steps_still_beats(desk: Desk) -> None:
    beat = desk.job.beat

    desk.flusher._flush(None)

    assert desk.job.beat > beat
    assert desk.recorded is None


def test_an_attempt_that_is_over_writes_nothing(desk: Desk) -> None:
    with writing(desk.engine) as session:
        transitions.release(session, desk.attempt.job_id, desk.attempt.number)
    desk.take_steps(3)

    with pytest.raises(AttemptOver):
        desk.flusher._flush(None)

    assert desk.recorded is None


def test_steps_taken_while_the_database_was_away_are_written_when_it_is_back(desk: Desk) -> None:
    desk.take_steps(2)
    desk.flusher._engine = make_engine("sqlite:////proc/nowhere.db")
    with pytest.raises(DATABASE_AWAY):
        desk.flusher._flush(None)
    desk.take_steps(2)

    desk.flusher._engine = desk.engine
    desk.flusher._flush(None)

    assert desk.recorded == (1, 4)


def test_what_many_failed_flushes_left_is_written_in_one_piece(desk: Desk) -> None:
    written: list[str] = []
    for _ in range(5):
        desk.take_steps(1)
        desk.outbox.batch()  # a flush that then failed

    event.listen(desk.engine, "before_cursor_execute", lambda *said: written.append(said[2]))
    desk.flusher._flush(None)

    assert desk.recorded == (1, 5)
    assert sum("INTO segments" in statement or "UPDATE segments" in statement for statement in written) == 1


def test_a_commit_whose_answer_was_lost_is_not_written_twice(desk: Desk) -> None:
    desk.take_steps(2)
    desk.save_checkpoint()
    batch = desk.outbox.batch()
    with writing(desk.engine) as session:
        batch.write(session, session.get_one(Job, desk.attempt.job_id))
    desk.take_steps(1)

    desk.flusher._flush(None)

    assert desk.recorded == (1, 3)
    with reading(desk.engine) as session:
        assert session.query(Checkpoint).count() == 1


def test_the_loop_rests_when_too_much_waits_for_the_database(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.outbox._MOST_STEPS", 3)
    desk.take_steps(4)

    full_before_any_flush = desk.outbox.is_full
    batch = desk.outbox.batch()
    full_during_a_flush = desk.outbox.is_full
    desk.outbox.forget(batch)

    assert full_before_any_flush
    assert full_during_a_flush
    assert not desk.outbox.is_full


def test_a_cancel_ends_the_attempt_with_the_next_flush(desk: Desk) -> None:
    desk.take_steps(3)
    desk.ask(request_cancel)

    desk.flusher._flush(None)

    assert desk.flusher.ended
    assert (desk.job.state, desk.recorded) == ("cancelled", (1, 3))


def test_a_cancel_goes_before_success(desk: Desk) -> None:
    desk.take_steps(MAX_STEPS)
    desk.ask(request_cancel)

    assert desk.flusher.end(Ending(Why.MAX_STEPS))

    assert desk.job.state == "cancelled"


def test_a_pause_that_was_taken_back_goes_on(desk: Desk) -> None:
    desk.take_steps(3)

    assert not desk.flusher.end(Ending(Why.PAUSE))

    assert desk.job.state == "running"


def test_a_finished_job_succeeds_whoever_wants_it_to_pause(desk: Desk) -> None:
    desk.take_steps(MAX_STEPS)
    desk.ask(request_pause)

    assert desk.flusher.end(Ending(Why.MAX_STEPS))

    assert (desk.job.state, desk.job.reason) == ("succeeded", "max_steps")


def test_max_steps_raised_in_the_last_moment_are_trained(desk: Desk) -> None:
    desk.take_steps(MAX_STEPS)
    desk.ask(lambda _, job: setattr(job, "max_steps", MAX_STEPS + 1))

    assert not desk.flusher.end(Ending(Why.MAX_STEPS))

    assert desk.flusher.orders.max_steps == MAX_STEPS + 1


def test_a_drained_attempt_whose_owner_wants_a_pause_is_paused(desk: Desk) -> None:
    desk.ask(request_pause)

    assert desk.flusher.end(Ending(Why.DRAIN))

    assert desk.job.state == "paused"


def test_the_first_number_that_is_not_finite_ends_history_and_attempt(desk: Desk) -> None:
    desk.take_steps(3)
    for parameter in desk.training.discriminator.network.parameters():
        torch.nn.init.constant_(parameter, float("nan"))
    desk.take_steps(3)
    desk.save_checkpoint()

    desk.flusher._flush(None)

    job = desk.job
    assert desk.flusher.ended
    assert (job.state, job.reason, job.step) == ("failed", "diverged", 4)
    assert "step 4" in (job.error_message or "")
    assert "optimizer.discriminator.lr" in (job.error_message or "")
    assert desk.recorded == (1, 4)
    assert list(desk.blobs.list()) == []


def test_a_checkpoint_is_shown_with_the_history_up_to_its_step_and_old_ones_retire(desk: Desk) -> None:
    saver = desk.saver()
    for _ in range(5):
        desk.take_steps(1)
        saver.save_checkpoint(desk.training)
        saver.save_checkpoint(desk.training)
    saver.finish()
    desk.take_steps(1)

    desk.flusher._flush(None)

    with reading(desk.engine) as session:
        rows = session.query(Checkpoint).order_by(Checkpoint.step).all()
    assert [row.step for row in rows] == [3, 4, 5]
    assert [row.losses["step"] for row in rows] == [3, 4, 5]
    assert desk.recorded == (1, 6)


def test_a_checkpoint_holds_the_rows_that_the_rules_judge_by(desk: Desk) -> None:
    desk.take_steps(3)
    desk.save_checkpoint()

    desk.flusher._flush(None)

    with reading(desk.engine) as session:
        file = session.query(Checkpoint).one().files["all"]
    state = read_state(read_verified(desk.blobs, file))
    assert state.tensors["diagnosis.rows.d_loss"].shape == (3,)
    assert state.facts["diagnosis"]["rules"]["collapse"]["state"] == "healthy"


class FullBlobs:
    """A store on a disk that is full until somebody makes room."""

    def __init__(self, blobs: BlobStore, on_full: Callable[[], None]) -> None:
        self._blobs, self._on_full = blobs, on_full
        self.full = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)

    def put_pieces(self, key: str, pieces: Iterable[Piece]) -> None:
        if self.full:
            self._on_full()
            raise OSError(errno.ENOSPC, "No space left on device")
        self._blobs.put_pieces(key, pieces)


def test_a_full_disk_is_a_pause(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.patience._LOOK_AGAIN_S", 0.001)
    tries: list[None] = []

    def make_room_after_three_tries() -> None:
        tries.append(None)
        blobs.full = len(tries) < 3

    blobs: Any = FullBlobs(desk.blobs, make_room_after_three_tries)
    desk.take_steps(1)

    desk.save_checkpoint(blobs)
    desk.flusher._flush(None)

    assert len(tries) == 3
    with reading(desk.engine) as session:
        assert session.query(Checkpoint).count() == 1


def test_the_owner_hears_once_that_a_save_waits_for_space_and_once_that_it_goes_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.patience._LOOK_AGAIN_S", 0.001)
    heard_meanwhile: list[list[str]] = []

    def make_room_after_three_tries() -> None:
        desk.flusher._flush(None)
        heard_meanwhile.append(desk.notes)
        blobs.full = len(heard_meanwhile) < 3

    blobs: Any = FullBlobs(desk.blobs, make_room_after_three_tries)
    desk.take_steps(1)

    desk.save_checkpoint(blobs)
    desk.flusher._flush(None)

    waits = "A file cannot be stored: No space left on device. When the next one is due, training waits for it."
    assert heard_meanwhile == [[], [waits], [waits]]
    assert desk.notes == [waits, "The file is stored."]


def test_an_attempt_that_must_leave_does_not_wait_for_space(desk: Desk) -> None:
    blobs: Any = FullBlobs(desk.blobs, desk.stopping.set)
    desk.take_steps(1)

    with pytest.raises(GivenUp):
        desk.save_checkpoint(blobs)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The one number of a clock that only the test moves."""
    now = [0.0]
    monkeypatch.setattr(vigil, "monotonic_s", lambda: now[0])
    return now


def test_a_step_that_does_not_end_is_noticed_after_its_deadline(clock: list[float]) -> None:
    watch = Vigil(300.0)
    watch.step_begins()

    clock[0] = 300.0
    in_time = watch.overrun()
    clock[0] = 301.0

    assert in_time is None
    assert "300 s" in (watch.overrun() or "")


def test_slow_steps_get_ten_times_their_median(clock: list[float]) -> None:
    watch = Vigil(300.0)
    for _ in range(10):
        watch.step_begins()
        clock[0] += 100.0
    watch.step_begins()

    clock[0] += 999.0
    in_time = watch.overrun()
    clock[0] += 2.0

    assert in_time is None
    assert watch.overrun() is not None


def test_a_phase_has_its_own_deadline_and_one_within_it_does_not_use_it_up(clock: list[float]) -> None:
    watch = Vigil(1.0)
    with watch.phase("save a checkpoint", 600.0):
        clock[0] += 599.0
        with watch.phase("find space", np.inf):
            clock[0] += 10_000.0
            waiting = watch.overrun()
        back = watch.overrun()
        clock[0] += 2.0
        late = watch.overrun()

    assert (waiting, back) == (None, None)
    assert "save a checkpoint" in (late or "")


def test_a_stalled_attempt_stops_beating_and_leaves(desk: Desk, clock: list[float]) -> None:
    desk.vigil.step_begins()
    clock[0] += 301.0
    beat = desk.job.beat

    with pytest.raises(Left, match="300 s"):
        desk.flusher._run()

    assert desk.job.beat == beat


def test_an_attempt_that_waits_for_the_database_to_end_has_not_stalled(desk: Desk, clock: list[float]) -> None:
    desk.vigil.step_begins()
    desk.take_steps(1)
    overruns: list[str | None] = []

    def be_away_once(_connection: object) -> None:
        if not overruns:
            clock[0] += 1_000.0
            overruns.append(desk.vigil.overrun())
            raise OperationalError("", None, Exception("away"))

    event.listen(desk.flusher._engine, "begin", be_away_once, insert=True)

    assert desk.flusher.end(Ending(Why.DIVERGED, "d_loss became nan."))
    assert overruns == [None]
    assert desk.job.state == "failed"


def test_an_attempt_that_is_over_leaves_without_a_word(desk: Desk) -> None:
    with writing(desk.engine) as session:
        transitions.release(session, desk.attempt.job_id, desk.attempt.number)

    with pytest.raises(Left) as left:
        desk.flusher._run()

    assert left.value.args == (None,)


def test_a_continuation_elsewhere_is_called_equivalent_and_not_identical() -> None:
    here = machine_facts(device=torch.device("cpu"), plan=Plan("eager", 1, "asked for"))

    assert difference(here, here) is None
    assert "step compiled became eager" in (difference({**here, "step": "compiled"}, here) or "")
    assert "cohort 2 of 4 became alone" in (difference({**here, "cohort": "2 of 4"}, here) or "")
    assert "threads 2 became 1" in (difference({**here, "threads": 2}, here) or "")
