"""Jobs whose steps are compiled, by a real worker: alone, and several of one shape in one process.

What is compiled is small, for that alone takes most of the time: networks of one layer, and no penalties.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.store.transitions import request_cancel, request_pause, request_resume
from tests.house import ENDLESS, House, a_sqlite_house, wait_until
from worker.machine import can_compile

COMPILES_WITHIN_S = 500.0  # half a minute where nothing else runs
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1_200),
    pytest.mark.skipif(not can_compile(), reason="no C++ compiler or no headers of Python"),
]

STEPS = 10_000
RATES = (1e-3, 2e-3, 5e-4, 1e-3)
ALONE: dict[str, Any] = {"step": "compiled"}
TOGETHER: dict[str, Any] = {"step": "compiled", "cohort": "auto"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[House]:
    with a_sqlite_house(tmp_path_factory.mktemp("house"), sqlite_template) as house:
        house.start_worker()
        yield house


def a_member(index: int, **parts: Any) -> dict[str, Any]:
    """The job of one seed and rate; its first steps are the same however many follow."""
    steady = {"schedule": {"name": "constant"}}
    return {
        "resources": TOGETHER,
        "optimizer": {"generator": {"lr": RATES[index], **steady}, "discriminator": steady},
        "objective": {"r1": 0.0, "r2": 0.0},
        "seed": index,
        "loop": {"max_steps": STEPS},
        "checkpoints": {"every_steps": 1_000},
        **parts,
    }


def submit_sweep(house: House, count: int = len(RATES), **parts: Any) -> list[str]:
    """Submit jobs of one shape while the only slot is taken, so that all wait when it becomes free."""
    before = house.submit(**ENDLESS)
    house.wait_for_step(before, 1)
    jobs = [house.submit(**a_member(index, **parts)) for index in range(count)]
    house.end(before)
    return jobs


def notes(house: House, job: str) -> str:
    """Return what the log of a job remarks."""
    return " ".join(event.message for event in house.events(job) if event.type == "note")


def assert_gone_on_alone(house: House, job: str) -> None:
    assert "cohort" not in house.job(job).plan
    assert "became alone" in notes(house, job)
    first, rows = house.losses(job)
    assert (first, len(rows)) == (1, STEPS)


@pytest.fixture(scope="module")
def compiled(house: House) -> str:
    """A job that was compiled alone and that nothing disturbed."""
    job = house.submit(**a_member(2, resources=ALONE))
    assert house.wait_for_end(job, within_s=COMPILES_WITHIN_S).status == "succeeded"
    return job


@pytest.fixture(scope="module")
def sweep(house: House) -> list[str]:
    """Four jobs that were trained together and that nothing disturbed."""
    jobs = submit_sweep(house)
    assert [house.wait_for_end(job, within_s=COMPILES_WITHIN_S).status for job in jobs] == ["succeeded"] * 4
    return jobs


def test_a_compiled_job_says_so_and_computes_what_an_eager_one_does(house: House, compiled: str) -> None:
    eager = house.submit(**a_member(2, resources={}, loop={"max_steps": 20}))

    assert house.wait_for_end(eager).plan == {
        "step": "eager",
        "threads": 1,
        "reason": "compiling pays from 10,000 steps and 180 s on",
    }
    assert house.job(compiled).plan == {"step": "compiled", "threads": 1, "reason": "asked for"}
    plans = [event.message for event in house.events(compiled) if event.type == "plan"]
    assert plans == ["Steps are compiled on 1 thread: asked for."]
    first, rows = house.losses(compiled)
    assert (first, len(rows)) == (1, STEPS)
    assert np.allclose(rows[:20], house.losses(eager)[1], rtol=1e-3, atol=1e-4)


def test_a_compiled_job_that_was_paused_ends_as_if_it_had_not_been(house: House, compiled: str) -> None:
    job_id = house.submit(**a_member(2, resources=ALONE))
    house.wait_for_step(job_id, 60)
    house.change(job_id, request_pause)
    house.wait_for_status(job_id, "paused")
    house.change(job_id, request_resume)

    job = house.wait_for_end(job_id)

    assert (job.status, job.attempt) == ("succeeded", 2)
    assert house.losses(job_id)[1].tobytes() == house.losses(compiled)[1].tobytes()
    assert house.generator_sha256(job_id) == house.generator_sha256(compiled)
    assert [event.type for event in house.events(job_id)].count("plan") == 1


def test_jobs_of_one_shape_are_trained_together_and_compute_what_each_would_alone(
    house: House, compiled: str, sweep: list[str]
) -> None:
    assert [house.job(job).plan["cohort"] for job in sweep] == [{"size": 4, "index": index} for index in range(4)]
    assert [house.job(job).attempt for job in sweep] == [1] * 4
    assert "cohort" not in house.job(compiled).plan
    assert all(len(house.losses(job)[1]) == STEPS for job in sweep)
    assert np.allclose(house.losses(sweep[2])[1][:20], house.losses(compiled)[1][:20], rtol=1e-3, atol=1e-4)
    assert len({house.generator_sha256(job) for job in sweep}) == 4


def test_jobs_that_are_cancelled_or_paused_leave_every_bit_of_the_others(house: House, sweep: list[str]) -> None:
    jobs = submit_sweep(house)
    for job in jobs:
        house.wait_for_step(job, 60)

    house.change(jobs[1], request_cancel)
    house.change(jobs[3], request_pause)
    paused = house.wait_for_status(jobs[3], "paused")
    others = [house.wait_for_end(jobs[place]) for place in range(3)]
    house.change(jobs[3], request_resume)
    resumed = house.wait_for_end(jobs[3], within_s=COMPILES_WITHIN_S)

    assert [(job.status, job.attempt) for job in others] == [("succeeded", 1), ("cancelled", 1), ("succeeded", 1)]
    assert house.job(jobs[1]).step < STEPS
    for place in (0, 2):
        assert house.losses(jobs[place])[1].tobytes() == house.losses(sweep[place])[1].tobytes()
        assert house.generator_sha256(jobs[place]) == house.generator_sha256(sweep[place])
    assert (resumed.status, resumed.attempt, resumed.losses_in_all) == ("succeeded", 2, 0)
    assert_gone_on_alone(house, jobs[3])
    together = slice(0, paused.step)
    assert house.losses(jobs[3])[1][together].tobytes() == house.losses(sweep[3])[1][together].tobytes()


def test_a_worker_that_is_drained_gives_back_every_job_saved_and_uncharged(house: House) -> None:
    jobs = submit_sweep(house)
    for job in jobs:
        house.wait_for_step(job, 60)

    code = house.stop_worker()
    waiting = [house.job(job) for job in jobs]
    for job in jobs[1:]:
        house.change(job, request_cancel)
    house.start_worker()
    ended = house.wait_for_end(jobs[0], within_s=COMPILES_WITHIN_S)

    assert code == 0
    assert [(job.status, job.attempt) for job in waiting] == [("queued", 1)] * 4
    assert (ended.status, ended.attempt, ended.losses_in_all) == ("succeeded", 2, 0)
    resumed = next(event for event in house.events(jobs[0]) if event.type == "resumed")
    assert resumed.data["from_step"] == waiting[0].step >= 60
    assert_gone_on_alone(house, jobs[0])


def test_jobs_whose_process_is_killed_each_lose_an_attempt_and_go_on_alone(house: House) -> None:
    jobs = submit_sweep(house)
    for job in jobs:
        wait_until(lambda job=job: "checkpoint" in house.event_types(job), "a checkpoint is shown")

    house.wait_for_trainer().kill()
    for job in jobs:
        wait_until(lambda job=job: house.job(job).losses_in_all, "the loss is counted")
    for job in jobs[2:]:
        house.change(job, request_cancel)

    ended = [house.wait_for_end(job, within_s=COMPILES_WITHIN_S) for job in jobs]
    assert [job.status for job in ended[:2]] == ["succeeded"] * 2
    assert [(job.attempt, job.losses_in_all) for job in ended[:2]] == [(2, 1)] * 2
    assert [job.losses_in_all for job in ended[2:]] == [1] * 2
    for job in jobs[:2]:
        assert_gone_on_alone(house, job)


def test_jobs_go_on_eagerly_where_the_compiler_fails_those_together_alone_first(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "/bin/false")
    with a_sqlite_house(tmp_path, sqlite_template) as house:
        house.start_worker()
        alone = house.submit(loop={"max_steps": 10_000})
        assert house.wait_for_step(alone, 20).plan == {"step": "eager", "threads": 1, "reason": "the compiler failed"}
        assert (house.job(alone).attempt, house.job(alone).losses_in_all) == (2, 0)
        house.end(alone)
        jobs = submit_sweep(house, 2, resources={"cohort": "auto"}, loop={"max_steps": 10_000})

        eager = house.wait_for_step(jobs[0], 20)
        waiting = house.job(jobs[1])

        assert (eager.plan["step"], eager.plan["reason"]) == ("eager", "the compiler failed")
        assert (eager.attempt, eager.losses_in_all) == (3, 0)
        assert (waiting.attempt, waiting.losses_in_all, "cohort" in waiting.plan) == (1, 0, False)
        for job in jobs:
            assert "As the compiler failed, the job goes on without the others." in notes(house, job)
            house.end(job)
