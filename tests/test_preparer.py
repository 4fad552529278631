"""Uploads prepared as a worker does it: fetched, parsed in a process of their own, stored, shown, trained on."""

import errno
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sqlalchemy import Engine, event

from service.blobs import BlobStore, Directory, Piece, make_blobs, sha256_of
from service.db import reading, writing
from service.errors import StorageAway
from service.models import Dataset
from service.scratch import held_directory
from service.settings import Settings
from service.spec.job import DatasetRef
from service.spec.uploads import Upload
from service.store import preparation
from service.store.datasets import facts_of
from service.store.keys import LOCAL_OWNER
from tests.building import a_spec
from tests.outages import hear_nothing_of_a_commit, outage
from tests.uploads import make_npy, make_npz, make_picture, make_wav, make_zip
from worker.attempt import Prepared
from worker.copies import Copies
from worker.forkserver import ForkedProcess, ForkServer
from worker.gan.data.split import Split
from worker.gan.data.training_data import EncodedRows, TrainingData
from worker.gan.training import Training
from worker.opening import open_data
from worker.preparer import Preparer

PICTURES = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
MakePreparer = Callable[..., Preparer]


@pytest.fixture
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return make_blobs(getattr(request, "param", f"file://{tmp_path}/blobs"))


@pytest.fixture
def make_preparer(engine: Engine, blobs: BlobStore, tmp_path: Path) -> MakePreparer:
    def make(**settings: Any) -> Preparer:
        given = Settings(_env_file=None, home=tmp_path, **settings)
        return Preparer(engine, blobs, ForkServer(), settings=given, worker_id="worker-1")

    return make


def upload(engine: Engine, blobs: BlobStore, data: bytes, **options: Any) -> str:
    """Store an upload that waits; return the id of its data set."""
    with writing(engine) as session:
        dataset = preparation.begin_upload(session, LOCAL_OWNER)
        key, digest = f"{dataset.id}/0/upload", sha256_of(data)
        blobs.put(key, data)
        file = {"key": key, "size": len(data), "sha256": digest}
        finish = preparation.finish_upload
        finish(session, dataset.id, file, identity=digest, name="mine", modality=None, options=options)
        return dataset.id


def see(engine: Engine, dataset_id: str) -> Dataset:
    with reading(engine) as session:
        return session.get_one(Dataset, dataset_id)


def open_ready(engine: Engine, blobs: BlobStore, dataset_id: str, cache: Path) -> TrainingData:
    dataset = see(engine, dataset_id)
    facts = facts_of(dataset)
    assert facts is not None
    reference = DatasetRef(name=dataset_id, sha256=facts.sha256)
    with Copies(blobs, cache, most_bytes=2**30) as copies:
        return open_data(reference, Prepared(facts, dataset.files), Split(0.25), copies)


def test_an_upload_becomes_a_data_set_that_is_opened(
    engine: Engine, blobs: BlobStore, make_preparer: MakePreparer, tmp_path: Path
) -> None:
    dataset_id = upload(engine, blobs, make_npz(x=PICTURES, y=np.arange(12) % 3))

    make_preparer().work()

    dataset = see(engine, dataset_id)
    assert (dataset.state, dataset.error_message, sorted(dataset.files)) == (
        "ready",
        None,
        ["labels", "preview", "rows"],
    )
    data = open_ready(engine, blobs, dataset_id, tmp_path / "cache")
    assert data.held_out is not None
    assert (data.facts.shape, len(data.samples), len(data.held_out.values)) == ((3, 8, 8), 9, 3)
    rows = np.concatenate([data.to_data_units(data.specimens()), data.held_out.values])
    assert sorted(map(bytes, rows)) == sorted(map(bytes, PICTURES.transpose(0, 3, 1, 2)))
    assert not list((tmp_path / "preparing").iterdir())


@pytest.mark.parametrize("blobs", ["memory://"], indirect=True)
def test_from_an_object_store_the_rows_are_fetched_once(
    engine: Engine, blobs: BlobStore, make_preparer: MakePreparer, tmp_path: Path
) -> None:
    dataset_id = upload(engine, blobs, make_npy(PICTURES))
    make_preparer().work()

    first = open_ready(engine, blobs, dataset_id, tmp_path / "cache")
    blobs.delete(see(engine, dataset_id).files["rows"]["key"])
    again = open_ready(engine, blobs, dataset_id, tmp_path / "cache")

    assert torch.equal(first.specimens(), again.specimens())


def test_a_refused_upload_has_failed_with_the_sentence_of_the_parser(
    engine: Engine, blobs: BlobStore, make_preparer: MakePreparer
) -> None:
    dataset_id = upload(engine, blobs, b"a,b\n1,2\n3\n")

    make_preparer().work()

    dataset = see(engine, dataset_id)
    assert (dataset.state, dataset.error_code) == ("failed", "ragged")
    assert dataset.error_message is not None
    assert dataset.error_message.startswith("Line 3 has 1 cells")


def test_a_preparation_that_takes_too_much_fails_with_the_reason(
    engine: Engine, blobs: BlobStore, make_preparer: MakePreparer
) -> None:
    picture = make_picture(np.zeros((3000, 3000), np.uint8))
    hungry = upload(engine, blobs, make_zip({f"{n}.png": picture for n in range(8)}))
    make_preparer(prepared_max_bytes=2**21).work()
    lines = "".join(f"{n},{n}\n" for n in range(400_000))
    slow = upload(engine, blobs, lines.encode())
    make_preparer(prepare_s=1.0).work()

    assert (see(engine, hungry).state, see(engine, hungry).error_code) == ("failed", "too_large")
    assert (see(engine, slow).state, see(engine, slow).error_code) == ("failed", "too_slow")


def test_damaged_bytes_fail_and_lost_ones_too(engine: Engine, blobs: BlobStore, make_preparer: MakePreparer) -> None:
    dataset_id = upload(engine, blobs, make_npy(PICTURES))
    blobs.put(f"{dataset_id}/0/upload", b"something else")

    make_preparer().work()

    assert see(engine, dataset_id).error_code == "upload_damaged"


def test_a_draining_worker_gives_the_data_set_back(
    engine: Engine, blobs: BlobStore, make_preparer: MakePreparer
) -> None:
    dataset_id = upload(engine, blobs, make_npy(PICTURES))
    preparer = make_preparer()
    with writing(engine) as session:
        claimed = session.get_one(Dataset, dataset_id)
        assert preparation.claim_preparation(session, claimed, worker="worker-1")

    preparer.drain()
    preparer._carry_out(claimed)

    assert (see(engine, dataset_id).state, see(engine, dataset_id).worker) == ("preparing", None)
    assert see(engine, dataset_id).losses == 0


@pytest.mark.parametrize(
    "data",
    [
        make_npy(np.random.default_rng(0).normal(size=(40, 3))),
        make_npz(x=PICTURES, y=np.arange(12) % 3),
    ],
    ids=["vectors", "pictures"],
)
def test_what_was_prepared_trains(
    engine: Engine, blobs: BlobStore, make_preparer: MakePreparer, tmp_path: Path, data: bytes
) -> None:
    dataset_id = upload(engine, blobs, data)
    make_preparer().work()
    opened = open_ready(engine, blobs, dataset_id, tmp_path)
    spec = a_spec(
        dataset=dataset_id, loop={"max_steps": 2, "batch_size": 4}, find_upload=lambda _: Upload("ready", opened.facts)
    )
    training = Training(spec, opened, device=torch.device("cpu"), dtype=torch.float32)
    training.step()
    training.step()

    assert training.step_number == 2
    assert all(torch.isfinite(parameter).all() for parameter in training.generator.network.parameters())


def test_data_larger_than_what_is_held_is_read_batch_by_batch(
    engine: Engine, blobs: BlobStore, make_preparer: MakePreparer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = np.sin(np.arange(16_000 * 4) / 9)
    dataset_id = upload(engine, blobs, make_wav(sound), seconds=0.2)
    make_preparer().work()
    monkeypatch.setattr("worker.gan.data.training_data.HELD_BYTES", 1000)

    data = open_ready(engine, blobs, dataset_id, tmp_path)

    assert isinstance(data.samples, EncodedRows)
    assert data.facts.sample_rate == 16_000
    assert data.samples[torch.tensor([2, 0])].shape == (2, 1, 3200)


class OnceDeadlyForkServer(ForkServer):
    """A fork server whose first process is killed at once."""

    def __init__(self) -> None:
        super().__init__()
        self._killed = False

    def get_warm(self) -> None:
        return

    def fork(self, target: Callable[..., None], *arguments: Any, **options: Any) -> ForkedProcess:
        process = super().fork(target, *arguments, **options)
        if not self._killed:
            self._killed = True
            process.kill()
        return process


def test_an_outage_at_the_end_of_a_preparation_is_waited_for_and_charges_nothing(
    engine: Engine, blobs: BlobStore, make_preparer: MakePreparer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.preparer._LOOK_S", 0.01)
    good, bad = (upload(engine, blobs, data) for data in (make_npy(PICTURES), b"no data set"))

    with outage(engine, "datasets", "finished_at", times=2):
        make_preparer().work()

    assert [(see(engine, each).state, see(engine, each).losses, see(engine, each).attempt) for each in (good, bad)] == [
        ("ready", 0, 1),
        ("failed", 0, 1),
    ]


def test_a_claim_whose_answer_was_lost_is_given_back_and_charges_nothing(
    engine: Engine, blobs: BlobStore, make_preparer: MakePreparer
) -> None:
    dataset_id = upload(engine, blobs, make_npy(PICTURES))
    preparer = make_preparer()

    hear_nothing_of_a_commit(engine)
    preparer.work()
    in_between = see(engine, dataset_id).worker
    preparer.work()

    dataset = see(engine, dataset_id)
    assert (in_between, dataset.state, dataset.losses, dataset.attempt) == ("worker-1", "ready", 0, 2)


def test_a_worker_that_stops_in_an_outage_gives_back_what_it_holds(
    engine: Engine, blobs: BlobStore, make_preparer: MakePreparer
) -> None:
    dataset_id = upload(engine, blobs, make_npy(PICTURES))
    preparer = make_preparer()

    with outage(engine, "datasets", "finished_at", times=1):
        event.listen(engine, "handle_error", lambda _: preparer.drain(), once=True)
        preparer.work()
    preparer.join()

    dataset = see(engine, dataset_id)
    assert (dataset.state, dataset.worker, dataset.losses) == ("preparing", None, 0)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), StorageAway("away")], ids=str)
def test_what_cannot_be_stored_now_is_not_charged_and_keeps_no_other_waiting(
    engine: Engine, tmp_path: Path, error: OSError
) -> None:
    class Failing(Directory):
        def put_pieces(self, key: str, pieces: Iterable[Piece]) -> None:
            if key.startswith(first):
                raise error
            super().put_pieces(key, pieces)

    blobs, settings = Failing(tmp_path / "blobs"), Settings(_env_file=None, home=tmp_path)
    first = "none yet"
    first, second = (upload(engine, blobs, make_npy(PICTURES[:count])) for count in (12, 11))

    Preparer(engine, blobs, ForkServer(), settings=settings, worker_id="worker-1").work()

    waiting = see(engine, first)
    assert (waiting.state, waiting.worker, waiting.losses) == ("preparing", None, 0)
    assert see(engine, second).state == "ready"


def test_a_store_that_is_not_there_costs_no_upload(
    engine: Engine, blobs: BlobStore, make_preparer: MakePreparer, tmp_path: Path
) -> None:
    dataset_id = upload(engine, blobs, make_npy(PICTURES))
    (tmp_path / "blobs").rename(tmp_path / "not mounted")

    make_preparer().work()
    meanwhile = see(engine, dataset_id)
    (tmp_path / "not mounted").rename(tmp_path / "blobs")
    make_preparer().work()

    assert (meanwhile.state, meanwhile.losses) == ("preparing", 0)
    assert see(engine, dataset_id).state == "ready"


def test_what_killed_preparations_have_left_is_removed_unless_somebody_is_at_it(
    engine: Engine, blobs: BlobStore, make_preparer: MakePreparer, tmp_path: Path
) -> None:
    root = tmp_path / "preparing"
    left = root / "ds_1-a"
    left.mkdir(parents=True)
    (left / "upload").write_bytes(b"much")
    upload(engine, blobs, make_npy(PICTURES))

    with held_directory(root, "ds_2-") as in_hand:
        make_preparer().work()

        assert [*root.iterdir()] == [in_hand]
    assert [*root.iterdir()] == []


def test_a_call_after_the_last_look_is_not_lost(
    engine: Engine, blobs: BlobStore, make_preparer: MakePreparer, monkeypatch: pytest.MonkeyPatch
) -> None:
    preparer, look = make_preparer(), Preparer._claim
    late: list[str] = []

    def look_and_miss(self: Preparer, put_off: Collection[str]) -> Dataset | None:
        found = look(self, put_off)
        if found is None and not late:
            late.append(upload(engine, blobs, make_npy(PICTURES)))
            self.work()  # as another thread would be called; this one has looked
        return found

    monkeypatch.setattr(Preparer, "_claim", look_and_miss)
    preparer.work()

    assert see(engine, late[0]).state == "ready"


def test_a_killed_preparation_is_tried_again(engine: Engine, blobs: BlobStore, tmp_path: Path) -> None:
    dataset_id = upload(engine, blobs, make_npy(PICTURES))
    settings = Settings(_env_file=None, home=tmp_path)

    Preparer(engine, blobs, OnceDeadlyForkServer(), settings=settings, worker_id="worker-1").work()

    dataset = see(engine, dataset_id)
    assert (dataset.state, dataset.losses, dataset.attempt) == ("ready", 1, 2)
