"""Rolling back: to the newest checkpoint before the trouble, at half the rates, with every step exactly once."""

import pytest
from sqlalchemy import Engine

from service.db import reading, writing
from service.errors import AttemptOver
from service.models import Checkpoint, Desired, Event, Job
from service.spec.health import LOOK_BACK_STEPS, look_back_for
from service.spec.job import HealthSpec
from service.store import history
from service.store.checkpoints import retire_checkpoints, why_kept
from service.store.rollbacks import Trouble, roll_back
from service.store.transitions import Orders, request_cancel, request_pause
from tests.building import add_running_job, claim_next, save_checkpoint
from worker.attempt import Attempt
from worker.endings import conclude
from worker.gan.diagnosis.case import Finding
from worker.gan.diagnosis.doctor import Change, Standing
from worker.treatment import ending_for

COLUMNS = ("value",)


def trouble(first_step: int = 25) -> Trouble:
    return Trouble(first_step, reason="diverged", code="diverged", message="It has diverged.")


def a_troubled_job(engine: Engine) -> tuple[str, int]:
    """A running job with 40 steps and checkpoints at 10, 20 and 30, of which trouble from 25 on spoils the last."""
    job_id, attempt = add_running_job(engine)
    with writing(engine) as session:
        job = session.get_one(Job, job_id)
        rows = [[float(step)] for step in range(1, 41)]
        history.append_rows(session, job_id, attempt=attempt, first_step=1, columns=COLUMNS, rows=rows)
        for step in (10, 20, 30):
            save_checkpoint(session, job, step)
        standing = {"state": "raised", "finding": None}
        job.diagnosis = {
            "past": {"diversity": 0.9, "coverage": 0.9},
            "rules": {"saturation": {**standing, "since_step": 5}, "divergence": {**standing, "since_step": 40}},
        }
    return job_id, attempt


def test_a_rollback_cuts_what_follows_the_last_healthy_checkpoint_and_queues_the_job_uncharged(engine: Engine) -> None:
    job_id, attempt = a_troubled_job(engine)

    with writing(engine) as session:
        roll_back(session, job_id, attempt, trouble())

    with reading(engine) as session:
        job = session.get_one(Job, job_id)
        assert (job.state, job.step, job.rollbacks, job.losses_in_all, job.hold_s) == ("queued", 20, 1, 0, None)
        assert history.span(session, job_id) == (1, 20)
        assert [row.step for row in session.query(Checkpoint).order_by(Checkpoint.step)] == [10, 20]
        assert job.diagnosis is not None
        assert list(job.diagnosis["rules"]) == ["saturation"]
        assert "past" not in job.diagnosis  # the best of steps that are gone is no measure of those to come
        told = session.query(Event).filter_by(job_id=job_id, type="rollback").one()
        assert told.data == {"to_step": 20, "attempt": 1, "rule": "diverged", "rate_factor": 0.5}
        assert "Rolled back to step 20, with 0.5 of the learning rates." in told.message


def test_an_attempt_after_a_rollback_begins_at_half_the_rates(engine: Engine) -> None:
    job_id, attempt = a_troubled_job(engine)
    with writing(engine) as session:
        roll_back(session, job_id, attempt, trouble())

    with writing(engine) as session:
        job = claim_next(session, resume_from=session.get_one(Checkpoint, (job_id, 20)))

        assert Attempt.of(job, None).rate_factor == 0.5
        assert history.span(session, job_id) == (1, 20)


def test_without_a_healthy_checkpoint_a_job_begins_again(engine: Engine) -> None:
    job_id, attempt = a_troubled_job(engine)

    with writing(engine) as session:
        roll_back(session, job_id, attempt, trouble(first_step=7))

    with reading(engine) as session:
        assert session.get_one(Job, job_id).step == 0
        assert history.span(session, job_id) is None
        assert session.query(Checkpoint).all() == []


@pytest.mark.parametrize("every_steps", [10, 130, 250])
def test_the_first_rollback_has_a_checkpoint_from_before_all_that_the_rules_look_at(
    engine: Engine, every_steps: int
) -> None:
    job_id, attempt = add_running_job(engine)
    newest = 1500 // every_steps * every_steps
    with writing(engine) as session:
        job = session.get_one(Job, job_id)
        for step in range(every_steps, newest + 1, every_steps):
            save_checkpoint(session, job, step)
            retire_checkpoints(session, job, keep_last=3, look_back=look_back_for(HealthSpec()))
        kept = session.query(Checkpoint).count()

    with writing(engine) as session:
        roll_back(session, job_id, attempt, trouble(first_step=newest - LOOK_BACK_STEPS + 1))

    with reading(engine) as session:
        assert 0 < newest - session.get_one(Job, job_id).step <= 2 * LOOK_BACK_STEPS + every_steps
    assert kept <= 5


def test_nothing_is_kept_to_roll_back_to_where_nothing_is_rolled_back() -> None:
    kept = why_kept(
        range(10, 1000, 10), keep_last=1, keep_every=None, look_back=look_back_for(HealthSpec(on_divergence="stop"))
    )

    assert [step for step, reasons in kept.items() if reasons] == [990]


def test_an_attempt_that_is_over_rolls_nothing_back(engine: Engine) -> None:
    job_id, attempt = a_troubled_job(engine)

    with writing(engine) as session, pytest.raises(AttemptOver):
        roll_back(session, job_id, attempt - 1, trouble())

    with reading(engine) as session:
        assert session.get_one(Job, job_id).rollbacks == 0
        assert history.span(session, job_id) == (1, 40)


def test_after_three_rollbacks_a_job_fails_and_keeps_what_it_recorded(engine: Engine) -> None:
    job_id, attempt = a_troubled_job(engine)
    with writing(engine) as session:
        session.get_one(Job, job_id).rollbacks = 3

    with writing(engine) as session:
        roll_back(session, job_id, attempt, trouble())

    with reading(engine) as session:
        job = session.get_one(Job, job_id)
        assert (job.state, job.reason, job.error_code) == ("failed", "diverged", "diverged")
        assert (
            job.error_message
            == "It has diverged. It was the same after 3 rollbacks, the last to 0.125 of the learning rates."
        )
        assert history.span(session, job_id) == (1, 40)


@pytest.mark.parametrize(("wish", "state"), [(request_pause, "paused"), (request_cancel, "cancelled")])
def test_a_rollback_follows_what_the_owner_wants(engine: Engine, wish: object, state: str) -> None:
    job_id, attempt = a_troubled_job(engine)
    with writing(engine) as session:
        wish(session, session.get_one(Job, job_id))  # type: ignore[operator]

    with writing(engine) as session:
        roll_back(session, job_id, attempt, trouble())

    with reading(engine) as session:
        assert session.get_one(Job, job_id).state == state


@pytest.mark.parametrize(
    ("rule", "action", "message", "expected"),
    [
        ("collapse", "warn", None, None),
        ("collapse", "stop", None, ("failed", "unhealthy", "collapse")),
        ("collapse", "rollback", None, ("queued", None, None)),
        ("divergence", "warn", None, None),
        ("divergence", "warn", "d_loss became nan at step 30.", ("failed", "diverged", "diverged")),
        ("divergence", "rollback", "d_loss became nan at step 30.", ("queued", None, None)),
    ],
)
def test_what_is_done_is_what_the_spec_asks_for(
    engine: Engine, rule: str, action: str, message: str | None, expected: tuple[str, str | None, str | None] | None
) -> None:
    job_id, _ = add_running_job(engine, health={f"on_{rule}": action})
    with reading(engine) as session:
        attempt = Attempt.of(session.get_one(Job, job_id), None)
    change = Change(rule, Standing("raised", 30, Finding(28, 30, {"diversity": 0.01})))

    ending = ending_for(change, attempt.spec, message)

    assert (ending is None) == (expected is None)
    if ending is not None:
        with writing(engine) as session:
            assert conclude(session, attempt, Orders(Desired.RUN, attempt.max_steps), 30, ending)
        with reading(engine) as session:
            job = session.get_one(Job, job_id)
            assert (job.state, job.reason, job.error_code) == expected


def test_a_rule_that_is_cleared_ends_nothing(engine: Engine) -> None:
    job_id, _ = add_running_job(engine, health={"on_collapse": "stop"})
    with reading(engine) as session:
        spec = Attempt.of(session.get_one(Job, job_id), None).spec

    assert ending_for(Change("collapse", Standing("cleared", 30, Finding(1, 2, {}))), spec, None) is None
