"""Jobs through the real parts: broker, worker, fork server, trainers, database, blobs."""

from collections.abc import Iterator

import numpy as np
import pytest

from service.blobs import make_blobs, verify
from service.db import reading
from service.models import Checkpoint, Job, Sample
from service.store.jobs import patch_job
from service.store.transitions import request_cancel, request_pause, request_resume
from tests.house import ENDLESS, House, a_house, wait_until

LONG = {"max_steps": 500}


@pytest.fixture(scope="module")
def house(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house whose worker trains two jobs at once."""
    with a_house(tmp_path_factory.mktemp("house"), module_database_url, slots=2) as house:
        house.start_worker()
        yield house


@pytest.fixture(scope="module")
def unbroken(house: House) -> str:
    """A long job that nothing disturbs."""
    job_id = house.submit(loop=LONG)
    assert house.wait_for_end(job_id).status == "succeeded"
    return job_id


def assert_equals_the_unbroken(house: House, job_id: str, unbroken: str) -> None:
    """Every step stands exactly once, with the bits that it has without interruption."""
    first, rows = house.losses(job_id)
    expected_first, expected = house.losses(unbroken)
    assert (first, rows.shape) == (expected_first, expected.shape) == (1, (LONG["max_steps"], expected.shape[1]))
    assert rows.tobytes() == expected.tobytes()
    assert house.generator_sha256(job_id) == house.generator_sha256(unbroken)


def test_a_job_runs_to_its_last_step_and_saves_it(house: House) -> None:
    job_id = house.submit(samples={"every_steps": 100}, checkpoints={"every_steps": 200, "keep_last": 2})

    job = house.wait_for_end(job_id)

    assert (job.status, job.reason, job.step, job.attempt) == ("succeeded", "max_steps", 300, 1)
    assert job.samples_seen == 300 * 16
    assert job.trained_s > 0
    assert job.last_losses is not None
    assert job.last_losses["step"] == 300
    first, rows = house.losses(job_id)
    assert (first, len(rows)) == (1, 300)
    assert np.isfinite(rows).all()
    with reading(house.engine) as session:
        checkpoints = list(session.query(Checkpoint).filter_by(job_id=job_id).order_by(Checkpoint.step))
        samples = list(session.query(Sample).filter_by(job_id=job_id).order_by(Sample.step))
    assert [checkpoint.step for checkpoint in checkpoints] == [200, 300]
    assert [sample.step for sample in samples] == [100, 200, 300]
    for row in [*checkpoints, *samples]:
        for file in row.files.values():
            verify(make_blobs(house.settings.blobs), file)
    assert house.event_types(job_id)[:2] == ["created", "started"]
    assert house.event_types(job_id)[-3:] == ["sample", "checkpoint", "succeeded"]


def test_checkpoints_are_taken_and_kept_at_the_multiples_that_are_asked_for(house: House) -> None:
    checkpoints = {"every_steps": 40, "keep_last": 1, "keep_every": 100}
    job_id = house.submit(checkpoints=checkpoints, health={"on_divergence": "stop"})

    house.wait_for_end(job_id)

    with reading(house.engine) as session:
        rows = session.query(Checkpoint).filter_by(job_id=job_id).order_by(Checkpoint.step)
        assert [row.step for row in rows] == [100, 200, 300]


def test_equal_seeds_give_equal_bytes_of_history_and_generator(house: House, unbroken: str) -> None:
    again = house.submit(loop=LONG)
    other = house.submit(loop=LONG, seed=8)

    house.wait_for_end(again)
    house.wait_for_end(other)

    assert_equals_the_unbroken(house, again, unbroken)
    assert house.generator_sha256(other) != house.generator_sha256(unbroken)


def test_a_paused_job_resumes_where_it_stopped_and_records_each_step_once(house: House, unbroken: str) -> None:
    job_id = house.submit(loop=LONG)
    house.wait_for_step(job_id, 20)

    house.change(job_id, request_pause)
    paused = house.wait_for_status(job_id, "paused")
    house.change(job_id, request_resume)
    job = house.wait_for_end(job_id)

    assert 20 <= paused.step < 500
    assert (job.status, job.attempt, job.losses_in_all) == ("succeeded", 2, 0)
    assert_equals_the_unbroken(house, job_id, unbroken)


def test_a_running_job_is_cancelled_and_keeps_what_it_has(house: House) -> None:
    job_id = house.submit(**ENDLESS, checkpoints={"every_steps": 10})
    house.wait_for_step(job_id, 20)

    house.change(job_id, request_cancel)
    job = house.wait_for_end(job_id)

    assert (job.status, job.reason) == ("cancelled", "user_request")
    assert len(house.losses(job_id)[1]) == job.step >= 20
    with reading(house.engine) as session:
        assert session.query(Checkpoint).filter_by(job_id=job_id).count() > 0


def test_more_steps_asked_for_while_training_are_trained(house: House) -> None:
    job_id = house.submit(loop=LONG)
    house.wait_for_step(job_id, 20)

    house.change(job_id, lambda session, job: patch_job(session, job, {"max_steps": 550}))
    job = house.wait_for_end(job_id)

    assert (job.status, job.step) == ("succeeded", 550)


def test_a_job_succeeds_early_after_its_seconds(house: House) -> None:
    job_id = house.submit(loop={"max_steps": 1_000_000, "max_seconds": 0.5})

    job = house.wait_for_end(job_id)

    assert (job.status, job.reason) == ("succeeded", "max_seconds")
    with reading(house.engine) as session:
        assert session.get(Checkpoint, (job_id, job.step)) is not None
        assert session.get(Sample, (job_id, job.step)) is not None


def test_a_diverging_job_is_rolled_back_three_times_and_then_fails_with_the_reason(house: House) -> None:
    two_layers = {"width": 8, "depth": 2}  # unbounded scores and plain gradient descent: they grow at any such rate
    wild = {"name": "sgd", "lr": 10.0, "schedule": {"name": "constant", "warmup_steps": 0}}
    job_id = house.submit(
        loop=LONG,
        model={"latent_codes": 0, "generator": two_layers, "discriminator": two_layers},
        objective={"loss": "wasserstein", "r1": 0, "r2": 0},
        optimizer={"generator": wild, "discriminator": wild},
    )

    job = house.wait_for_end(job_id)

    assert (job.status, job.reason, job.error_code) == ("failed", "diverged", "diverged")
    first_step, rows = house.losses(job_id)
    assert (first_step, len(rows)) == (1, job.step)
    assert "learning rate" in (job.error_message or "")
    assert "after 3 rollbacks" in (job.error_message or "")
    assert (job.attempt, job.rollbacks, job.losses_in_all) == (4, 3, 0)
    rollbacks = [event.data for event in house.events(job_id) if event.type == "rollback"]
    assert [(data["to_step"], data["attempt"], data["rate_factor"]) for data in rollbacks] == [
        (0, 1, 0.5),
        (0, 2, 0.25),
        (0, 3, 0.125),
    ]
    assert [event.data["rule"] for event in house.events(job_id) if event.type == "diagnosis"] == ["divergence"] * 4


def test_a_job_that_diverges_later_goes_back_to_a_checkpoint_of_before_though_one_is_kept(house: House) -> None:
    two_layers = {"width": 8, "depth": 2}
    ever_wilder = {"name": "sgd", "lr": 10.0, "schedule": {"name": "constant", "warmup_steps": 20_000}}
    job_id = house.submit(
        loop={"max_steps": 3_000},
        model={"latent_codes": 0, "generator": two_layers, "discriminator": two_layers},
        objective={"loss": "wasserstein", "r1": 0, "r2": 0},
        optimizer={"generator": ever_wilder, "discriminator": ever_wilder},
        checkpoints={"every_steps": 10, "keep_last": 1},
    )

    job = house.wait_for_end(job_id)

    assert (job.status, job.reason, job.rollbacks) == ("failed", "diverged", 3)
    events = house.events(job_id)
    began = [event.data["evidence"]["first_step"] for event in events if event.type == "diagnosis"]
    returned = [event.data["to_step"] for event in events if event.type == "rollback"]
    assert [0 < to_step < first_step for to_step, first_step in zip(returned, began, strict=False)] == [True] * 3


def test_data_that_changed_since_the_spec_was_resolved_fails_the_job(house: House) -> None:
    def expect_other_content(job: Job) -> None:
        job.resolved_spec = job.resolved_spec | {"dataset": {**job.resolved_spec["dataset"], "sha256": "0" * 64}}

    job_id = house.submit(tamper=expect_other_content)

    job = house.wait_for_end(job_id)

    assert (job.status, job.reason) == ("failed", "bad_dataset")


def test_a_killed_trainer_is_replaced_and_continues_exactly(house: House, unbroken: str) -> None:
    job_id = house.submit(loop=LONG, checkpoints={"every_steps": 50})
    house.wait_for_step(job_id, 120)

    house.wait_for_trainer().kill()
    job = house.wait_for_end(job_id)

    assert (job.status, job.attempt, job.losses_in_all) == ("succeeded", 2, 1)
    assert_equals_the_unbroken(house, job_id, unbroken)
    lost = next(event for event in house.events(job_id) if event.type == "lost")
    assert "SIGKILL" in lost.message
    wait_until(
        lambda: set(make_blobs(house.settings.blobs).list()) == house.shown_keys(), "no blob without a row remains"
    )
