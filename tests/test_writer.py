"""Saving beside the loop: a slow disk holds up no step, nothing is left out or overtaken, and what fails is told."""

import errno
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy import Engine

from service.blobs import BlobStore, Directory, Piece, read_verified
from service.db import reading
from service.errors import StorageAway
from service.models import Checkpoint, Sample
from service.store import transitions
from tests.clock import Clock
from tests.test_trainer import Desk
from worker.endings import Ending, Why
from worker.gan.files import generator_file, read_state
from worker.patience import PatientStore
from worker.snapshots import Snapshots
from worker.stopsign import StopSign
from worker.vigil import Vigil
from worker.writer import Writer

A_WHILE_S = 0.2


class SlowBlobs:
    """A store that stores nothing until its gate is opened."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self.gate = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)

    def put_pieces(self, key: str, pieces: Iterable[Piece]) -> None:
        self.gate.wait()
        self._blobs.put_pieces(key, pieces)


class BrokenBlobs(SlowBlobs):
    """A store that cannot be written."""

    def put_pieces(self, key: str, pieces: Iterable[Piece]) -> None:
        raise OSError(errno.EIO, "Input/output error")


@pytest.fixture
def desk(engine: Engine, tmp_path: Path) -> Desk:
    return Desk(engine, tmp_path)


@pytest.fixture
def slow(desk: Desk) -> Any:
    return SlowBlobs(desk.blobs)


@contextmanager
def waits_for(gate: threading.Event, work: Callable[[], object]) -> Iterator[None]:
    """Do work in a thread, see that it waits for the gate, and let it end after the block."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(A_WHILE_S)
    assert thread.is_alive()
    yield
    gate.set()
    thread.join()


def checkpoints(desk: Desk) -> list[Checkpoint]:
    with reading(desk.engine) as session:
        return session.query(Checkpoint).order_by(Checkpoint.step).all()


def test_a_wish_that_comes_while_a_checkpoint_is_stored_is_not_fulfilled_by_it(desk: Desk, slow: Any) -> None:
    saver, asked = desk.saver(slow), []
    desk.take_steps(3)

    def store_while_the_owner_wishes() -> None:
        saver.save_checkpoint(desk.training, saves_heard=desk.flusher.orders.saves_asked)
        desk.ask(transitions.request_save)
        slow.gate.set()
        saver.finish()
        desk.flusher._flush(None)
        asked.append((desk.job.save_wanted, desk.flusher.orders.saves_asked))
        slow.gate.clear()

    store_while_the_owner_wishes()  # a checkpoint at its cadence, and the first wish
    desk.take_steps(1)
    store_while_the_owner_wishes()  # the one wished for, and another wish
    slow.gate.set()
    desk.take_steps(1)
    saver.save_checkpoint(desk.training, saves_heard=desk.flusher.orders.saves_asked)
    saver.finish()
    for _ in range(2):
        desk.flusher._flush(None)

    assert asked == [(True, 1), (True, 2)]
    assert (desk.job.save_wanted, desk.flusher.orders.saves_asked) == (False, 0)
    assert [shown.step for shown in checkpoints(desk)] == [3, 4, 5]


def test_steps_are_taken_while_a_checkpoint_is_stored_and_do_not_change_it(desk: Desk, slow: Any) -> None:
    saver = desk.saver(slow)
    desk.take_steps(3)
    state = desk.training.state()

    saver.save_checkpoint(desk.training)
    desk.take_steps(3)
    desk.flusher._flush(None)
    shown_meanwhile = checkpoints(desk)
    slow.gate.set()
    saver.finish()
    desk.flusher._flush(None)

    assert shown_meanwhile == []
    (shown,) = checkpoints(desk)
    assert (shown.step, shown.losses["step"]) == (3, 3)
    assert read_verified(desk.blobs, shown.files["generator"]) == generator_file(state, "generator")
    stored = read_state(read_verified(desk.blobs, shown.files["all"]))
    assert all(torch.equal(stored.tensors[name], tensor) for name, tensor in state.tensors.items())


def test_the_loop_waits_with_a_checkpoint_until_the_one_before_is_stored(desk: Desk, slow: Any) -> None:
    saver = desk.saver(slow)
    desk.take_steps(1)
    saver.save_checkpoint(desk.training)
    desk.take_steps(1)

    with waits_for(slow.gate, lambda: saver.save_checkpoint(desk.training)):
        pass
    saver.finish()
    desk.flusher._flush(None)

    assert [row.step for row in checkpoints(desk)] == [1, 2]


def test_a_sample_holds_up_no_checkpoint_of_the_same_step(desk: Desk, slow: Any) -> None:
    saver = desk.saver(slow)
    desk.take_steps(1)

    saver.save_sample(desk.training)
    saver.save_checkpoint(desk.training)
    slow.gate.set()
    saver.finish()
    desk.flusher._flush(None)

    assert len(checkpoints(desk)) == 1
    with reading(desk.engine) as session:
        assert session.query(Sample).one().step == 1


def test_the_end_waits_for_the_last_files(desk: Desk, slow: Any) -> None:
    saver = desk.saver(slow)
    desk.take_steps(1)
    saver.save_checkpoint(desk.training)

    with waits_for(slow.gate, saver.finish):
        assert list(desk.blobs.list()) == []

    assert len(list(desk.blobs.list())) == 2


def test_what_cannot_be_stored_is_told_in_the_loop(desk: Desk) -> None:
    blobs: Any = BrokenBlobs(desk.blobs)
    saver = desk.saver(blobs)
    desk.take_steps(1)
    saver.save_checkpoint(desk.training)

    with pytest.raises(OSError, match="Input/output error"):
        saver.finish()

    desk.take_steps(1)
    for tell in (saver.raise_failure, lambda: saver.save_checkpoint(desk.training)):
        with pytest.raises(OSError, match="Input/output error"):
            tell()


def test_an_attempt_that_diverged_ends_with_the_checkpoint_from_before_it(desk: Desk, slow: Any) -> None:
    saver = desk.saver(slow)
    desk.take_steps(3)
    saver.save_checkpoint(desk.training)
    for parameter in desk.training.discriminator.network.parameters():
        torch.nn.init.constant_(parameter, float("nan"))
    desk.take_steps(1)

    desk.flusher._flush(None)
    state_meanwhile = desk.job.state
    saver.save_sample(desk.training)
    slow.gate.set()
    saver.finish()
    desk.flusher.end(Ending(Why.DIVERGED))

    assert state_meanwhile == "running"
    assert (desk.job.state, desk.job.step) == ("failed", 4)
    assert [row.step for row in checkpoints(desk)] == [3]


def test_a_store_that_hangs_is_noticed_while_steps_go_on(
    desk: Desk, slow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    saver = desk.saver(slow)
    monkeypatch.setattr("worker.saver._DEADLINE_S", -1.0)
    desk.take_steps(1)
    saver.save_sample(desk.training)
    desk.vigil.step_begins()

    with waits_for(slow.gate, saver.finish):
        overrun = desk.vigil.overrun()

    assert overrun == "The attempt could not save samples in time."


def test_a_store_that_is_away_for_long_is_waited_for(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    tries = iter([StorageAway("away")] * 3)

    class Away(Directory):
        def put_pieces(self, key: str, pieces: Iterable[Piece]) -> None:
            clock.now_s += 400.0
            if (error := next(tries, None)) is not None:
                raise error
            super().put_pieces(key, pieces)

    monkeypatch.setattr("worker.vigil.monotonic_s", clock)
    monkeypatch.setattr("worker.patience._LOOK_AGAIN_S", 0.0)
    vigil, blobs = Vigil(), Away(tmp_path / "blobs")
    store = PatientStore(blobs, desk.outbox, vigil, attempt=desk.attempt, stopping=StopSign())

    with vigil.phase("save a checkpoint", 600.0):
        file = store.store("checkpoint.bin", [b"1"])
        overrun = vigil.overrun()

    assert overrun is None
    assert read_verified(blobs, file) == b"1"


def test_work_is_done_in_its_order_and_none_after_a_failure() -> None:
    writer, done = Writer(), []

    def fail() -> None:
        raise ValueError("the third")

    writer.hand_over(lambda: done.append(1))
    writer.hand_over(lambda: done.append(2))
    over = writer.hand_over(fail)
    over.wait()

    with pytest.raises(ValueError, match="the third"):
        writer.hand_over(lambda: done.append(4))
    assert done == [1, 2]


def test_snapshots_hold_their_numbers_in_the_same_memory_until_the_next() -> None:
    snapshots, tensor = Snapshots(), torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    before = tensor.clone()

    first = snapshots.take({"weight": tensor})["weight"]
    tensor.zero_()
    kept = torch.equal(first, before) and first.is_contiguous()
    second = snapshots.take({"weight": tensor})["weight"]
    other = snapshots.take({"weight": torch.ones(5)})["weight"]

    assert kept
    assert second.data_ptr() == first.data_ptr()
    assert torch.equal(second, torch.zeros(2, 3, 4, 4))
    assert torch.equal(other, torch.ones(5))
