"""A data set's life in the database: its upload, the attempts to prepare it, its end. On both databases."""

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.db import reading, writing
from service.errors import AttemptOver, Conflict, InvalidInput, NotFound
from service.models import Dataset, DoomedBlob
from service.spec.datasets import DIGITS
from service.store import datasets, preparation
from service.store.keys import LOCAL_OWNER, create_key
from tests.building import QUOTA_BYTES, a_file, add_job, add_ready_dataset, add_uploaded_dataset, claim_dataset


def test_a_waiting_data_set_is_claimed_once_and_shown_as_ready(session: Session) -> None:
    uploaded = add_uploaded_dataset(session)
    dataset = claim_dataset(session)
    again = preparation.next_to_prepare(session)
    files = {"rows": a_file(dataset, "rows.npy"), "preview": a_file(dataset, "preview.png")}
    warnings = [{"code": "resized", "message": "3 pictures were resized."}]

    finish = preparation.finish_preparation
    finish(session, dataset.id, dataset.attempt, facts=DIGITS, warnings=warnings, files=files, quota_bytes=QUOTA_BYTES)
    ready = datasets.get_dataset(session, LOCAL_OWNER, uploaded.id)
    facts = datasets.facts_of(ready)

    assert (dataset.id, dataset.attempt, list(again)) == (uploaded.id, 1, [])
    assert (ready.state, ready.worker, ready.warnings, ready.stored_bytes) == ("ready", None, warnings, 2)
    assert facts is not None
    assert (facts.name, facts.shape, facts.sha256) == (ready.id, DIGITS.shape, ready.sha256)
    assert session.get(DoomedBlob, f"{ready.id}/0/upload") is not None


def test_owners_take_turns(session: Session) -> None:
    key, _ = create_key(session, owner_name="other", name="", scope="submit")
    first, second, third = (add_uploaded_dataset(session).id for _ in range(3))
    others = add_uploaded_dataset(session, owner_id=key.owner_id).id

    in_turn = [dataset.id for dataset in preparation.next_to_prepare(session)]

    assert in_turn == [first, others, second, third]


def test_what_takes_more_than_the_quota_once_it_is_prepared_fails(session: Session) -> None:
    add_ready_dataset(session)  # of one byte
    states = []
    for quota_bytes in (2, 3):
        add_uploaded_dataset(session)
        dataset = claim_dataset(session)
        files = {"rows": a_file(dataset, "rows.npy"), "preview": a_file(dataset, "preview.png")}
        finish = preparation.finish_preparation
        finish(session, dataset.id, 1, facts=DIGITS, warnings=[], files=files, quota_bytes=quota_bytes)
        states.append((dataset.state, dataset.error_code, dataset.stored_bytes))
        datasets.delete_dataset(session, dataset)

    assert states == [("failed", "quota_exceeded", 1), ("ready", None, 2)]


def test_of_two_workers_one_gets_the_data_set(engine: Engine) -> None:
    with writing(engine) as session:
        add_uploaded_dataset(session)
    with reading(engine) as session:
        seen_by_both = preparation.next_to_prepare(session)[0]
    with writing(engine) as session:
        assert preparation.claim_preparation(session, session.get_one(Dataset, seen_by_both.id), worker="first")

    with writing(engine) as session:
        assert not preparation.claim_preparation(session, seen_by_both, worker="second")


def test_an_attempt_that_is_over_writes_nothing(session: Session) -> None:
    add_uploaded_dataset(session)
    dataset = claim_dataset(session)
    preparation.release_preparation(session, dataset.id, 1)
    claim_dataset(session)

    with pytest.raises(AttemptOver):
        preparation.beat_preparation(session, dataset.id, 1)
    with pytest.raises(AttemptOver):
        preparation.fail_preparation(session, dataset.id, 1, code="bad_zip", message="No zip.")
    with pytest.raises(AttemptOver):
        preparation.finish_preparation(
            session, dataset.id, 1, facts=DIGITS, warnings=[], files={}, quota_bytes=QUOTA_BYTES
        )

    assert (dataset.state, dataset.attempt, dataset.losses) == ("preparing", 2, 0)


def test_a_preparation_that_is_lost_three_times_fails_with_the_reason_and_may_be_asked_for_again(
    session: Session,
) -> None:
    add_uploaded_dataset(session)
    states = []
    for _ in range(3):
        dataset = claim_dataset(session)
        lose = preparation.lose_preparation
        state = lose(session, dataset.id, dataset.attempt, code="out_of_memory", message="Memory.", most_losses=3)
        states.append(state.value)
    failed = (dataset.error_code, dataset.error_message)

    preparation.prepare_again(session, dataset, a_file(dataset, "upload"))

    assert states == ["preparing", "preparing", "failed"]
    assert failed == ("out_of_memory", "Memory. That was attempt 3 of 3.")
    assert (dataset.state, dataset.losses, dataset.error_code, dataset.finished_at) == ("preparing", 0, None, None)
    assert claim_dataset(session).attempt == 4


def test_an_upload_that_broke_off_is_forgotten_unless_it_was_heard_of_since(session: Session) -> None:
    upload = preparation.begin_upload(session, LOCAL_OWNER)
    seen = upload.beat
    preparation.beat_upload(session, upload.id, 7)

    goes_on = not preparation.forget_upload(session, upload.id, seen)
    forgotten = preparation.forget_upload(session, upload.id, upload.beat)

    assert (goes_on, forgotten) == (True, True)
    with pytest.raises(AttemptOver):
        preparation.beat_upload(session, upload.id, 8)


def test_the_same_bytes_of_one_owner_cannot_be_two_data_sets(engine: Engine) -> None:
    with writing(engine) as session:
        first = add_uploaded_dataset(session, identity="a" * 64)

    with pytest.raises(IntegrityError), writing(engine) as session:
        add_uploaded_dataset(session, identity="a" * 64)

    with reading(engine) as session:
        same = datasets.find_same(session, LOCAL_OWNER, "a" * 64)
        assert same is not None
        assert same.id == first.id
        assert datasets.stored_bytes(session, LOCAL_OWNER) == 1


def test_a_data_set_is_kept_while_a_job_for_it_lives_and_its_blobs_go_with_it(session: Session) -> None:
    dataset = add_ready_dataset(session)
    job = add_job(session, dataset=dataset.id)
    with pytest.raises(Conflict, match="A job"):
        datasets.delete_dataset(session, dataset)
    job.state = "succeeded"
    session.flush()

    datasets.delete_dataset(session, dataset)

    assert session.get(DoomedBlob, f"{dataset.id}/1/rows.npy") is not None
    with pytest.raises(NotFound):
        datasets.get_dataset(session, LOCAL_OWNER, dataset.id)
    with pytest.raises(InvalidInput, match="deleted"):
        datasets.hold_for_job(session, dataset.id)
