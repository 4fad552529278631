"""The reconciler mends what crashes leave, and never mistakes an outage or a jump of a clock for a death."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from obstore.store import S3Store
from sqlalchemy import Engine, create_engine, event, update
from sqlalchemy.exc import OperationalError

from service.blobs import BlobStore, Directory, make_blobs, sha256_of, store_file
from service.broker import Wakeups
from service.clock import now
from service.db import reading, writing
from service.errors import StorageAway
from service.ids import make_id
from service.leases import Lease, list_leases
from service.models import Dataset, Job, Order, State, Sweep
from service.object_store import ObjectStore
from service.orphans import belongs_to
from service.reconcile import Reconciler
from service.removals import held_back
from service.settings import Settings
from service.store import orders, preparation, transitions
from service.store.doomed import doom, list_doomed
from service.store.keys import LOCAL_OWNER
from service.store.transitions import Progress
from service.store.workers import beat_worker, list_workers, register_worker
from tests.building import (
    add_job,
    add_order,
    add_running_job,
    add_uploaded_dataset,
    claim_dataset,
    claim_next,
    save_checkpoint,
)
from tests.clock import Clock

TTL_S, SCAN_S, BACK_OFF_S, SWEEP_S = 20.0, 2.0, 5.0, 60.0
NO_PROGRESS = Progress(step=0, samples_seen=0, trained_s=0.0, steps_per_second=None, last_losses=None)


@dataclass
class Setting:
    """One reconciler with its surroundings."""

    engine: Engine
    blobs: BlobStore
    wakeups: Wakeups
    clock: Clock
    reconciler: Reconciler

    def scan_for(self, seconds: float, *, between: Callable[[], object] = lambda: None) -> None:
        """Let so much time pass in scans."""
        end_s = self.clock.now_s + seconds
        while self.clock.now_s < end_s:
            self.clock.now_s += SCAN_S
            between()
            self.reconciler.scan()

    def beat(self, job_id: str, attempt: int) -> None:
        with writing(self.engine) as session:
            transitions.flush(session, job_id, attempt, NO_PROGRESS)

    @property
    def was_announced(self) -> bool:
        return self.wakeups._wanted.is_set()

    def dataset(self, dataset_id: str) -> Dataset | None:
        with reading(self.engine) as session:
            return session.get(Dataset, dataset_id)

    def get_dataset(self, dataset_id: str) -> Dataset:
        dataset = self.dataset(dataset_id)
        assert dataset is not None
        return dataset

    def lease(self, owner: str) -> Lease:
        with reading(self.engine) as session:
            return next(each for each in list_leases(session, self.reconciler._settings) if each.owner == owner)

    def job(self, job_id: str) -> Job:
        with reading(self.engine) as session:
            return session.get_one(Job, job_id)


@pytest.fixture
def setting(engine: Engine, database_url: str, tmp_path: Path) -> Setting:
    settings = Settings(
        _env_file=None,
        home=tmp_path,
        database_url=database_url,
        ttl_s=TTL_S,
        scan_s=SCAN_S,
        back_off_s=BACK_OFF_S,
        sweep_s=SWEEP_S,
    )
    blobs, wakeups, clock = make_blobs(settings.blobs), Wakeups(settings), Clock()
    reconciler = Reconciler(engine, blobs, settings, wakeups, clock=clock)
    reconciler.scan()
    return Setting(engine, blobs, wakeups, clock, reconciler)


def test_an_attempt_whose_beat_stands_still_is_lost_and_tried_again_after_its_back_off(setting: Setting) -> None:
    job_id, _ = add_running_job(setting.engine)

    setting.scan_for(TTL_S)
    still_running = setting.job(job_id).state
    setting.scan_for(SCAN_S)
    lost = setting.job(job_id)
    setting.scan_for(BACK_OFF_S - 1)
    held = setting.job(job_id)
    setting.scan_for(SCAN_S)
    free = setting.job(job_id)

    assert still_running == "running"
    assert (lost.state, lost.reason, lost.hold_s) == ("queued", "worker_lost", BACK_OFF_S)
    assert held.hold_s == BACK_OFF_S
    assert free.hold_s is None
    assert setting.was_announced


def test_an_upload_that_nobody_sends_any_more_leaves_nothing(setting: Setting) -> None:
    with writing(setting.engine) as session:
        upload = preparation.begin_upload(session, LOCAL_OWNER)
    setting.blobs.put(f"{upload.id}/0/upload", b"all of it")

    setting.scan_for(TTL_S)
    kept = list(setting.blobs.list())
    setting.scan_for(2 * SCAN_S)

    assert kept == [f"{upload.id}/0/upload"]
    assert list(setting.blobs.list()) == []
    assert setting.dataset(upload.id) is None


def test_a_preparation_that_is_not_heard_of_is_tried_again_and_fails_in_the_end(setting: Setting) -> None:
    with writing(setting.engine) as session:
        dataset_id = add_uploaded_dataset(session).id
    states = []
    for _ in range(3):
        with writing(setting.engine) as session:
            attempt = claim_dataset(session).attempt
        setting.blobs.put(f"{dataset_id}/{attempt}/rows.npy", b"half")
        setting.scan_for(TTL_S + 2 * SCAN_S)
        states.append(setting.get_dataset(dataset_id).state)

    assert states == ["preparing", "preparing", "failed"]
    assert setting.get_dataset(dataset_id).error_code == "worker_lost"
    assert [key for key in setting.blobs.list() if key.startswith(dataset_id)] == []
    assert setting.was_announced


def test_an_attempt_that_beats_lives(setting: Setting) -> None:
    job_id, attempt = add_running_job(setting.engine)

    setting.scan_for(5 * TTL_S, between=lambda: setting.beat(job_id, attempt))

    assert setting.job(job_id).state == "running"


def test_a_fault_in_judging_sweeps_keeps_no_lease_from_running_out(setting: Setting) -> None:
    job_id, _ = add_running_job(setting.engine)
    facts: dict[str, Any] = {"search": {}, "spec": {}, "metric": "coverage", "goal": "higher", "created_at": now()}
    with writing(setting.engine) as session:
        broken = Sweep(id=make_id("swp"), owner_id=LOCAL_OWNER, name=None, method="asha", **facts)
        session.add(broken)
        session.flush()
        session.get_one(Job, job_id).sweep_id = broken.id

    for _ in range(int(TTL_S / SCAN_S) + 2):
        setting.clock.now_s += SCAN_S
        with pytest.raises(KeyError):
            setting.reconciler.scan()

    assert setting.job(job_id).reason == "worker_lost"


def test_a_new_attempt_begins_with_a_whole_time_to_live(setting: Setting) -> None:
    job_id, attempt = add_running_job(setting.engine)
    setting.scan_for(TTL_S - SCAN_S)
    with writing(setting.engine) as session:
        transitions.release(session, job_id, attempt)
        job = session.get_one(Job, job_id)
        assert transitions.claim(session, job, worker="worker-2", resume_from=None)

    setting.scan_for(TTL_S)

    assert setting.job(job_id).attempt == attempt + 1
    assert setting.job(job_id).state == "running"


def test_a_clock_that_jumps_or_a_reconciler_that_was_suspended_loses_nobody(setting: Setting) -> None:
    job_id, _ = add_running_job(setting.engine)
    setting.scan_for(SCAN_S)

    setting.clock.now_s += 100 * TTL_S
    setting.reconciler.scan()

    assert setting.job(job_id).state == "running"


def test_time_in_which_the_database_was_away_does_not_count(setting: Setting) -> None:
    job_id, _ = add_running_job(setting.engine)
    setting.scan_for(SCAN_S)
    reachable = setting.reconciler._engine

    setting.reconciler._engine = create_engine("sqlite:////nowhere/at/all.db")
    for _ in range(20):
        setting.clock.now_s += SCAN_S
        with pytest.raises(OperationalError):
            setting.reconciler.scan()
    setting.reconciler._engine = reachable
    setting.scan_for(TTL_S - SCAN_S)

    assert setting.job(job_id).state == "running"


@contextmanager
def full_disk(engine: Engine) -> Iterator[None]:
    """Let the database answer questions and take no writes."""

    def be_full(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(("INSERT", "UPDATE", "DELETE")):
            raise OperationalError(statement, None, Exception("database or disk is full"))

    event.listen(engine, "before_cursor_execute", be_full)
    yield
    event.remove(engine, "before_cursor_execute", be_full)


def test_an_order_that_is_not_heard_of_is_tried_again_and_fails_in_the_end(setting: Setting) -> None:
    with writing(setting.engine) as session:
        order_id = add_order(session, add_job(session)).id
    seen = []
    for attempt in (1, 2, 3):
        with writing(setting.engine) as session:
            orders.claim_order(session, order_id, attempt, worker="worker-1")
        setting.blobs.put(f"{order_id}/{attempt}/samples.csv", b"half")
        setting.scan_for(TTL_S + 2 * SCAN_S)
        with reading(setting.engine) as session:
            order = session.get_one(Order, order_id)
            seen.append((order.state, order.losses, order.error_code))

    assert seen == [("queued", 1, None), ("queued", 2, None), ("failed", 3, "sampling_failed")]
    assert [key for key in setting.blobs.list() if key.startswith(order_id)] == []
    assert setting.was_announced


def let_a_full_disk_pass(setting: Setting) -> None:
    setting.scan_for(SCAN_S)
    with full_disk(setting.engine):
        for _ in range(30):
            setting.clock.now_s += SCAN_S
            with suppress(OperationalError):
                setting.reconciler.scan()
    setting.scan_for(TTL_S / 2)


def test_time_in_which_the_disk_of_the_database_was_full_does_not_count(setting: Setting) -> None:
    job_id, attempt = add_running_job(setting.engine)

    let_a_full_disk_pass(setting)

    assert (setting.job(job_id).state, setting.job(job_id).attempt) == ("running", attempt)


def test_nor_is_it_held_against_uploads_and_preparations(setting: Setting) -> None:
    with writing(setting.engine) as session:
        prepared = add_uploaded_dataset(session).id
        claim_dataset(session)
        uploaded = preparation.begin_upload(session, LOCAL_OWNER).id

    let_a_full_disk_pass(setting)

    assert (setting.get_dataset(prepared).losses, setting.get_dataset(prepared).worker) == (0, "worker-1")
    assert setting.get_dataset(uploaded).state == "uploading"


def test_of_two_reconcilers_one_counts_the_loss(setting: Setting) -> None:
    job_id, _ = add_running_job(setting.engine)
    lease = setting.lease(job_id)

    setting.reconciler._lose(lease)
    setting.reconciler._lose(lease)

    assert setting.job(job_id).losses_in_all == 1


def test_what_a_lost_attempt_stored_and_nobody_shows_is_removed(setting: Setting, tmp_path: Path) -> None:
    job_id, attempt = add_running_job(setting.engine)
    shown = store_file(setting.blobs, job_id=job_id, attempt=attempt, name="shown.bin", pieces=[b"1"])
    store_file(setting.blobs, job_id=job_id, attempt=attempt, name="orphan.bin", pieces=[b"2"])
    newer = store_file(setting.blobs, job_id=job_id, attempt=attempt + 1, name="newer.bin", pieces=[b"3"])
    with writing(setting.engine) as session:
        save_checkpoint(session, session.get_one(Job, job_id), 1, files={"all": shown})

    broken_off = tmp_path / "blobs" / job_id / str(attempt) / ".tmp-1"
    broken_off.write_bytes(b"4")

    setting.reconciler._lose(setting.lease(job_id))
    setting.scan_for(SCAN_S)

    assert not broken_off.exists()
    assert sorted(setting.blobs.list()) == sorted([shown["key"], newer["key"]])


def test_what_a_zombie_stores_after_its_takeover_is_found_by_the_sweep_of_everything(
    setting: Setting, tmp_path: Path
) -> None:
    job_id, attempt = add_running_job(setting.engine)
    with writing(setting.engine) as session:
        transitions.release(session, job_id, attempt)
        newer = claim_next(session).attempt
    of_nobody = "job_0000000000000000000000"
    for owner, number, name in ((job_id, attempt, "zombie.bin"), (of_nobody, 3, "deleted.bin")):
        store_file(setting.blobs, job_id=owner, attempt=number, name=name, pieces=[b"1"])
        (tmp_path / "blobs" / owner / str(number) / ".tmp-1").write_bytes(b"2")
    live = store_file(setting.blobs, job_id=job_id, attempt=newer, name="not shown yet.bin", pieces=[b"3"])
    unfinished = tmp_path / "blobs" / job_id / str(newer) / ".tmp-1"
    unfinished.write_bytes(b"4")
    foreign = tmp_path / "blobs" / "lost+found"
    foreign.mkdir()

    setting.scan_for(SWEEP_S - SCAN_S, between=lambda: setting.beat(job_id, newer))
    before = len(list(setting.blobs.list()))
    setting.scan_for(2 * SCAN_S, between=lambda: setting.beat(job_id, newer))

    assert before == 3
    assert list(setting.blobs.list()) == [live["key"]]
    assert unfinished.exists()
    assert foreign.exists()


def test_what_is_drawn_for_an_order_that_is_not_written_down_yet_is_left_for_the_next_sweep(setting: Setting) -> None:
    setting.scan_for(SWEEP_S - SCAN_S)
    setting.blobs.put("smp_1/1/samples.csv", b"drawn")

    setting.scan_for(2 * SCAN_S)
    kept = "smp_1/1/samples.csv" in setting.blobs.list()
    setting.scan_for(SWEEP_S + SCAN_S)

    assert kept
    assert "smp_1/1/samples.csv" not in setting.blobs.list()


def test_directories_of_jobs_that_are_over_go_with_their_last_blobs(setting: Setting, tmp_path: Path) -> None:
    job_id, attempt = add_running_job(setting.engine)
    store_file(setting.blobs, job_id=job_id, attempt=attempt, name="orphan.bin", pieces=[b"1"])
    with writing(setting.engine) as session:
        transitions.finish(session, job_id, attempt, State.SUCCEEDED, reason="max_steps")

    setting.scan_for(2 * SWEEP_S + SCAN_S)

    assert [path.name for path in (tmp_path / "blobs").iterdir()] == [".database"]


def test_a_store_that_belongs_to_another_database_is_not_swept(setting: Setting) -> None:
    setting.blobs.put(".database", b"another")
    store_file(setting.blobs, job_id="job_of_the_other", attempt=1, name="theirs.bin", pieces=[b"1"])
    setting.reconciler._owns_store = False

    setting.scan_for(2 * SWEEP_S)

    assert len(list(setting.blobs.list())) == 1


def test_an_empty_store_in_the_place_of_one_with_files_is_not_taken_for_it(setting: Setting) -> None:
    job_id, attempt = add_running_job(setting.engine)
    file = {"key": f"{job_id}/1/checkpoint.bin", "size": 1, "sha256": sha256_of(b"1")}
    with writing(setting.engine) as session:
        save_checkpoint(session, transitions.fence(session, job_id, attempt), 10, files={"all": file})
    setting.blobs.delete(".database")

    before = belongs_to(setting.blobs, setting.engine)
    setting.blobs.put(file["key"], b"1")

    assert not before
    assert belongs_to(setting.blobs, setting.engine)


def test_a_store_that_is_away_is_asked_once_and_then_left_alone_for_a_while(setting: Setting) -> None:
    asked: list[str] = []

    class Away(Directory):
        def delete(self, key: str) -> None:
            asked.append(key)
            raise StorageAway("away")

    with writing(setting.engine) as session:
        doom(session, ["job_1/1/a.bin", "job_1/1/b.bin"])
    setting.reconciler._blobs = Away(Path("/nowhere"))
    setting.scan_for(SCAN_S)
    soon = len(asked)
    setting.scan_for(setting.reconciler._settings.wake_again_s - SCAN_S)
    meanwhile = len(asked)
    setting.scan_for(2 * SCAN_S)

    assert (soon, meanwhile, len(asked)) == (1, 1, 2)


def test_a_store_that_is_away_keeps_no_lease_from_being_judged_and_is_swept_when_it_is_back(setting: Setting) -> None:
    (job_id, attempt), (other_id, _) = add_running_job(setting.engine), add_running_job(setting.engine)
    store_file(setting.blobs, job_id=job_id, attempt=attempt, name="orphan.bin", pieces=[b"1"])
    nowhere = S3Store(
        "blobs",
        endpoint="http://127.0.0.1:9",
        client_options={"allow_http": True},
        skip_signature=True,
        retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=1)},
    )

    setting.reconciler._blobs = ObjectStore(nowhere)
    setting.reconciler._lose(setting.lease(job_id))
    setting.scan_for(TTL_S + SCAN_S)
    stored = list(setting.blobs.list())
    setting.reconciler._blobs = setting.blobs
    setting.scan_for(2 * SCAN_S)

    assert len(stored) == 1
    assert setting.job(other_id).losses_in_all == 1
    assert list(setting.blobs.list()) == []


def test_doomed_blobs_are_removed_and_their_marks_after_them(setting: Setting) -> None:
    setting.blobs.put("job_1/1/a.bin", b"1")
    with writing(setting.engine) as session:
        doom(session, ["job_1/1/a.bin", "job_1/1/already-gone.bin"])

    setting.scan_for(SCAN_S)

    assert list(setting.blobs.list()) == []
    with reading(setting.engine) as session:
        assert list(list_doomed(session)) == []


def test_nothing_is_removed_while_a_backup_copies(setting: Setting) -> None:
    setting.blobs.put("job_1/1/a.bin", b"1")
    with writing(setting.engine) as session:
        doom(session, ["job_1/1/a.bin"])

    with held_back(setting.reconciler._settings.home):
        setting.scan_for(2 * SCAN_S)
        meanwhile = [*setting.blobs.list()]
    setting.scan_for(SCAN_S)

    assert (meanwhile, [*setting.blobs.list()]) == (["job_1/1/a.bin"], [])


def test_blobs_that_cannot_be_removed_keep_nothing_else_from_being_mended(setting: Setting, tmp_path: Path) -> None:
    (tmp_path / "blobs" / "a directory, which nobody can unlink").mkdir(parents=True)
    job_id, _ = add_running_job(setting.engine)
    with writing(setting.engine) as session:
        doom(session, ["a directory, which nobody can unlink"])

    setting.scan_for(TTL_S + 2 * SCAN_S)

    assert setting.job(job_id).losses_in_all == 1
    with reading(setting.engine) as session:
        assert len(list_doomed(session)) == 1


def test_a_job_that_waits_is_announced_again(setting: Setting) -> None:
    with writing(setting.engine) as session:
        add_job(session)

    setting.scan_for(SCAN_S)
    early = setting.was_announced
    setting.scan_for(16.0)

    assert (early, setting.was_announced) == (False, True)


def test_a_wish_that_a_crash_left_unheard_is_followed(setting: Setting) -> None:
    with writing(setting.engine) as session:
        job = add_job(session)
        job.desired = "cancel"

    setting.scan_for(16.0)

    assert setting.job(job.id).state == "cancelled"


def test_a_worker_that_no_longer_beats_is_forgotten_in_the_end(setting: Setting) -> None:
    with writing(setting.engine) as session:
        for name in ("lives", "died"):
            register_worker(session, worker_id=name, device="cpu", slots=1, version="1", facts={})

    def beat() -> None:
        with writing(setting.engine) as session:
            beat_worker(session, "lives", busy=0)

    setting.scan_for(6 * TTL_S, between=beat)

    with reading(setting.engine) as session:
        assert [worker.id for worker in list_workers(session)] == ["lives"]


def test_a_row_that_somebody_holds_keeps_no_other_attempt_from_being_judged(setting: Setting) -> None:
    if setting.engine.dialect.name == "sqlite":
        pytest.skip("SQLite locks all or nothing")
    held, _ = add_running_job(setting.engine)
    other, _ = add_running_job(setting.engine)
    setting.scan_for(TTL_S - SCAN_S)

    with writing(setting.engine) as session:
        session.execute(update(Job).where(Job.id == held).values(beat=Job.beat))
        setting.scan_for(3 * SCAN_S)
        meanwhile = setting.job(held).state, setting.job(other).state
    setting.scan_for(SCAN_S)

    assert meanwhile == ("running", "queued")
    assert setting.job(held).state == "queued"


def test_a_data_set_that_somebody_holds_keeps_no_other_from_being_judged(setting: Setting) -> None:
    if setting.engine.dialect.name == "sqlite":
        pytest.skip("SQLite locks all or nothing")
    with writing(setting.engine) as session:
        held, other = (preparation.begin_upload(session, LOCAL_OWNER).id for _ in range(2))
    setting.scan_for(TTL_S - SCAN_S)

    with writing(setting.engine) as session:
        session.execute(update(Dataset).where(Dataset.id == held).values(beat=Dataset.beat))
        setting.scan_for(3 * SCAN_S)
        meanwhile = [setting.dataset(each) is not None for each in (held, other)]
    setting.scan_for(SCAN_S)

    assert meanwhile == [True, False]
    assert setting.dataset(held) is None
