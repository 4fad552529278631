"""Messages to webhooks: written with the event that they tell, due in the order of their job, settled by who sent them.

A wait is a number of seconds that somebody else counts off; no clock decides here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.orm import Session, aliased

from service.clock import now, rfc3339
from service.errors import Conflict, NotFound, QuotaExceeded
from service.ids import make_id
from service.models import Delivery, DeliveryState, Event, Job, Webhook
from service.store.conditional import update_one
from service.store.pages import Page, decode_cursor, make_page

MOST_KEPT = 1_000  # settled messages of a webhook, for its owner to look at
MOST_TESTS = 20  # of a webhook that wait: nothing stands before one, so each is tried by itself
LEASE_S = 60.0  # for which who has claimed a message has it alone: far more than a try takes
ALL = "*"
TEST = "webhook.test"

# Made once, and answered from an index without a row where nobody wants to be told: every event asks. Who deletes a
# webhook waits for those who write to it, else their rows would refer to nothing and their transactions break.
_LISTENING = (
    select(Webhook.id, Webhook.events)
    .where(Webhook.owner_id == bindparam("owner"), Webhook.enabled.is_(True))
    .with_for_update(read=True, key_share=True)
)
_before = aliased(Delivery)
_WAITING = Delivery.state == DeliveryState.WAITING
_IS_FIRST = ~(
    select(_before.id)
    .where(
        _before.webhook_id == Delivery.webhook_id,
        _before.job_id == Delivery.job_id,
        _before.state == DeliveryState.WAITING,
        _before.seq < Delivery.seq,
    )
    .exists()
)


@dataclass(frozen=True)
class Letter:
    """A message that is due."""

    id: str
    attempt: int  # the tries before
    webhook_id: str
    owner_id: str
    job_id: str | None
    seq: int
    body: str


@dataclass(frozen=True)
class Address:
    """Where a message goes, and what it is signed with."""

    url: str
    secret: str


@dataclass(frozen=True)
class Outcome:
    """What became of a try. The body of an answer is nobody's business here."""

    status_code: int | None
    error: str | None  # in words, None where the receiver has accepted it


@dataclass(frozen=True)
class BackOff:
    """How long a message waits after a try that failed: as long again as before, from the first wait to the longest."""

    first_s: float
    longest_s: float
    in_all_s: float  # then it is given up

    def after(self, waited_s: float, stretch: float) -> float:
        """Return the next wait; stretch is near 1, and different for each."""
        wait_s = min(max(self.first_s, waited_s), self.longest_s) * stretch
        return min(wait_s, self.in_all_s - waited_s)


# With an event


def add_messages(session: Session, job: Job, event: Event) -> None:
    """Write a message to each webhook of the owner that wants to be told of an event."""
    with session.no_autoflush:  # the job may not be finished, and would be written twice
        listening = session.execute(_LISTENING, {"owner": job.owner_id}).all()
    kind = f"job.{event.type}"
    wanted = [webhook_id for webhook_id, events in listening if kind in events or ALL in events]
    if wanted:
        body = _body(kind, event, job)
        session.add_all(_message(each, kind, body, job_id=job.id, seq=event.seq) for each in wanted)


def add_test(session: Session, webhook: Webhook) -> Delivery:
    """Write a message that tells nothing, to see whether it arrives.

    Raise Conflict where nothing is sent, QuotaExceeded where so many wait that one more would say nothing new.
    """
    _refuse_unless_enabled(webhook)
    tests = (Delivery.webhook_id == webhook.id, Delivery.job_id.is_(None), _WAITING)
    if session.scalars(select(func.count()).select_from(Delivery).where(*tests)).one() >= MOST_TESTS:
        raise QuotaExceeded(f"{MOST_TESTS} tests of the webhook wait already, which is the limit.")
    data = {"webhook": webhook.id, "links": {"webhook": f"/webhooks/{webhook.id}"}}
    body = orjson.dumps({"type": TEST, "timestamp": rfc3339(now()), "data": data}).decode()
    message = _message(webhook.id, TEST, body, job_id=None, seq=0)
    session.add(message)
    session.flush()
    return message


def _body(type: str, event: Event, job: Job) -> str:
    """Return as little as tells whom to ask for what: it may go to a machine that others look into."""
    url = f"/jobs/{job.id}"
    data = {
        "job": job.id,
        "status": job.status,
        "step": job.step,
        "version": job.version,
        "seq": event.seq,
        "links": {"job": url, "event": f"{url}/events?after={event.seq - 1}&limit=1"},
    }
    return orjson.dumps({"type": type, "timestamp": rfc3339(event.at), "data": data}).decode()


def _message(webhook_id: str, type: str, body: str, *, job_id: str | None, seq: int) -> Delivery:
    return Delivery(
        id=make_id("dlv"),
        webhook_id=webhook_id,
        job_id=job_id,
        seq=seq,
        type=type,
        body=body,
        state=DeliveryState.WAITING,
        created_at=now(),
    )


# What a courier does


def list_due(session: Session, *, most: int) -> list[Letter]:
    """Return messages that may be sent now, oldest first, at most so many of a webhook: the first of each job."""
    place = func.row_number().over(partition_by=Delivery.webhook_id, order_by=Delivery.id).label("place")
    due = select(Delivery.id, place).where(_WAITING, Delivery.hold_s.is_(None), _IS_FIRST).subquery()
    message = (Delivery.id, Delivery.attempt, Delivery.webhook_id, Webhook.owner_id)
    query = (
        select(*message, Delivery.job_id, Delivery.seq, Delivery.body)
        .join(due, due.c.id == Delivery.id)
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(due.c.place <= most, Webhook.enabled.is_(True))
        .order_by(Delivery.id)
    )
    return [Letter(*row) for row in session.execute(query)]


def list_held(session: Session) -> list[tuple[str, int, float]]:
    """Return (id, attempt, hold_s) of messages that wait out a try: one that failed, or one that somebody is at.

    All of them: beyond any limit the waits of one owner's dead receivers would keep those of others from being counted.
    """
    query = select(Delivery.id, Delivery.attempt, Delivery.hold_s).where(_WAITING, Delivery.hold_s.is_not(None))
    return [(row.id, row.attempt, row.hold_s) for row in session.execute(query)]


def end_hold(session: Session, delivery_id: str, attempt: int) -> bool:
    """Let a message be tried again that has waited long enough; False when it has been tried since."""
    held = (Delivery.id == delivery_id, Delivery.attempt == attempt, _WAITING, Delivery.hold_s.is_not(None))
    return update_one(session, update(Delivery).where(*held).values(hold_s=None))


def claim(session: Session, letter: Letter) -> Address | None:
    """Begin a try at a message and return where it goes by now; who dies with it only keeps it waiting for a lease.

    None: somebody else was first, or its webhook was disabled since it was listed.
    """
    enabled = (Webhook.id == letter.webhook_id, Webhook.enabled.is_(True))
    row = session.execute(select(Webhook.url, Webhook.secret).where(*enabled)).one_or_none()
    if row is None:
        return None
    due = (Delivery.id == letter.id, Delivery.attempt == letter.attempt, _WAITING, Delivery.hold_s.is_(None))
    values = {"attempt": letter.attempt + 1, "hold_s": LEASE_S, "tried_at": now()}
    is_mine = update_one(session, update(Delivery).where(*due).values(values))
    return Address(*row) if is_mine else None


def settle(session: Session, letter: Letter, outcome: Outcome) -> None:
    """Record that a claimed message was accepted; nothing where it has been tried again since.

    The receiver works, so what stands behind the message has its waits before it.
    """
    values = {
        "state": DeliveryState.DELIVERED,
        "hold_s": None,
        "status_code": outcome.status_code,
        "error": None,
        "finished_at": now(),
    }
    if update_one(session, update(Delivery).where(*_claimed(letter)).values(values)):
        session.execute(update(Delivery).where(*_behind(letter), Delivery.waited_s > 0).values(waited_s=0.0))


def put_off(session: Session, letter: Letter, outcome: Outcome, *, back_off: BackOff, stretch: float) -> None:
    """Record that a claimed message was not accepted: let it wait, or give it up when it has waited for long enough.

    What stands behind it waits as long: a day after a receiver has accepted anything of a job, all of it is given up,
    each message tried once.
    """
    query = select(Delivery).where(*_claimed(letter)).with_for_update()
    message = session.scalars(query).one_or_none()
    if message is None:
        return
    message.status_code, message.error = outcome.status_code, outcome.error
    if message.waited_s >= back_off.in_all_s:
        message.state, message.hold_s, message.finished_at = DeliveryState.FAILED, None, now()
        return
    wait_s = back_off.after(message.waited_s, stretch)
    message.hold_s = wait_s
    message.waited_s += wait_s
    session.execute(update(Delivery).where(*_behind(letter)).values(waited_s=Delivery.waited_s + wait_s))


def forget_old(session: Session, webhook_id: str) -> None:
    """Delete the oldest messages of a webhook that are settled, beyond MOST_KEPT."""
    settled = (Delivery.webhook_id == webhook_id, ~_WAITING)
    newest = select(Delivery.id).where(*settled).order_by(Delivery.id.desc()).offset(MOST_KEPT).limit(1)
    last = session.scalars(newest).one_or_none()
    if last is not None:
        session.execute(delete(Delivery).where(*settled, Delivery.id <= last))


def _behind(letter: Letter) -> tuple[Any, ...]:
    same = (Delivery.webhook_id == letter.webhook_id, Delivery.job_id == letter.job_id)
    return (*same, _WAITING, Delivery.seq > letter.seq)


def _claimed(letter: Letter) -> tuple[Any, ...]:
    return (Delivery.id == letter.id, Delivery.attempt == letter.attempt + 1, _WAITING)


# What an owner does


def list_deliveries(
    session: Session, webhook_id: str, *, status: str | None = None, limit: int = 50, cursor: str | None = None
) -> Page[Delivery]:
    """Return the messages to a webhook, newest first."""
    query = select(Delivery).where(Delivery.webhook_id == webhook_id).order_by(Delivery.id.desc()).limit(limit + 1)
    if status:
        query = query.where(Delivery.state == status)
    if cursor:
        query = query.where(Delivery.id < decode_cursor(cursor))
    rows: Sequence[Delivery] = session.scalars(query).all()
    return make_page(rows, limit, [row.id for row in rows])


def get_delivery(session: Session, webhook: Webhook, delivery_id: str) -> Delivery:
    """Return a message to a webhook; raise NotFound."""
    message = session.get(Delivery, delivery_id)
    if message is None or message.webhook_id != webhook.id:
        raise NotFound("delivery", delivery_id)
    return message


def redeliver(session: Session, webhook: Webhook, delivery_id: str) -> Delivery:
    """Let a message be sent again, or at once, with a whole day of tries; it goes before what still waits of its job.

    Raise Conflict where nothing is sent.
    """
    _refuse_unless_enabled(webhook)
    message = get_delivery(session, webhook, delivery_id)
    message.state, message.hold_s, message.waited_s, message.finished_at = DeliveryState.WAITING, None, 0.0, None
    session.flush()
    return message


def _refuse_unless_enabled(webhook: Webhook) -> None:
    if not webhook.enabled:
        raise Conflict("webhook_is_disabled", "The webhook is disabled, and nothing is sent to it; enable it first.")
