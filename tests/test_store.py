"""What owners see of jobs, keys and repeated requests, straight from the store."""

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from service.clock import now
from service.errors import Conflict, InvalidInput, NotFound, NotYet
from service.models import DoomedBlob
from service.store import checkpoints, doomed, idempotency, jobs, keys, orders, transitions, workers
from service.store.keys import LOCAL_OWNER
from service.store.pages import encode_cursor
from tests.building import add_job, add_order, claim_next, save_checkpoint


def test_pages_follow_one_another_without_gap_or_overlap(session: Session) -> None:
    made = [add_job(session).id for _ in range(5)]

    seen, cursor = [], None
    while True:
        page = jobs.list_jobs(session, LOCAL_OWNER, limit=2, cursor=cursor)
        seen += [job.id for job in page.data]
        cursor = page.next_cursor
        if cursor is None:
            break

    assert seen == sorted(made, reverse=True)


@pytest.mark.parametrize("cursor", ["ä!", encode_cursor("\0")])
def test_a_cursor_of_nobody_is_refused(session: Session, cursor: str) -> None:
    with pytest.raises(InvalidInput, match="cursor"):
        jobs.list_jobs(session, LOCAL_OWNER, cursor=cursor)


def test_jobs_are_found_by_status_label_and_name(session: Session) -> None:
    plain = add_job(session, name="first try")
    labelled = add_job(session, labels={"study": "fused", "round": "2"})
    claimed = claim_next(session)

    def found(**filters: object) -> list[str]:
        return [job.id for job in jobs.list_jobs(session, LOCAL_OWNER, **filters).data]  # type: ignore[arg-type]

    assert found(status="running") == [claimed.id] == [plain.id]
    assert found(status="queued") == [labelled.id]
    assert found(labels=[("study", "fused"), ("round", "2")]) == [labelled.id]
    assert found(labels=[("study", "original")]) == []
    assert found(q="FIRST") == [plain.id]
    assert found(q="100%") == []


def test_a_strangers_job_is_as_unknown_as_one_that_never_was(session: Session) -> None:
    job = add_job(session)

    with pytest.raises(NotFound):
        jobs.get_job(session, "own_other", job.id)
    with pytest.raises(NotFound):
        jobs.get_job(session, LOCAL_OWNER, "job_none")


def test_extending_a_job_keeps_the_horizon_of_its_schedules(session: Session) -> None:
    job = add_job(session, loop={"max_steps": 100})

    jobs.patch_job(session, job, {"max_steps": 300, "name": "longer", "labels": {"a": "b"}})

    assert job.max_steps == job.resolved_spec["loop"]["max_steps"] == 300
    assert job.resolved_spec["optimizer"]["generator"]["schedule"]["horizon_steps"] == 100
    assert (job.name, job.resolved_spec["labels"]) == ("longer", {"a": "b"})


def test_a_job_cannot_be_made_shorter_than_it_is(session: Session) -> None:
    job = add_job(session)
    job.step = 50

    with pytest.raises(InvalidInput, match="50"):
        jobs.patch_job(session, job, {"max_steps": 49})


def test_the_queue_position_counts_everybody_before(session: Session) -> None:
    first, second = add_job(session), add_job(session)
    urgent = add_job(session, priority=1)

    running = claim_next(session)
    late = add_job(session)

    assert running is urgent
    assert jobs.queue_positions(session, [first.id, second.id, late.id, urgent.id]) == {
        first.id: 1,
        second.id: 2,
        late.id: 3,
    }
    assert jobs.count_live(session, LOCAL_OWNER) == 4


def test_a_key_opens_until_it_is_revoked_or_expires(session: Session) -> None:
    key, secret = keys.create_key(session, owner_name="ada", name="laptop", scope="submit")
    _, expired = keys.create_key(session, owner_name="ada", name="old", scope="read", expires_at=now() - timedelta(1))

    assert keys.find_key(session, secret) is key
    assert keys.find_key(session, expired) is None
    assert keys.find_key(session, "gnm_wrong") is None
    assert secret not in str(vars(key))

    keys.revoke_key(session, key.id)

    assert keys.find_key(session, secret) is None
    assert [(k.name, owner) for k, owner in keys.list_keys(session)] == [("laptop", "ada"), ("old", "ada")]


def test_a_repeated_request_finds_its_answer_and_another_body_is_refused(session: Session) -> None:
    idempotency.remember_answer(
        session, owner_id=LOCAL_OWNER, key="k", request_sha256="1" * 64, about="job_1", answer=b"{}"
    )

    found = idempotency.find_answer(session, LOCAL_OWNER, "k", "1" * 64)
    assert found is not None
    assert found.answer == b"{}"
    with pytest.raises(Conflict):
        idempotency.find_answer(session, LOCAL_OWNER, "k", "2" * 64)


def test_an_answer_is_kept_as_long_as_its_job(session: Session) -> None:
    job = add_job(session)
    idempotency.remember_answer(
        session, owner_id=LOCAL_OWNER, key="k", request_sha256="1" * 64, about=job.id, answer=b"{}"
    )
    transitions.request_cancel(session, job)

    jobs.delete_job(session, job)

    assert idempotency.find_answer(session, LOCAL_OWNER, "k", "2" * 64) is None


def test_retired_checkpoints_leave_their_blobs_doomed(session: Session) -> None:
    add_job(session)
    job = claim_next(session)
    for step in (1, 2, 3):
        save_checkpoint(session, job, step=step)

    checkpoints.retire_checkpoints(session, job, keep_last=2)

    assert [row.step for row in checkpoints.list_checkpoints(session, job.id).data] == [2, 3]
    assert [blob.key for blob in doomed.list_doomed(session)] == [f"{job.id}/1/all-1"]
    doomed.forget_doomed(session, [f"{job.id}/1/all-1"])
    assert session.query(DoomedBlob).count() == 0


def test_a_checkpoint_that_samples_are_to_be_drawn_from_stays_until_they_are(session: Session) -> None:
    add_job(session)
    job = claim_next(session)
    for step in (9, 10, 11):
        save_checkpoint(session, job, step=step)
    order = add_order(session, job)

    checkpoints.retire_checkpoints(session, job, keep_last=1)
    before = [row.step for row in checkpoints.list_checkpoints(session, job.id).data]
    orders.claim_order(session, order.id, 1, worker="worker-1")
    orders.fail_order(session, order.id, 1, code="too_rare", message="None.")
    checkpoints.retire_checkpoints(session, job, keep_last=1)

    assert before == [10, 11]
    assert [row.step for row in checkpoints.list_checkpoints(session, job.id).data] == [11]


def test_checkpoints_are_found_by_step_and_as_latest(session: Session) -> None:
    add_job(session)
    job = claim_next(session)
    for step in (1, 2):
        save_checkpoint(session, job, step=step)

    assert checkpoints.get_checkpoint(session, job.id, "latest").step == 2
    assert checkpoints.get_checkpoint(session, job.id, "1").step == 1
    for unknown in ("3", "-1", "x", "9" * 40):
        with pytest.raises(NotFound):
            checkpoints.get_checkpoint(session, job.id, unknown)
    with pytest.raises(NotYet) as none_yet:
        checkpoints.get_checkpoint(session, job.id, "best")
    assert none_yet.value.code == "no_best_yet"


def test_workers_come_beat_and_go(session: Session) -> None:
    workers.register_worker(session, worker_id="w", device="cpu", slots=2, version="1", facts={})
    workers.beat_worker(session, "w", busy=1)

    [worker] = workers.list_workers(session)
    session.refresh(worker)
    assert (worker.busy, worker.beat) == (1, 1)

    workers.forget_worker(session, "w")
    assert workers.list_workers(session) == []
