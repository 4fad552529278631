"""Claiming: which checkpoint an attempt continues from, and what is said of a trainer that died silently."""

import errno
import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from service.blobs import BlobStore, make_blobs, store_file
from service.broker import Wakeups
from service.clock import now
from service.db import reading, writing
from service.errors import StorageAway
from service.models import Checkpoint, Dataset, Job, Owner
from service.orphans import belongs_to
from service.settings import Settings
from service.store import transitions
from service.store.events import list_events
from service.store.workers import list_workers
from tests.building import add_job, add_ready_dataset, claim_next, save_checkpoint
from worker.attempt import Attempt
from worker.forkserver import ForkServer
from worker.machine import Machine
from worker.origins import Choice
from worker.presence import Presence
from worker.supervisor import Supervisor, explain


class ReadyForkServer(ForkServer):
    """A fork server that is always ready and never asked to fork."""

    def get_warm(self) -> None:
        return


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return make_blobs(f"file://{tmp_path}/blobs")


@pytest.fixture
def make_supervisor(engine: Engine, blobs: BlobStore, tmp_path: Path) -> Callable[..., Supervisor]:
    assert belongs_to(blobs, engine)  # as a worker's reconciler sees to when it begins

    def make(*, gpus: int = 0, slots: int = 1, can_compile: bool = False) -> Supervisor:
        settings = Settings(_env_file=None, home=tmp_path, slots=slots)
        device = "cuda" if gpus else "cpu"
        machine = Machine(device=device, gpus=gpus, cores=8, torch="2", gpu=None, can_compile=can_compile)
        wakeups = Wakeups(settings)
        return Supervisor(
            engine, blobs, wakeups, ReadyForkServer(), settings=settings, worker_id="worker-1", machine=machine
        )

    return make


def add_job_with_checkpoints(engine: Engine, blobs: BlobStore, *steps: int) -> dict[int, str]:
    """Store a job that is queued again after an attempt which saved these steps; return the checkpoints' keys."""
    with writing(engine) as session:
        job = add_job(session)
        transitions.claim(session, job, worker="worker-1", resume_from=None)
        keys = {}
        for step in steps:
            file = store_file(blobs, job_id=job.id, attempt=1, name=f"c-{step}.bin", pieces=[str(step).encode()])
            save_checkpoint(session, job, step, files={"all": file})
            keys[step] = file["key"]
        transitions.release(session, job.id, job.attempt)
    return keys


def checkpointed_steps(engine: Engine) -> list[int]:
    with reading(engine) as session:
        return [checkpoint.step for checkpoint in session.query(Checkpoint).order_by(Checkpoint.step)]


def test_an_attempt_continues_from_the_newest_checkpoint(
    engine: Engine, blobs: BlobStore, make_supervisor: Callable[..., Supervisor]
) -> None:
    keys = add_job_with_checkpoints(engine, blobs, 10, 20)

    attempt = make_supervisor()._claim()

    assert attempt is not None
    assert attempt.number == 2
    assert attempt.origin is not None
    assert (attempt.origin.step, attempt.origin.file["key"]) == (20, keys[20])


@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    engine: Engine, blobs: BlobStore, make_supervisor: Callable[..., Supervisor], tmp_path: Path, damage: str
) -> None:
    keys = add_job_with_checkpoints(engine, blobs, 10, 20)
    path = tmp_path / "blobs" / keys[20]
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(b"30" if damage == "flipped" else b"2")

    attempt = make_supervisor()._claim()

    assert attempt is not None
    assert attempt.origin is not None
    assert attempt.origin.step == 10
    assert checkpointed_steps(engine) == [10]


class FailingBlobs:
    """A store that cannot read some of its blobs."""

    def __init__(self, blobs: BlobStore, errors: dict[str, OSError]) -> None:
        self._blobs, self._errors = blobs, errors

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)

    def open(self, key: str) -> io.BufferedIOBase:
        if key in self._errors:
            raise self._errors[key]
        return self._blobs.open(key)


@pytest.mark.parametrize("why", [StorageAway("away"), PermissionError(errno.EACCES, "no"), OSError(errno.EMFILE, "no")])
def test_jobs_whose_checkpoints_cannot_be_read_now_wait_and_hold_up_no_other(
    engine: Engine, blobs: BlobStore, make_supervisor: Callable[..., Supervisor], why: OSError
) -> None:
    keys = [add_job_with_checkpoints(engine, blobs, 10)[10] for _ in range(6)]
    with writing(engine) as session:
        other = add_job(session).id
    supervisor = make_supervisor()
    supervisor._claims._blobs = cast("BlobStore", FailingBlobs(blobs, dict.fromkeys(keys, why)))

    attempt, nothing = supervisor._claim(), supervisor._claim()

    assert attempt is not None
    assert attempt.job_id == other
    assert nothing is None
    assert checkpointed_steps(engine) == [10] * 6


def test_a_checkpoint_on_a_bad_sector_falls_back_to_the_one_before_and_the_owner_is_told(
    engine: Engine, blobs: BlobStore, make_supervisor: Callable[..., Supervisor]
) -> None:
    keys = add_job_with_checkpoints(engine, blobs, 10, 20)
    supervisor = make_supervisor()
    bad_sector = OSError(errno.EIO, "Input/output error")
    supervisor._claims._blobs = cast("BlobStore", FailingBlobs(blobs, {keys[20]: bad_sector}))

    attempt = supervisor._claim()

    assert attempt is not None
    assert attempt.origin is not None
    assert attempt.origin.step == 10
    with reading(engine) as session:
        notes = [event.message for event in list_events(session, attempt.job_id).data if event.type == "note"]
    assert notes == ["The checkpoint at step 20 was damaged and is given up."]


def test_one_slot_reads_a_checkpoint_while_another_claims_the_next_job(
    engine: Engine, blobs: BlobStore, make_supervisor: Callable[..., Supervisor]
) -> None:
    slow_key = add_job_with_checkpoints(engine, blobs, 10)[10]
    with writing(engine) as session:
        other = add_job(session).id
    supervisor = make_supervisor(slots=2)
    reading_began, go_on = threading.Event(), threading.Event()
    claims: list[Attempt | None] = []

    class SlowBlobs(FailingBlobs):
        def open(self, key: str) -> io.BufferedIOBase:
            reading_began.set()
            go_on.wait(10)
            return super().open(key)

    supervisor._claims._blobs = cast("BlobStore", SlowBlobs(blobs, {}))
    slow_slot = threading.Thread(target=lambda: claims.append(supervisor._claim()))

    slow_slot.start()
    reading_began.wait(10)
    claims.append(supervisor._claim())
    go_on.set()
    slow_slot.join()

    assert [claim.job_id if claim else None for claim in claims] == [other, slow_key.split("/")[0]]


def test_a_beat_that_fails_does_not_end_the_looks_for_work(
    engine: Engine, make_supervisor: Callable[..., Supervisor]
) -> None:
    supervisor = make_supervisor()
    settings = Settings(_env_file=None)
    presence = Presence(engine, supervisor, (), settings=settings, worker_id="worker-1", machine=supervisor._machine)

    presence._try_write(lambda session: session.execute(text("SELECT 1 FROM a_table_that_is_not_there")))
    presence._try_write(presence._beat)

    with reading(engine) as session:
        assert [worker.beat for worker in list_workers(session)] == [1]


def test_without_a_whole_checkpoint_an_attempt_starts_from_the_beginning(
    engine: Engine, blobs: BlobStore, make_supervisor: Callable[..., Supervisor]
) -> None:
    keys = add_job_with_checkpoints(engine, blobs, 10)
    blobs.delete(keys[10])

    attempt = make_supervisor()._claim()

    assert attempt is not None
    assert attempt.origin is None
    assert checkpointed_steps(engine) == []


@pytest.mark.parametrize("is_marked", [True, False])
def test_a_store_that_is_not_there_costs_no_job_its_checkpoints(
    engine: Engine, blobs: BlobStore, make_supervisor: Callable[..., Supervisor], tmp_path: Path, is_marked: bool
) -> None:
    add_job_with_checkpoints(engine, blobs, 10, 20)
    if not is_marked:
        blobs.delete(".database")
    (tmp_path / "blobs").rename(tmp_path / "not mounted")

    nothing, kept = make_supervisor()._claim(), checkpointed_steps(engine)
    (tmp_path / "not mounted").rename(tmp_path / "blobs")
    attempt = make_supervisor()._claim()

    assert (nothing, kept) == (None, [10, 20])
    assert attempt is not None
    assert attempt.origin is not None
    assert attempt.origin.step == 20


def test_two_workers_never_claim_one_job(engine: Engine, make_supervisor: Callable[..., Supervisor]) -> None:
    with writing(engine) as session:
        add_job(session)
    first, second = make_supervisor(), make_supervisor()

    claims = [first._claim(), second._claim()]

    assert [claim is not None for claim in claims] == [True, False]


def test_a_job_claimed_since_it_was_seen_is_left_alone(
    engine: Engine, make_supervisor: Callable[..., Supervisor]
) -> None:
    with writing(engine) as session:
        job_id = add_job(session).id
    with reading(engine) as session:
        seen = session.get_one(Job, job_id)
    with writing(engine) as session:
        job = claim_next(session)
        transitions.release(session, job.id, job.attempt)

    assert make_supervisor()._claims._claim_one(seen, Choice(None)) is None


def spoil_the_spec(_session: Session, job: Job) -> None:
    job.resolved_spec = {"dataset": "ring", "of_a_newer_version": True}


def lose_the_data_set(session: Session, job: Job) -> None:
    session.delete(session.get_one(Dataset, job.dataset_id))


@pytest.mark.parametrize("spoil", [spoil_the_spec, lose_the_data_set])
def test_a_job_that_cannot_begin_is_lost_at_once_each_time_and_ends(
    engine: Engine, make_supervisor: Callable[..., Supervisor], spoil: Callable[[Session, Job], None]
) -> None:
    with writing(engine) as session:
        job = add_job(session, dataset=add_ready_dataset(session).id)
        spoil(session, job)
    supervisor = make_supervisor()

    states = []
    for _ in range(3):
        supervisor.work()
        with writing(engine) as session:
            job = session.get_one(Job, job.id)
            states.append((job.state, job.losses_in_all, job.hold_s))
            job.hold_s = None

    assert states == [("queued", 1, 5.0), ("queued", 2, 10.0), ("failed", 3, None)]
    assert (job.reason, job.error_code) == ("crashed", "attempts_exhausted")
    assert "could not begin" in (job.error_message or "")
    assert supervisor.free == 1


@pytest.fixture
def lose_next_answer(engine: Engine) -> Callable[[], None]:
    """Let the next commit be done, and its answer be lost on the way."""

    def lose() -> None:
        def commit_and_hear_nothing(connection: Connection) -> None:
            connection.connection.driver_connection.commit()  # type: ignore[union-attr]
            raise OperationalError("COMMIT", None, ConnectionResetError())

        event.listen(engine, "commit", commit_and_hear_nothing, once=True)

    return lose


def test_a_claim_whose_answer_was_lost_is_given_back_uncharged_and_claimed_again(
    engine: Engine, make_supervisor: Callable[..., Supervisor], lose_next_answer: Callable[[], None]
) -> None:
    with writing(engine) as session:
        job_id = add_job(session).id
    supervisor = make_supervisor()

    lose_next_answer()
    unheard = supervisor._claim()
    lose_next_answer()
    still_unheard = supervisor._claim()
    heard = supervisor._claim()

    assert (unheard, still_unheard) == (None, None)
    assert heard is not None
    assert (heard.job_id, heard.number) == (job_id, 2)
    with reading(engine) as session:
        assert session.get_one(Job, job_id).losses_in_all == 0


def test_a_claim_in_doubt_is_given_back_when_the_worker_leaves(
    engine: Engine, make_supervisor: Callable[..., Supervisor], lose_next_answer: Callable[[], None]
) -> None:
    with writing(engine) as session:
        job_id = add_job(session).id
    supervisor = make_supervisor()

    lose_next_answer()
    supervisor._claim()
    supervisor.drain()
    supervisor.join()

    with reading(engine) as session:
        job = session.get_one(Job, job_id)
        assert (job.state, job.losses_in_all) == ("queued", 0)


def test_a_claim_that_was_not_committed_leaves_no_doubt_about_the_next(
    engine: Engine, make_supervisor: Callable[..., Supervisor]
) -> None:
    with writing(engine) as session:
        job_id = add_job(session).id
    supervisor = make_supervisor()

    @event.listens_for(engine, "commit", once=True)
    def break_off(_connection: Connection) -> None:
        raise OperationalError("COMMIT", None, ConnectionResetError())

    unheard = supervisor._claim()
    heard = supervisor._claim()
    nothing_left = supervisor._claim()

    assert (unheard, nothing_left) == (None, None)
    assert heard is not None
    with reading(engine) as session:
        job = session.get_one(Job, job_id)
        assert (job.state, job.attempt) == ("running", 1)


def test_a_draining_supervisor_claims_nothing(engine: Engine, make_supervisor: Callable[..., Supervisor]) -> None:
    with writing(engine) as session:
        add_job(session)
    supervisor = make_supervisor()

    supervisor.drain()

    assert supervisor._claim() is None


def test_a_job_for_a_gpu_waits_for_a_worker_that_has_one(
    engine: Engine, make_supervisor: Callable[..., Supervisor]
) -> None:
    with writing(engine) as session:
        add_job(session, resources={"device": "cuda"})

    without, with_gpu = make_supervisor()._claim(), make_supervisor(gpus=2)._claim()

    assert without is None
    assert with_gpu is not None


def test_slots_are_spread_over_the_gpus() -> None:
    machine = Machine(device="cuda", gpus=2, cores=8, torch="2", gpu=None, can_compile=False)

    assert [machine.device_of(slot, "auto") for slot in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert machine.device_of(0, "cpu") == "cpu"


def test_a_silent_death_is_put_into_words() -> None:
    assert "SIGSEGV" in explain(-11, starved=False).message
    assert explain(-9, starved=False).reason == "crashed"
    assert explain(-9, starved=True).reason == "out_of_memory"
    assert "exit code 7" in explain(7, starved=False).message


TOGETHER = {"step": "compiled", "cohort": "auto"}


def add_sweep(engine: Engine, count: int, **parts: Any) -> list[str]:
    """Store jobs of one shape."""
    with writing(engine) as session:
        return [add_job(session, seed=seed, **{"resources": TOGETHER, **parts}).id for seed in range(count)]


def claimed_together(supervisor: Supervisor) -> list[str]:
    """Claim what one process would be given; return the ids of the jobs."""
    first = supervisor._claim()
    assert first is not None
    plan = supervisor._plan(first, "cpu")
    return [each.job_id for each in (first, *supervisor._claim_alike(first, plan))]


@pytest.mark.parametrize(("slots", "sizes"), [(1, [5]), (2, [3, 2]), (5, [1, 1])])
def test_jobs_of_one_shape_that_are_more_than_the_slots_are_shared_among_these(
    engine: Engine, make_supervisor: Callable[..., Supervisor], slots: int, sizes: list[int]
) -> None:
    jobs = add_sweep(engine, 5)
    supervisor = make_supervisor(slots=slots, can_compile=True)

    claimed = []
    for _ in sizes:
        supervisor._slots.get()
        claimed.append(claimed_together(supervisor))

    assert [len(each) for each in claimed] == sizes
    together = [job for each in claimed for job in each]
    assert together == jobs[: len(together)]


@pytest.mark.parametrize(
    "another",
    [
        {"resources": {"step": "compiled"}},
        {"resources": TOGETHER, "loop": {"batch_size": 32}},
        {"resources": TOGETHER, "priority": -1},
        {"resources": {**TOGETHER, "step": "eager"}},
    ],
    ids=["not asked for", "another shape", "less urgent", "eager"],
)
def test_other_jobs_are_not_trained_together_with_one(
    engine: Engine, make_supervisor: Callable[..., Supervisor], another: dict[str, Any]
) -> None:
    (first,) = add_sweep(engine, 1)
    with writing(engine) as session:
        add_job(session, **another)
    supervisor = make_supervisor(can_compile=True)
    supervisor._slots.get()

    assert claimed_together(supervisor) == [first]


def test_no_jobs_are_trained_together_while_another_owner_waits(
    engine: Engine, make_supervisor: Callable[..., Supervisor]
) -> None:
    first, *_ = add_sweep(engine, 3)
    with writing(engine) as session:
        session.add(Owner(id="own_other", name="other", created_at=now()))
        session.flush()
        add_job(session, owner_id="own_other")
    supervisor = make_supervisor(can_compile=True)
    supervisor._slots.get()

    assert claimed_together(supervisor) == [first]


def test_a_worker_that_compiles_nothing_trains_jobs_one_by_one(
    engine: Engine, make_supervisor: Callable[..., Supervisor]
) -> None:
    first, *_ = add_sweep(engine, 3)
    supervisor = make_supervisor()
    supervisor._slots.get()

    assert claimed_together(supervisor) == [first]


def test_a_job_that_was_claimed_beside_another_without_an_answer_is_given_back_uncharged(
    engine: Engine, make_supervisor: Callable[..., Supervisor], lose_next_answer: Callable[[], None]
) -> None:
    first, second, _ = add_sweep(engine, 3)
    supervisor = make_supervisor(can_compile=True)
    attempt = supervisor._claim()
    assert attempt is not None

    lose_next_answer()
    beside = [*supervisor._claim_alike(attempt, supervisor._plan(attempt, "cpu"))]
    heard = supervisor._claim()

    assert (attempt.job_id, beside) == (first, [])
    assert heard is not None
    assert (heard.job_id, heard.number) == (second, 2)
    with reading(engine) as session:
        assert session.get_one(Job, second).losses_in_all == 0
