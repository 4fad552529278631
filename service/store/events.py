"""What happened to a job, in order."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.clock import now
from service.models import Event, Job
from service.store.deliveries import add_messages
from service.store.pages import Page, decode_number_cursor, make_page

OF_THEIR_OWN = frozenset({"checkpoint", "diagnosis", "quality", "rollback", "sample"})
"""Types that a stream tells by their own names; all others are news of the job's status, and say what it is."""


def add_event(session: Session, job: Job, type: str, message: str, data: dict[str, Any] | None = None) -> Event:
    """Append an event. The caller's transaction holds the job's row, which keeps the numbers of its stream gap-free."""
    event = next_event(job, type, message, data)
    record_event(session, job, event)
    return event


def record_event(session: Session, job: Job, event: Event) -> None:
    """Store what next_event has returned, with the messages to those who want to be told."""
    session.add(event)
    add_messages(session, job, event)


def next_event(job: Job, type: str, message: str, data: dict[str, Any] | None = None) -> Event:
    """Return what happened to a job, which counts it; the caller records it."""
    told = {} if type in OF_THEIR_OWN else {"status": job.status}
    job.event_seq += 1
    job.version += 1
    return Event(
        job_id=job.id,
        seq=job.event_seq,
        at=now(),
        type=type,
        message=message,
        attempt=job.attempt,
        data=told | (data or {}),
    )


def list_events(
    session: Session, job_id: str, *, after: int = 0, limit: int = 50, cursor: str | None = None
) -> Page[Event]:
    """Return the events after a sequence number, oldest first."""
    after = max(after, decode_number_cursor(cursor) if cursor else 0)
    query = select(Event).where(Event.job_id == job_id, Event.seq > after).order_by(Event.seq).limit(limit + 1)
    events: Sequence[Event] = session.scalars(query).all()
    return make_page(events, limit, [event.seq for event in events])
