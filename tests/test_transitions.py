"""A job's life as the store writes it: each state change, who may make it, and what it leaves behind."""

from collections.abc import Callable

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from service.db import writes_alone
from service.errors import AttemptOver, Conflict, NotFound
from service.models import Desired, Job, State
from service.store import checkpoints, events, history, jobs, keys, samples, transitions
from tests.building import LIMITS, add_job, claim_next, save_checkpoint


def reread(session: Session, job: Job) -> None:
    session.flush()
    session.refresh(job)


def event_types(session: Session, job: Job) -> list[str]:
    return [event.type for event in events.list_events(session, job.id).data]


def test_a_job_is_claimed_once(session: Session) -> None:
    job = add_job(session)

    first = transitions.claim(session, job, worker="a", resume_from=None)
    second = transitions.claim(session, job, worker="b", resume_from=None)

    assert (first, second) == (True, False)
    assert (job.state, job.attempt, job.worker) == (State.RUNNING, 1, "a")


def test_higher_priority_goes_first_then_the_owner_with_fewer_running_then_age(session: Session) -> None:
    other = keys.create_key(session, owner_name="other", name="k", scope="submit")[0].owner_id
    oldest, younger = add_job(session), add_job(session)
    of_other = add_job(session, owner_id=other)
    urgent = add_job(session, priority=5)

    order = [claim_next(session).id for _ in range(4)]

    assert order == [urgent.id, of_other.id, oldest.id, younger.id]


def test_a_worker_is_offered_only_jobs_of_its_devices(session: Session) -> None:
    add_job(session, resources={"device": "cuda"})

    assert transitions.next_claimable(session, devices=["auto", "cpu"]) == []
    assert len(transitions.next_claimable(session, devices=["auto", "cuda"])) == 1


def test_writes_of_an_attempt_that_is_over_are_refused(session: Session) -> None:
    add_job(session)
    job = claim_next(session)
    transitions.release(session, job.id, attempt=1)
    claim_next(session)
    progress = transitions.Progress(step=1, samples_seen=64, trained_s=0.1, steps_per_second=10.0, last_losses=None)

    with pytest.raises(AttemptOver):
        transitions.flush(session, job.id, 1, progress)
    with pytest.raises(AttemptOver):
        transitions.finish(session, job.id, 1, State.SUCCEEDED, reason="max_steps")

    assert transitions.flush(session, job.id, 2, progress) == transitions.Orders(Desired.RUN, job.max_steps)


def test_a_queued_job_is_cancelled_paused_and_resumed_at_once(session: Session) -> None:
    job = add_job(session)

    transitions.request_pause(session, job)
    assert job.status == "paused"
    transitions.request_resume(session, job)
    assert job.status == "queued"
    transitions.request_cancel(session, job)
    assert (job.status, job.reason) == ("cancelled", "user_request")
    assert job.finished_at is not None


def test_a_running_job_shows_what_is_asked_until_the_worker_follows(session: Session) -> None:
    add_job(session)
    job = claim_next(session)

    transitions.request_pause(session, job)
    assert job.status == "pausing"
    transitions.release(session, job.id, job.attempt)
    reread(session, job)

    assert job.status == "paused"
    assert event_types(session, job) == ["created", "started", "status", "paused"]


def test_a_pause_taken_back_before_the_worker_follows_puts_the_job_back_into_the_queue(session: Session) -> None:
    add_job(session)
    job = claim_next(session)
    transitions.request_pause(session, job)
    transitions.request_resume(session, job)

    transitions.release(session, job.id, job.attempt)
    reread(session, job)

    assert job.status == "queued"


def test_asking_twice_changes_nothing_the_second_time(session: Session) -> None:
    add_job(session)
    job = claim_next(session)

    transitions.request_cancel(session, job)
    version = job.version
    transitions.request_cancel(session, job)

    assert (job.status, job.version) == ("cancelling", version)


@pytest.mark.parametrize(
    "ask", [transitions.request_pause, transitions.request_resume, transitions.request_cancel, jobs.delete_job]
)
def test_a_job_that_was_deleted_while_it_was_asked_for_is_not_found(
    session: Session, ask: Callable[[Session, Job], None]
) -> None:
    if writes_alone(session):
        pytest.skip("nobody else writes meanwhile")
    job = add_job(session)
    session.execute(text("DELETE FROM jobs"))  # as another request does between the reading and the locking of the row

    with pytest.raises(NotFound):
        ask(session, job)


@pytest.mark.parametrize("ask", [transitions.request_pause, transitions.request_resume, transitions.request_cancel])
def test_nothing_can_be_asked_of_a_job_that_succeeded(session: Session, ask: Callable[[Session, Job], None]) -> None:
    add_job(session)
    job = claim_next(session)
    transitions.finish(session, job.id, job.attempt, State.SUCCEEDED, reason="max_steps")

    with pytest.raises(Conflict, match="succeeded"):
        ask(session, job)


def test_cancelling_cannot_be_taken_back(session: Session) -> None:
    add_job(session)
    job = claim_next(session)
    transitions.request_cancel(session, job)

    with pytest.raises(Conflict, match="cancelled"):
        transitions.request_resume(session, job)


def test_a_lost_attempt_waits_longer_each_time_and_the_third_in_a_row_fails_the_job(session: Session) -> None:
    add_job(session)
    waits = []
    for _ in range(3):
        job = claim_next(session)
        transitions.lose(session, job.id, job.attempt, reason="crashed", message="It crashed.", limits=LIMITS)
        reread(session, job)
        waits.append(job.hold_s)
        transitions.end_hold(session, job.id, job.attempt)

    assert waits == [5.0, 10.0, None]
    assert (job.state, job.reason, job.error_code) == (State.FAILED, "crashed", "attempts_exhausted")
    assert job.error_message is not None
    assert "It crashed." in job.error_message


def test_a_new_checkpoint_clears_the_count_in_a_row_but_not_the_whole_count(session: Session) -> None:
    add_job(session)
    for attempt in range(1, 6):
        job = claim_next(session)
        save_checkpoint(session, job, step=attempt * 10)
        transitions.lose(session, job.id, job.attempt, reason="worker_lost", message="Gone.", limits=LIMITS)
        transitions.end_hold(session, job.id, job.attempt)
    reread(session, job)

    assert (job.state, job.attempt) == (State.FAILED, 5)


def test_a_held_job_is_not_claimable_until_its_hold_ends(session: Session) -> None:
    add_job(session)
    job = claim_next(session)
    transitions.lose(session, job.id, 1, reason="crashed", message="It crashed.", limits=LIMITS)

    assert transitions.next_claimable(session, devices=["auto"]) == []
    assert [held.id for held in transitions.list_held(session)] == [job.id]
    assert transitions.end_hold(session, job.id, attempt=1)
    assert not transitions.end_hold(session, job.id, attempt=1)
    assert len(transitions.next_claimable(session, devices=["auto"])) == 1


def test_a_lost_job_that_was_to_be_cancelled_ends_cancelled(session: Session) -> None:
    add_job(session)
    job = claim_next(session)
    transitions.request_cancel(session, job)

    state = transitions.lose(session, job.id, 1, reason="worker_lost", message="Gone.", limits=LIMITS)

    assert state == State.CANCELLED


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED])
def test_a_job_whose_cancel_was_accepted_ends_in_no_other_way(session: Session, state: State) -> None:
    add_job(session)
    job = claim_next(session)
    transitions.request_cancel(session, job)

    transitions.finish(session, job.id, job.attempt, state, reason="max_steps")
    reread(session, job)

    assert (job.state, job.reason, job.error_code) == (State.CANCELLED, "user_request", None)
    assert event_types(session, job) == ["created", "started", "status", "cancelled"]


def test_a_polite_release_charges_nothing(session: Session) -> None:
    add_job(session)
    job = claim_next(session)

    transitions.release(session, job.id, job.attempt)
    reread(session, job)

    assert (job.state, job.hold_s, job.losses_in_all) == (State.QUEUED, None, 0)


def test_a_resume_removes_everything_after_its_checkpoint(session: Session) -> None:
    add_job(session)
    job = claim_next(session)
    saved = save_checkpoint(session, job, step=10)
    save_checkpoint(session, job, step=20)
    for step in (10, 20):
        samples.add_sample(session, job, step=step, count=1, files={})
    rows = np.zeros((25, 1), dtype=np.float32)
    history.append_rows(session, job.id, attempt=1, first_step=1, columns=("d_loss",), rows=rows)
    transitions.release(session, job.id, job.attempt)

    claim_next(session, resume_from=saved)

    assert history.last_step(session, job.id) == 10
    assert [row.step for row in checkpoints.list_checkpoints(session, job.id).data] == [10]
    assert [row.step for row in samples.list_samples(session, job.id).data] == [10]


def test_a_resumed_job_shows_the_losses_of_its_checkpoint_until_it_has_newer_ones(session: Session) -> None:
    add_job(session)
    job = claim_next(session)
    saved = save_checkpoint(session, job, step=10, losses={"step": 10, "d_loss": 1.3})
    later = transitions.Progress(20, 1_280, 0.2, None, {"step": 20, "d_loss": 1.1})
    transitions.flush(session, job.id, 1, later)
    transitions.release(session, job.id, 1)

    resumed = claim_next(session, resume_from=saved)
    transitions.flush(session, job.id, 2, transitions.Progress(10, 640, 0.1, None, None))

    assert resumed.last_losses == {"step": 10, "d_loss": 1.3}


def test_a_job_that_starts_afresh_shows_no_losses_of_a_former_attempt(session: Session) -> None:
    add_job(session)
    job = claim_next(session)
    transitions.flush(session, job.id, 1, transitions.Progress(5, 320, 0.1, None, {"step": 5, "d_loss": 1.1}))
    transitions.release(session, job.id, 1)

    assert claim_next(session).last_losses is None


def test_events_are_numbered_without_gaps(session: Session) -> None:
    add_job(session)
    job = claim_next(session)
    save_checkpoint(session, job, step=1)
    transitions.finish(session, job.id, 1, State.SUCCEEDED, reason="max_steps")

    recorded = events.list_events(session, job.id).data

    assert [event.seq for event in recorded] == [1, 2, 3, 4]
    assert [event.type for event in recorded] == ["created", "started", "checkpoint", "succeeded"]


def test_the_reconciler_moves_jobs_that_a_crash_left_behind_their_owners_wish(session: Session) -> None:
    job = add_job(session)
    job.desired = Desired.CANCEL
    session.flush()

    moved = transitions.apply_desired(session)

    assert (moved, job.state) == (1, State.CANCELLED)
    assert transitions.apply_desired(session) == 0


def test_a_job_is_deleted_only_after_its_end(session: Session) -> None:
    job = add_job(session)
    with pytest.raises(Conflict, match="queued"):
        jobs.delete_job(session, job)
    transitions.request_cancel(session, job)

    jobs.delete_job(session, job)

    assert jobs.list_jobs(session, job.owner_id).data == []
