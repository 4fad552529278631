"""Which row a client means by a step: a number, or `latest`."""

from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, bindparam, select
from sqlalchemy.orm import Session

from service.errors import GanymedeError, NotFound, NotYet
from service.models import Checkpoint, Job, Sample

Row = TypeVar("Row", Checkpoint, Sample)

MOST_NAMED = 10  # steps in a sentence
_FIRST = {
    Checkpoint: "by default one comes within a minute of training; POST /jobs/ID/checkpoints asks for one now",
    Sample: "the first comes at the step that samples.every_steps names",
}


def _newest_of(table: type[Row], *conditions: ColumnElement[bool]) -> Select[Any]:
    mine = select(table).where(table.job_id == bindparam("job"), *conditions)
    return mine.order_by(table.step.desc()).limit(1)


# Made once: to make one of these takes as long as to carry it out.
_LATEST = {Checkpoint: _newest_of(Checkpoint), Sample: _newest_of(Sample)}
_AT_STEP = {
    Checkpoint: _newest_of(Checkpoint, Checkpoint.step == bindparam("step")),
    Sample: _newest_of(Sample, Sample.step == bindparam("step")),
}


def find_at_step(session: Session, table: type[Row], job_id: str, which: str) -> Row:
    """Return a job's row at a step, or its `latest`; raise NotFound, or NotYet before the first of a live job."""
    query: Select[Any] = _LATEST[table]
    given: dict[str, str | int] = {"job": job_id}
    if which != "latest":
        if not which.isascii() or not which.isdigit() or len(which) > 18:
            raise _absence(session, table, job_id, which)
        query = _AT_STEP[table]
        given["step"] = int(which)
    row: Row | None = session.scalars(query, given).first()
    if row is None:
        raise _absence(session, table, job_id, which)
    return row


def _absence(session: Session, table: type[Row], job_id: str, which: str) -> GanymedeError:
    """Return what to say of a row that is not there: which steps have one, or that none has yet."""
    kind = table.__name__.lower()
    query = select(table.step).where(table.job_id == job_id).order_by(table.step.desc()).limit(MOST_NAMED + 1)
    newest_first = session.scalars(query).all()
    if newest_first:
        named = [str(step) for step in reversed(newest_first[:MOST_NAMED])]
        earlier = "earlier ones, " if len(newest_first) > MOST_NAMED else ""
        return NotFound(kind, f"{which}; there are those of {earlier}{', '.join(named)}")
    job = session.get_one(Job, job_id)
    if which != "latest" and not which.isdigit():
        return NotFound(kind, f"{which}: a step or latest names one")
    if job.is_terminal:
        return NotFound(kind, f"{which}: the job has {job.state} without any")
    return NotYet(f"The job is {job.status} and has saved no {kind} yet; {_FIRST[table]}.")
