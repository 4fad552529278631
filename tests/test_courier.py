"""The courier: every message at least once, those of a job in order, whatever fails; its clock is moved by the test."""

import itertools
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from chaos.receiver import Received, Receiver, a_receiver
from service.clock import now
from service.courier import JITTER, LONGEST_WAIT_S, MOST_HANDS_OF_OWNER, ROUND_S, Courier
from service.db import reading, writing
from service.ids import make_id
from service.models import Delivery, DeliveryState, Job, State, Webhook
from service.outgoing import Poster
from service.settings import Settings
from service.signing import sign
from service.store import deliveries, jobs, transitions, webhooks
from service.store.deliveries import LEASE_S, Address, Letter
from service.store.events import add_event
from service.store.keys import LOCAL_OWNER, create_key
from tests.building import add_job
from tests.clock import Clock
from tests.house import wait_until

SCAN_S, DAY_S = 2.0, 86_400.0
LOOPBACK = frozenset({"127.0.0.1"})


@dataclass
class Post:
    """A courier with its surroundings."""

    engine: Engine
    clock: Clock
    courier: Courier

    def look(self) -> None:
        """Look until nothing more is due, and once more, from when on waits count."""
        self._look_once()
        while self.due:
            self._look_once()
        self._look_once()

    def _look_once(self) -> None:
        self.courier.look()
        self.courier.join()

    def pass_time(self, seconds: float) -> None:
        """Let so much time pass under the eyes of the courier."""
        end_s = self.clock.now_s + seconds
        while self.clock.now_s < end_s:
            self.clock.now_s += SCAN_S
            self.look()

    @property
    def due(self) -> list[Letter]:
        with reading(self.engine) as session:
            return deliveries.list_due(session, most=1)

    @property
    def tries(self) -> int:
        with reading(self.engine) as session:
            return session.scalars(select(func.coalesce(func.sum(Delivery.attempt), 0))).one()

    @property
    def messages(self) -> list[Delivery]:
        with reading(self.engine) as session:
            return [*session.scalars(select(Delivery).order_by(Delivery.seq, Delivery.id))]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with a_receiver() as receiver:
        yield receiver


def make_post(engine: Engine, clock: Clock, *, scan_s: float = SCAN_S) -> Post:
    settings = Settings(_env_file=None, scan_s=scan_s)
    return Post(engine, clock, Courier(engine, settings, Poster(LOOPBACK), clock=clock))


@pytest.fixture
def post(engine: Engine) -> Iterator[Post]:
    post = make_post(engine, Clock())
    yield post
    post.courier._hands.shutdown()


def add_webhook(session: Session, url: str, *events: str) -> Webhook:
    return webhooks.create_webhook(session, owner_id=LOCAL_OWNER, url=url, events=events or ["*"])


def add_told_job(engine: Engine, notes: int = 0) -> str:
    """Store a job to which so many things happen."""
    with writing(engine) as session:
        job = add_job(session)
        for number in range(notes):
            add_event(session, job, "note", f"Note {number}.")
        return job.id


def refuse(_: Received) -> int:
    return 500


def test_what_happens_to_a_job_is_told_as_standard_webhooks_says(
    engine: Engine, post: Post, receiver: Receiver
) -> None:
    with writing(engine) as session:
        secret = add_webhook(session, receiver.url, "job.cancelled").secret
        job = add_job(session)
        transitions.request_cancel(session, job)

    post.look()

    (request,), (message,) = receiver.requests, post.messages
    assert request.payload == {
        "type": "job.cancelled",
        "timestamp": request.payload["timestamp"],
        "data": {
            "job": job.id,
            "status": "cancelled",
            "step": 0,
            "version": job.version,
            "seq": 2,
            "links": {"job": f"/jobs/{job.id}", "event": f"/jobs/{job.id}/events?after=1&limit=1"},
        },
    }
    assert message.tried_at is not None
    seconds = int(request.headers["webhook-timestamp"])
    signed = sign(secret, message.id, datetime.fromtimestamp(seconds, UTC), request.body.decode())
    assert abs(seconds - message.tried_at.timestamp()) < 60
    assert signed.items() <= request.headers.items()
    assert (message.state, message.status_code, message.attempt) == ("delivered", 204, 1)


def test_only_those_are_told_who_asked_for_it_and_only_of_their_own_jobs(
    engine: Engine, post: Post, receiver: Receiver
) -> None:
    with writing(engine) as session:
        other = create_key(session, owner_name="bob", name="", scope="submit")[0].owner_id
        add_webhook(session, f"{receiver.url}/ends", "job.succeeded", "job.failed")
        add_webhook(session, f"{receiver.url}/notes", "job.note")
        webhooks.create_webhook(session, owner_id=other, url=f"{receiver.url}/bob", events=["*"])
        webhooks.change_webhook(add_webhook(session, f"{receiver.url}/off"), {"enabled": False})
    job_id = add_told_job(engine, notes=1)

    post.look()

    assert [(request.path, *request.told) for request in receiver.requests] == [("/hook/notes", job_id, 2)]


def test_without_a_webhook_nothing_is_written(engine: Engine, post: Post) -> None:
    add_told_job(engine, notes=3)

    assert post.messages == []


def test_what_is_not_committed_is_never_told(engine: Engine, post: Post, receiver: Receiver) -> None:
    with writing(engine) as session:
        add_webhook(session, receiver.url)

    def give_up() -> None:
        with writing(engine) as session:
            add_job(session)
            raise KeyError

    with pytest.raises(KeyError):
        give_up()
    post.look()

    assert receiver.requests == []


def test_messages_of_a_job_come_in_order_though_the_receiver_fails_now_and_then(
    engine: Engine, post: Post, receiver: Receiver
) -> None:
    with writing(engine) as session:
        add_webhook(session, receiver.url)
    ids = [add_told_job(engine, notes=4) for _ in range(3)]
    accepted: list[tuple[str, int]] = []

    def fail_every_other(request: Received) -> int:
        if len(receiver.requests) % 2:
            return 503
        accepted.append(request.told)
        return 200

    receiver.answer = fail_every_other
    post.pass_time(300)

    assert {message.state for message in post.messages} == {"delivered"}
    assert sorted(accepted) == sorted((job_id, seq) for job_id in ids for seq in range(1, 6))
    for job_id in ids:
        assert [seq for told, seq in accepted if told == job_id] == [1, 2, 3, 4, 5]


def test_a_job_whose_message_is_refused_holds_up_no_other(engine: Engine, post: Post, receiver: Receiver) -> None:
    with writing(engine) as session:
        add_webhook(session, receiver.url)
    refused, other = add_told_job(engine, notes=2), add_told_job(engine, notes=2)
    receiver.answer = lambda request: 400 if request.told[0] == refused else 200

    post.look()

    states = {(message.job_id, message.seq): message.state for message in post.messages}
    assert [states[other, seq] for seq in (1, 2, 3)] == ["delivered"] * 3
    assert [states[refused, seq] for seq in (1, 2, 3)] == ["waiting"] * 3
    assert [request.told[1] for request in receiver.requests if request.told[0] == refused] == [1]


def test_a_webhook_that_fails_holds_up_no_other(engine: Engine, post: Post, receiver: Receiver) -> None:
    with writing(engine) as session:
        add_webhook(session, "http://127.0.0.1:9/")
        add_webhook(session, receiver.url)
    add_told_job(engine, notes=2)

    post.look()

    assert [request.told[1] for request in receiver.requests] == [1, 2, 3]


@pytest.fixture
def patient_post(engine: Engine) -> Iterator[Post]:
    """One that looks so seldom that a test can let days pass."""
    post = make_post(engine, Clock(), scan_s=LONGEST_WAIT_S)
    yield post
    post.courier._hands.shutdown()


def wait_out_hold(post: Post) -> float:
    """Let the one message that waits after a try be tried again; return how long it has waited."""
    (hold_s,) = (message.hold_s for message in post.messages if message.hold_s is not None)
    post.clock.now_s += hold_s - 0.1
    post.look()
    tries = post.tries
    post.clock.now_s += 0.2
    post.look()
    assert post.tries > tries
    return hold_s


def test_a_message_that_nobody_accepts_waits_ever_longer_and_is_given_up_after_a_day(
    engine: Engine, patient_post: Post, receiver: Receiver
) -> None:
    with writing(engine) as session:
        add_webhook(session, receiver.url)
    add_told_job(engine)
    receiver.answer, waits = refuse, []

    patient_post.look()
    while patient_post.messages[0].state == "waiting":
        waits.append(wait_out_hold(patient_post))

    (message,) = patient_post.messages
    assert (message.state, message.status_code, message.hold_s) == ("failed", 500, None)
    assert message.error == "The receiver answered 500."
    assert sum(waits) == pytest.approx(DAY_S)
    assert 5 * (1 - JITTER) <= waits[0] <= 5 * (1 + JITTER)
    assert max(waits) <= LONGEST_WAIT_S * (1 + JITTER)
    assert all(later > earlier for earlier, later in itertools.pairwise(waits[2:9]))
    assert len(receiver.requests) == message.attempt == len(waits) + 1
    assert 30 <= message.attempt <= 45


def test_waits_differ_though_what_failed_failed_together(engine: Engine, post: Post, receiver: Receiver) -> None:
    with writing(engine) as session:
        for number in range(8):
            add_webhook(session, f"{receiver.url}/{number}")
    add_told_job(engine)
    receiver.answer = refuse

    post.look()

    waits = {message.hold_s for message in post.messages}
    assert len(waits) == 8
    assert all(wait is not None and 5 * (1 - JITTER) <= wait <= 5 * (1 + JITTER) for wait in waits)


def test_what_stands_behind_a_message_that_is_given_up_is_tried_once_and_follows_it(
    engine: Engine, patient_post: Post, receiver: Receiver
) -> None:
    with writing(engine) as session:
        add_webhook(session, receiver.url)
    add_told_job(engine, notes=2)
    receiver.answer = refuse

    patient_post.look()
    while patient_post.messages[0].state == "waiting":
        wait_out_hold(patient_post)

    first, second, third = patient_post.messages
    assert {message.state for message in (first, second, third)} == {"failed"}
    assert (second.attempt, third.attempt) == (1, 1)
    assert [request.told[1] for request in receiver.requests][-3:] == [1, 2, 3]


def test_time_in_which_nobody_looked_is_no_wait(engine: Engine, post: Post, receiver: Receiver) -> None:
    with writing(engine) as session:
        add_webhook(session, receiver.url)
    add_told_job(engine)
    receiver.answer = refuse
    post.look()
    post.pass_time(60)
    tries = post.tries
    hold_s = post.messages[0].hold_s
    assert hold_s is not None
    assert hold_s > 4 * SCAN_S

    post.clock.now_s += DAY_S  # a suspended machine
    post.look()

    assert post.tries == tries


def test_a_crash_between_commit_and_sending_loses_nothing(engine: Engine, receiver: Receiver) -> None:
    with writing(engine) as session:
        add_webhook(session, receiver.url)
    job_id = add_told_job(engine, notes=1)
    with reading(engine) as session:
        (letter,) = deliveries.list_due(session, most=20)
    with writing(engine) as session:
        assert deliveries.claim(session, letter)  # and dies, before or after it was sent

    successor = make_post(engine, Clock())
    successor.pass_time(LEASE_S - SCAN_S)
    early = list(receiver.requests)
    successor.pass_time(3 * SCAN_S)
    successor.courier._hands.shutdown()

    assert early == []
    assert [request.told for request in receiver.requests] == [(job_id, 1), (job_id, 2)]
    assert [message.state for message in successor.messages] == ["delivered"] * 2


def test_of_two_couriers_one_sends_a_message(engine: Engine, receiver: Receiver) -> None:
    with writing(engine) as session:
        add_webhook(session, receiver.url)
    add_told_job(engine, notes=9)
    both = [make_post(engine, Clock()) for _ in range(2)]

    for _ in range(40):
        for each in both:
            each.courier.look()
    for each in both:
        each.courier.join()
        each.look()
        each.courier._hands.shutdown()

    assert [request.told[1] for request in receiver.requests] == list(range(1, 11))


def test_who_comes_back_after_its_message_was_sent_by_another_changes_nothing(
    engine: Engine, post: Post, receiver: Receiver
) -> None:
    with writing(engine) as session:
        add_webhook(session, receiver.url)
    add_told_job(engine)
    with reading(engine) as session:
        (letter,) = deliveries.list_due(session, most=20)
    with writing(engine) as session:
        deliveries.claim(session, letter)
    post.pass_time(LEASE_S + 2 * SCAN_S)
    failed = deliveries.Outcome(500, "The receiver answered 500.")

    with writing(engine) as session:
        back_off = deliveries.BackOff(5, 10, 20)
        deliveries.put_off(session, letter, failed, back_off=back_off, stretch=1)

    assert [(message.state, message.attempt) for message in post.messages] == [("delivered", 2)]


def test_messages_outlive_their_job(engine: Engine, post: Post, receiver: Receiver) -> None:
    with writing(engine) as session:
        add_webhook(session, receiver.url)
    job_id = add_told_job(engine)
    with writing(engine) as session:
        job = session.get_one(Job, job_id)
        transitions.request_cancel(session, job)
        jobs.delete_job(session, job)

    post.look()

    assert receiver.types == ["job.created", "job.cancelled"]


def test_what_waits_for_a_disabled_webhook_is_sent_once_it_is_enabled(
    engine: Engine, post: Post, receiver: Receiver
) -> None:
    with writing(engine) as session:
        webhook_id = add_webhook(session, receiver.url).id
    add_told_job(engine)

    def set_enabled(enabled: bool) -> None:
        with writing(engine) as session:
            webhooks.change_webhook(session.get_one(Webhook, webhook_id), {"enabled": enabled})

    set_enabled(False)
    post.look()
    before = list(receiver.requests)
    set_enabled(True)
    post.look()

    assert before == []
    assert receiver.types == ["job.created"]


def test_what_is_due_goes_where_its_webhook_points_by_now_or_nowhere(engine: Engine, post: Post) -> None:
    with writing(engine) as session:
        webhook_id = add_webhook(session, "http://127.0.0.1:9/old").id
    add_told_job(engine)
    (letter,) = post.due

    def claim_after(**changes: object) -> Address | None:
        with writing(engine) as session:
            webhooks.change_webhook(session.get_one(Webhook, webhook_id), changes)
        with writing(engine) as session:
            return deliveries.claim(session, letter)

    assert claim_after(enabled=False, url="http://127.0.0.1:9/new") is None
    assert post.tries == 0
    address = claim_after(enabled=True, secret="whsec_new")

    assert address == Address("http://127.0.0.1:9/new", "whsec_new")


def test_the_waits_of_all_messages_are_counted_however_many_there_are(engine: Engine) -> None:
    with writing(engine) as session:
        dead, other = (add_webhook(session, f"http://127.0.0.1:9/{name}").id for name in ("dead", "other"))
        held = {"seq": 1, "type": "job.created", "body": "{}", "state": DeliveryState.WAITING, "hold_s": 5.0}
        for webhook_id in [*[dead] * 1_200, other]:
            at = {"job_id": make_id("job"), "created_at": now()}
            session.add(Delivery(id=make_id("dlv"), webhook_id=webhook_id, **at, **held))

    with reading(engine) as session:
        assert len(deliveries.list_held(session)) == 1_201


def test_slow_receivers_of_one_owner_leave_hands_for_others(engine: Engine, post: Post, receiver: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with writing(engine) as session:
            for number in range(6):
                add_webhook(session, f"http://127.0.0.1:{silent.getsockname()[1]}/{number}")
            other = create_key(session, owner_name="bob", name="", scope="submit")[0].owner_id
            webhooks.create_webhook(session, owner_id=other, url=receiver.url, events=["*"])
            add_job(session)
            add_job(session, owner_id=other)

        post.courier.look()
        wait_until(lambda: bool(receiver.requests), "the message of another", within_s=30)
    post.courier.join()

    assert post.tries == MOST_HANDS_OF_OWNER + 1


def test_a_slow_receiver_has_its_turn_and_then_others_have_theirs(
    engine: Engine, post: Post, receiver: Receiver
) -> None:
    with writing(engine) as session:
        for name in ("a", "b", "c"):
            add_webhook(session, f"{receiver.url}/{name}")
    for _ in range(6):
        add_told_job(engine)

    def take_long(_: Received) -> int:
        post.clock.now_s += ROUND_S + 1
        return 204

    receiver.answer = take_long
    for _ in range(2):
        post._look_once()

    assert len(receiver.requests) == 2 * MOST_HANDS_OF_OWNER
    assert {request.path[-1] for request in receiver.requests} == {"a", "b", "c"}


def test_only_so_many_settled_messages_are_kept_and_all_that_wait(
    engine: Engine, post: Post, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "MOST_KEPT", 2)
    with writing(engine) as session:
        add_webhook(session, receiver.url)
    add_told_job(engine, notes=5)
    receiver.answer = lambda request: 200 if request.told[1] < 5 else 500

    post.look()

    assert [message.state for message in post.messages] == ["delivered", "delivered", "waiting", "waiting"]
    assert [message.seq for message in post.messages if message.state == "waiting"] == [5, 6]


def test_a_thread_of_its_own_sends_what_comes(engine: Engine, receiver: Receiver, tmp_path: Path) -> None:
    with writing(engine) as session:
        add_webhook(session, receiver.url, "job.created", "job.cancelled")
    courier = Courier(engine, Settings(_env_file=None, scan_s=0.05), Poster(LOOPBACK))
    courier.start()
    with writing(engine) as session:
        job = add_job(session)
        transitions.request_cancel(session, job)

    wait_until(lambda: len(receiver.requests) >= 2, "both messages", within_s=30)
    courier.stop()

    assert receiver.types == ["job.created", "job.cancelled"]
    assert job.state == State.CANCELLED
