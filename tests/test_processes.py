"""The processes of a worker: who holds torch, what they are called, and that none outlives those it depends on."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from redis import Redis

from chaos.faults.broker import forgeries
from service.broker import TRAIN, broker_url
from service.models import Job
from tests.house import ENDLESS, House, a_sqlite_house, wait_until


@pytest.fixture(scope="module")
def shared_house(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[House]:
    with a_sqlite_house(tmp_path_factory.mktemp("house"), sqlite_template, slots=2) as house:
        yield house


@pytest.fixture
def house(shared_house: House) -> House:
    """A house with a worker, whatever the test before has done to its own."""
    shared_house.ensure_worker()
    return shared_house


@pytest.fixture(scope="module")
def shared_strict_house(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[House]:
    home = tmp_path_factory.mktemp("strict")
    strict = {"drain_s": 0.3, "job_memory_bytes": 64 * 2**20, "wake_again_s": 600.0}
    with a_sqlite_house(home, sqlite_template, **strict) as house:
        yield house


@pytest.fixture
def strict_house(shared_strict_house: House) -> House:
    """A house with little time to drain, little memory, and a worker that looks for work only when it is woken."""
    shared_strict_house.ensure_worker()
    return shared_strict_house


def maps_torch(process: psutil.Process) -> bool:
    return "libtorch" in Path(f"/proc/{process.pid}/maps").read_text()


def titles(processes: list[psutil.Process]) -> list[str]:
    return sorted(" ".join(process.cmdline()).strip() for process in processes)


def test_the_supervising_code_imports_no_torch() -> None:
    program = (
        "import sys, worker.main; print([m for m in sys.modules if m.split('.')[0] in ('torch', 'sklearn', 'flask')])"
    )

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert loaded.stdout.strip() == "[]"


def test_a_trainer_can_open_only_so_many_files() -> None:
    program = "import resource as r, worker.isolation as w; w.isolate('t'); print(*r.getrlimit(r.RLIMIT_NOFILE))"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    soft, hard = map(int, done.stdout.split())

    assert soft == hard <= 1024


def test_only_the_fork_server_and_its_trainers_hold_torch_and_each_process_has_its_title(house: House) -> None:
    worker = house.ensure_worker()
    job_id = house.submit(**ENDLESS)
    house.wait_for_step(job_id, 1)

    family = house.processes()

    assert titles(family) == ["ganymede: fork server", f"ganymede: trainer {job_id} #1", "ganymede: worker"]
    assert not maps_torch(worker)
    assert all(maps_torch(process) for process in family if process != worker)
    fork_server = next(process for process in family if "fork server" in titles([process])[0])
    assert fork_server.num_threads() == 1
    trainer = house.wait_for_trainer()
    assert os.getpgid(trainer.pid) == trainer.pid != os.getpgid(worker.pid)
    house.end(job_id)


def test_a_killed_worker_takes_its_trainers_with_it_and_another_one_continues(house: House) -> None:
    job_id = house.submit(loop={"max_steps": 400}, checkpoints={"every_steps": 20})
    house.wait_for_step(job_id, 50)
    family = house.processes()

    house.ensure_worker().kill()
    _, alive = psutil.wait_procs(family, timeout=5)
    house.start_worker()
    job = house.wait_for_end(job_id)

    assert alive == []
    assert (job.status, job.attempt, job.losses_in_all) == ("succeeded", 2, 1)
    first, rows = house.losses(job_id)
    assert (first, len(rows)) == (1, 400)


def test_a_killed_fork_server_takes_its_trainers_with_it_and_is_replaced(house: House) -> None:
    job_id = house.submit(loop={"max_steps": 400}, checkpoints={"every_steps": 20})
    house.wait_for_step(job_id, 50)
    trainer = house.wait_for_trainer()

    psutil.Process(trainer.ppid()).kill()
    gone, _ = psutil.wait_procs([trainer], timeout=5)
    job = house.wait_for_end(job_id)

    assert gone == [trainer]
    assert (job.status, job.attempt) == ("succeeded", 2)


def test_a_drained_worker_gives_its_jobs_back_saved_and_uncharged(house: House) -> None:
    job_id = house.submit(loop={"max_steps": 400})
    house.wait_for_step(job_id, 20)
    family = house.processes()

    code = house.stop_worker()
    waiting = house.job(job_id)
    _, alive = psutil.wait_procs(family, timeout=5)
    house.start_worker()
    job = house.wait_for_end(job_id)

    assert code == 0
    assert alive == []
    assert waiting.status == "queued"
    assert waiting.step >= 20
    assert house.event_types(job_id).count("checkpoint") == 2
    assert (job.status, job.attempt, job.losses_in_all) == ("succeeded", 2, 0)
    resumed = next(event for event in house.events(job_id) if event.type == "resumed")
    assert resumed.data["from_step"] == waiting.step
    first, rows = house.losses(job_id)
    assert (first, len(rows)) == (1, 400)


def test_a_trainer_that_is_too_slow_to_drain_is_ended_and_its_job_not_charged(strict_house: House) -> None:
    job_id = strict_house.submit(**ENDLESS)
    strict_house.wait_for_step(job_id, 20)
    trainer = strict_house.wait_for_trainer()

    trainer.suspend()
    code = strict_house.stop_worker()

    assert code == 0
    assert not trainer.is_running()
    assert (strict_house.job(job_id).status, strict_house.job(job_id).losses_in_all) == ("queued", 0)
    strict_house.end(job_id)


def test_a_suspended_trainer_loses_its_attempt_and_writes_nothing_more(house: House) -> None:
    job_id = house.submit(**ENDLESS, checkpoints={"every_steps": 20})
    house.wait_for_step(job_id, 50)
    zombie = house.wait_for_trainer()

    zombie.suspend()
    wait_until(lambda: house.job(job_id).attempt == 2 and house.job(job_id).step > 20, "the next attempt trains")
    zombie.resume()
    gone, _ = psutil.wait_procs([zombie], timeout=10)
    job = house.end(job_id)

    assert gone == [zombie]
    assert (job.status, job.attempt) == ("cancelled", 2)
    types = [(event.type, event.attempt) for event in house.events(job_id)]
    takeover = types.index(("resumed", 2))
    assert {attempt for _, attempt in types[takeover:]} == {2}
    assert len(house.losses(job_id)[1]) == job.step


def test_a_job_that_cannot_live_fails_after_three_attempts_with_the_reason(strict_house: House) -> None:
    large = {"width": 2048, "depth": 4}
    job_id = strict_house.submit(model={"generator": large, "discriminator": large})

    job = strict_house.wait_for_end(job_id)

    assert (job.status, job.reason, job.error_code) == ("failed", "out_of_memory", "attempts_exhausted")
    assert job.attempt == 3
    assert "memory" in (job.error_message or "")


def test_a_job_whose_files_cannot_be_stored_fails_with_the_words_of_that(house: House) -> None:
    def stand_in_its_way(job: Job) -> None:
        blobs = house.settings.home / "blobs"
        blobs.mkdir(exist_ok=True)
        (blobs / job.id).touch()  # where the directory of its files would be

    job_id = house.submit(stand_in_its_way, **ENDLESS, checkpoints={"every_steps": 5})

    job = house.wait_for_end(job_id)

    assert (job.status, job.reason, job.attempt) == ("failed", "crashed", 3)
    assert "FileExistsError" in (job.error_message or "")


def test_a_worker_finds_a_job_by_itself_while_the_broker_is_down(house: House) -> None:
    house.kill_broker()

    job = house.wait_for_end(house.submit())

    assert job.status == "succeeded"
    house.start_broker()


def test_jobs_posted_while_the_broker_was_down_run_at_the_first_wake_up_when_it_is_back(strict_house: House) -> None:
    strict_house.kill_broker()
    meanwhile = strict_house.submit()
    strict_house.start_broker()

    strict_house.wakeups.announce()

    assert strict_house.wait_for_end(meanwhile).status == "succeeded"


def test_a_wake_up_starts_a_job_without_waiting_for_anybody_to_look(strict_house: House) -> None:
    job_id = strict_house.submit()

    assert strict_house.wait_for_end(job_id).status == "succeeded"


def test_forged_messages_change_nothing_and_the_next_wake_up_is_heard(strict_house: House) -> None:
    worker = strict_house.ensure_worker()
    with Redis.from_url(broker_url(strict_house.settings).replace("redis+socket", "unix")) as broker:
        for forgery in forgeries([]):
            broker.lpush(TRAIN, forgery)
            wait_until(lambda: not broker.llen(TRAIN), "the worker has taken the forgery")

    job = strict_house.wait_for_end(strict_house.submit())

    assert job.status == "succeeded"
    assert strict_house.ensure_worker().pid == worker.pid
    assert strict_house.stop_worker() == 0
