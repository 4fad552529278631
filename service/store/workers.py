"""Worker processes that have been seen, for people and for /workers. Nothing of a job's fate depends on these rows."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from service.clock import now
from service.models import Worker
from service.store.pages import Page, decode_cursor, make_page


def register_worker(
    session: Session, *, worker_id: str, device: str, slots: int, version: str, facts: dict[str, Any]
) -> Worker:
    """Store a worker that starts."""
    moment = now()
    worker = Worker(
        id=worker_id,
        device=device,
        slots=slots,
        busy=0,
        beat=0,
        version=version,
        facts=facts,
        started_at=moment,
        seen_at=moment,
    )
    return session.merge(worker)


def beat_worker(session: Session, worker_id: str, *, busy: int) -> None:
    """Say that a worker lives and how many of its slots are taken."""
    session.execute(update(Worker).where(Worker.id == worker_id).values(busy=busy, beat=Worker.beat + 1, seen_at=now()))


def list_workers(session: Session) -> Sequence[Worker]:
    """Return every known worker, longest running first."""
    return session.scalars(select(Worker).order_by(Worker.started_at, Worker.id)).all()


def page_workers(session: Session, *, limit: int = 50, cursor: str | None = None) -> Page[Worker]:
    """Return a page of the known workers, by id."""
    query = select(Worker).order_by(Worker.id).limit(limit + 1)
    if cursor:
        query = query.where(Worker.id > decode_cursor(cursor))
    rows = session.scalars(query).all()
    return make_page(rows, limit, [row.id for row in rows])


def forget_worker(session: Session, worker_id: str) -> None:
    """Drop a worker that has stopped or has not been seen for long."""
    session.execute(delete(Worker).where(Worker.id == worker_id))
