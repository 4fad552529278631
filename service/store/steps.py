"""Which row a client means by a step: a number, or `latest`."""

from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.errors import NotFound
from service.models import Checkpoint, Sample

Row = TypeVar("Row", Checkpoint, Sample)


def find_at_step(session: Session, table: type[Row], job_id: str, which: str) -> Row:
    """Return a job's row at a step, or its `latest`; raise NotFound."""
    query = select(table).where(table.job_id == job_id)
    if which != "latest":
        if not which.isascii() or not which.isdigit() or len(which) > 18:
            raise NotFound(table.__name__.lower(), which)
        query = query.where(table.step == int(which))
    row = session.scalars(query.order_by(table.step.desc()).limit(1)).first()
    if row is None:
        raise NotFound(table.__name__.lower(), which)
    return row
