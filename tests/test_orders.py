"""Orders for samples in the database: found, claimed, carried out, lost, dropped. On both databases."""

from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.db import reading, writing
from service.errors import AttemptOver, NotFound
from service.models import DoomedBlob, Job, Order, OrderState
from service.spec.drawing import Drawing
from service.store import jobs, orders
from service.store.keys import LOCAL_OWNER
from tests.building import add_job, add_order

QUOTA_BYTES = 100


def claim(session: Session, order: Order) -> int:
    attempt = order.attempt + 1
    orders.claim_order(session, order.id, attempt, worker="worker-1")
    session.refresh(order)
    return attempt


def finish(session: Session, order: Order, size: int) -> None:
    attempt = claim(session, order)
    file = {"key": f"{order.id}/{attempt}/samples.csv", "size": size, "sha256": "0" * 64}
    orders.finish_order(session, order.id, attempt, file=file, quota_bytes=QUOTA_BYTES)


def add_orders(session: Session, job: Job, count: int) -> list[Order]:
    """Store some orders; return them by age, which is that of their ids."""
    return sorted((add_order(session, job, seed=seed) for seed in range(count)), key=lambda order: order.id)


def test_an_order_is_carried_out_once_and_found_by_what_it_asks_for(session: Session) -> None:
    job = add_job(session)
    order = add_order(session, job, seed=1)
    waiting = [each.id for each in orders.next_orders(session)]

    finish(session, order, 7)

    found = orders.find_order(session, job.id, orders.identity_of(order.generator, Drawing(5, 1, "csv")))
    assert waiting == [order.id]
    assert found is not None
    assert (found.id, found.state, found.files["samples"]["size"], found.stored_bytes) == (order.id, "ready", 7, 7)
    assert not orders.next_orders(session)
    assert orders.find_order(session, job.id, orders.identity_of(order.generator, Drawing(5, 2, "csv"))) is None


def test_the_same_cannot_be_ordered_twice_of_a_job(engine: Engine) -> None:
    with writing(engine) as session:
        job_id = add_job(session).id
        add_order(session, session.get_one(Job, job_id), seed=1)

    with pytest.raises(IntegrityError), writing(engine) as session:
        add_order(session, session.get_one(Job, job_id), seed=1)


def test_of_two_workers_one_gets_the_order_and_the_other_writes_nothing(engine: Engine) -> None:
    with writing(engine) as session:
        order_id = add_order(session, add_job(session)).id
    with writing(engine) as session:
        orders.claim_order(session, order_id, 1, worker="first")

    with pytest.raises(AttemptOver), writing(engine) as session:
        orders.claim_order(session, order_id, 1, worker="second")
    with writing(engine) as session:
        orders.release_order(session, order_id, 1)
        orders.claim_order(session, order_id, 2, worker="second")
    with pytest.raises(AttemptOver), writing(engine) as session:
        orders.finish_order(session, order_id, 1, file={"key": "k", "size": 1, "sha256": ""}, quota_bytes=1)

    with reading(engine) as session:
        order = session.get_one(Order, order_id)
        assert (order.state, order.attempt, order.worker, order.losses) == ("rendering", 2, "second", 0)


def test_what_was_drawn_without_a_claim_is_shown_unless_the_order_waits_no_more(engine: Engine) -> None:
    file = {"key": "k", "size": 60, "sha256": ""}
    with writing(engine) as session:
        order = add_order(session, add_job(session))

    shown = []
    for _ in range(2):
        with writing(engine) as session:
            shown.append(orders.finish_waiting(session, order, 1, file=file, quota_bytes=QUOTA_BYTES))

    with reading(engine) as session:
        stored = session.get_one(Order, order.id)
    assert shown == [True, False]
    assert (stored.state, stored.attempt, stored.files, stored.stored_bytes) == ("ready", 1, {"samples": file}, 60)
    assert stored.finished_at is not None
    assert stored.version > order.version


def test_what_an_attempt_has_made_is_told_and_another_begins_with_nothing(session: Session) -> None:
    order = add_order(session, add_job(session))
    attempt, told = claim(session, order), []
    for made in (2, 2, 3):
        orders.beat_order(session, order.id, attempt, made=made)
        told.append((order.made, order.version))

    orders.release_order(session, order.id, attempt)

    (first, begun), (second, again), (third, last) = told
    assert (first, second, third, order.made) == (2, 2, 3, 0)
    assert begun == again < last < order.version


def test_a_deleted_order_is_worked_at_no_more_and_its_file_is_doomed(session: Session) -> None:
    job = add_job(session)
    done, begun = add_order(session, job, seed=1), add_order(session, job, seed=2)
    finish(session, done, 5)
    attempt = claim(session, begun)

    for order in (done, begun):
        orders.delete_order(session, LOCAL_OWNER, order.id)

    assert session.get(DoomedBlob, f"{done.id}/1/samples.csv") is not None
    with pytest.raises(AttemptOver):
        orders.beat_order(session, begun.id, attempt, made=1)
    with pytest.raises(NotFound):
        orders.delete_order(session, LOCAL_OWNER, begun.id)


def test_an_order_that_is_lost_three_times_fails_and_may_be_asked_for_again(session: Session) -> None:
    order = add_order(session, add_job(session))
    states = []
    for _ in range(3):
        lose = orders.lose_order
        lose(session, order.id, claim(session, order), code="sampling_failed", message="Gone.", most_losses=3)
        states.append(order.state)
    said = order.error_message

    elsewhere = order.generator | {"key": f"{order.job_id}/2/generator"}
    orders.order_again(session, order, elsewhere)

    assert order.generator == elsewhere
    assert states == ["queued", "queued", "failed"]
    assert said == "Gone. That was attempt 3 of 3."
    assert (order.state, order.losses, order.error_code, order.finished_at) == ("queued", 0, None, None)


def test_the_oldest_files_of_an_owner_make_room_for_new_ones(session: Session) -> None:
    job = add_job(session)
    first, second, third = add_orders(session, job, 3)

    finish(session, first, 60)
    finish(session, second, 60)
    file = {"key": f"{third.id}/1/samples.csv", "size": 60, "sha256": "0" * 64}
    orders.finish_waiting(session, third, 1, file=file, quota_bytes=QUOTA_BYTES)

    assert [order.id for order in session.query(Order)] == [third.id]
    assert orders.stored_bytes(session, LOCAL_OWNER) == 60
    assert session.get(DoomedBlob, f"{first.id}/1/samples.csv") is not None


def test_only_so_many_orders_of_an_owner_are_kept_failed_ones_too(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "MOST_KEPT", 2)
    job = add_job(session)
    failed, first, second = add_orders(session, job, 3)
    orders.fail_order(session, failed.id, claim(session, failed), code="too_rare", message="None.")

    for order in (first, second):
        finish(session, order, 1)

    assert [order.id for order in session.query(Order).order_by(Order.id)] == [first.id, second.id]


def test_failed_orders_make_room_for_each_other(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "MOST_KEPT", 2)
    job = add_job(session)
    made = add_orders(session, job, 4)

    for order in made[:2]:
        orders.fail_order(session, order.id, claim(session, order), code="too_rare", message="None.")
    for order in made[2:]:
        lose = orders.lose_order
        lose(session, order.id, claim(session, order), code="sampling_failed", message="Gone.", most_losses=1)

    assert [order.id for order in session.query(Order).order_by(Order.id)] == [order.id for order in made[2:]]


def test_an_order_that_is_just_asked_for_again_makes_no_room(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "MOST_KEPT", 1)
    with writing(engine) as session:
        failed, other = add_orders(session, add_job(session), 2)
        orders.fail_order(session, failed.id, claim(session, failed), code="file_missing", message="Gone.")

    def finish_other() -> None:
        with writing(engine) as session:
            finish(session, session.get_one(Order, other.id), 7)

    with ThreadPoolExecutor(1) as pool:
        with writing(engine) as session:
            orders.order_again(session, session.get_one(Order, failed.id), failed.generator)
            finishing = pool.submit(finish_other)
            wait([finishing], timeout=1)  # on SQLite it begins only then
        finishing.result()

    with reading(engine) as session:
        assert session.get_one(Order, failed.id).state == OrderState.QUEUED


def test_a_lost_file_is_admitted_once_and_not_of_what_was_made_since(session: Session) -> None:
    order = add_order(session, add_job(session))
    finish(session, order, 7)
    seen = Order(id=order.id, version=order.version, files=order.files)

    orders.admit_loss(session, seen, code="file_missing", message="Gone.")
    lost = (order.state, order.error_code, order.files, order.stored_bytes)
    orders.order_again(session, order, order.generator)
    finish(session, order, 8)
    orders.admit_loss(session, seen, code="file_missing", message="Gone.")

    assert lost == ("failed", "file_missing", {}, 0)
    assert session.get(DoomedBlob, f"{order.id}/1/samples.csv") is not None
    assert (order.state, order.error_code, order.stored_bytes) == ("ready", None, 8)


def test_a_deleted_job_takes_its_orders_and_their_files_along(session: Session) -> None:
    job = add_job(session)
    done, begun = add_order(session, job, seed=1), add_order(session, job, seed=2)
    finish(session, done, 5)
    attempt = claim(session, begun)
    job.state = "succeeded"

    jobs.delete_job(session, job)

    assert session.get(DoomedBlob, f"{done.id}/1/samples.csv") is not None
    with pytest.raises(NotFound):
        orders.get_order(session, LOCAL_OWNER, done.id)
    with pytest.raises(AttemptOver):
        orders.beat_order(session, begun.id, attempt, made=0)


def test_orders_that_wait_or_are_worked_at_count_as_live(session: Session) -> None:
    job = add_job(session)
    waiting, begun, done = (add_order(session, job, seed=seed) for seed in range(3))
    claim(session, begun)
    finish(session, done, 5)

    assert orders.count_live(session, LOCAL_OWNER) == 2
    assert [order.id for order in orders.list_in_hand(session)] == [begun.id]
    assert orders.progress_of(session, LOCAL_OWNER, waiting.id) == (1, False)
    assert orders.progress_of(session, LOCAL_OWNER, done.id)[1]
    assert begun.state == OrderState.RENDERING
