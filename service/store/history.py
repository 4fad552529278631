"""The loss history of a job in segments: appending, cutting, reading. Each step stands exactly once."""

from collections.abc import Sequence

import numpy.typing as npt
from sqlalchemy import Select, bindparam, delete, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from service.history.extremes import Pairs, concatenate, overview_of, pack_overview, unpack_overview
from service.history.segments import Block, block_of, is_full, join, pack, split, statistics, unpack
from service.history.summaries import ColumnSummary, summarise
from service.models import Segment


def append_rows(
    session: Session, job_id: str, *, attempt: int, first_step: int, columns: Sequence[str], rows: npt.ArrayLike
) -> None:
    """Append rows (N, C) of the steps from first_step on; does not commit.

    Raises ValueError unless first_step follows the last recorded step (any step may be a job's first: a fork
    continues its parent's numbers) and the columns are those of the job's history so far.
    """
    block = block_of(first_step, rows)
    newest = _newest(session, job_id)
    if newest is not None:
        _require_continuation(newest, first_step, columns)
    if newest is not None and not is_full(newest.last_step):
        block = join([_decode(newest), block])
    for part in split(block):
        session.merge(_encode(job_id, attempt, columns, part))


def cut_after(session: Session, job_id: str, step: int) -> None:
    """Remove every step after `step`, the step of the checkpoint that training resumes from; does not commit."""
    session.execute(delete(Segment).where(Segment.job_id == job_id, Segment.first_step > step))
    newest = _newest(session, job_id)
    if newest is not None and newest.last_step > step:
        kept = _decode(newest).cut(newest.first_step, step)
        session.merge(_encode(job_id, newest.attempt, newest.columns, kept))


_NEWEST_FIRST = (
    select(Segment.last_step).where(Segment.job_id == bindparam("job")).order_by(Segment.first_step.desc()).limit(1)
)


def last_step(session: Session, job_id: str) -> int | None:
    """Return the last recorded step, or None before the first."""
    return session.scalar(_NEWEST_FIRST, {"job": job_id})


def span(session: Session, job_id: str) -> tuple[int, int] | None:
    """Return the first and the last recorded step, or None before the first."""
    oldest_first = select(Segment.first_step).where(Segment.job_id == job_id).order_by(Segment.first_step)
    first, last = session.scalar(oldest_first.limit(1)), last_step(session, job_id)
    return None if first is None or last is None else (first, last)


def read_rows(session: Session, job_id: str, *, columns: Sequence[str], first: int, last: int) -> Block:
    """Return the chosen columns of the steps first to last, both included; raises LookupError if none is recorded."""
    blocks = [
        Block(row.first_step, unpack(row.payload, columns=len(row.columns), chosen=_places(row.columns, columns)))
        for row in session.execute(_overlapping(Segment.payload, job_id=job_id, first=first, last=last))
    ]
    if not blocks:
        raise LookupError(f"job {job_id} has no step from {first} to {last}")
    return join([block.cut(first, last) for block in blocks])


def read_overview(session: Session, job_id: str, *, columns: Sequence[str], first: int, last: int) -> Pairs:
    """Return the extremes of the overview cells of the steps first to last; raises LookupError if none is recorded.

    Only the segments at the two ends of the range are decompressed, and only if the range cuts them.
    """
    parts = []
    for row in session.execute(_overlapping(Segment.overview, job_id=job_id, first=first, last=last)):
        if first <= row.first_step and row.last_step <= last:
            chosen = _places(row.columns, columns)
            parts.append(unpack_overview(row.overview, row.first_step, columns=len(row.columns), chosen=chosen))
        else:
            ends = max(first, row.first_step), min(last, row.last_step)
            parts.append(overview_of(read_rows(session, job_id, columns=columns, first=ends[0], last=ends[1])))
    if not parts:
        raise LookupError(f"job {job_id} has no step from {first} to {last}")
    return concatenate(parts)


def summary(session: Session, job_id: str) -> dict[str, ColumnSummary]:
    """Summarise each recorded column from the statistics of the segments alone; empty before the first step."""
    rows = session.execute(
        select(Segment.first_step, Segment.last_step, Segment.stats)
        .where(Segment.job_id == job_id)
        .order_by(Segment.first_step)
    ).all()
    if not rows:
        return {}
    count = rows[-1].last_step - rows[0].first_step + 1
    return {column: summarise([row.stats[column] for row in rows], count) for column in rows[-1].stats}


def _require_continuation(newest: Segment, first_step: int, columns: Sequence[str]) -> None:
    if first_step != newest.last_step + 1:
        raise ValueError(f"step {first_step} does not follow the last recorded step {newest.last_step}")
    if list(columns) != newest.columns:
        raise ValueError(f"columns {list(columns)} differ from the recorded {newest.columns}")


def _overlapping(
    content: InstrumentedAttribute[bytes], *, job_id: str, first: int, last: int
) -> Select[int, int, list[str], bytes]:
    return (
        select(Segment.first_step, Segment.last_step, Segment.columns, content)
        .where(Segment.job_id == job_id, Segment.last_step >= first, Segment.first_step <= last)
        .order_by(Segment.first_step)
    )


def _places(recorded: list[str], chosen: Sequence[str]) -> list[int]:
    return [recorded.index(column) for column in chosen]


def _newest(session: Session, job_id: str) -> Segment | None:
    return session.scalars(
        select(Segment).where(Segment.job_id == job_id).order_by(Segment.first_step.desc()).limit(1)
    ).first()


def _encode(job_id: str, attempt: int, columns: Sequence[str], block: Block) -> Segment:
    return Segment(
        job_id=job_id,
        first_step=block.first_step,
        last_step=block.last_step,
        attempt=attempt,
        columns=list(columns),
        stats=statistics(block, columns),
        payload=pack(block.values),
        overview=pack_overview(overview_of(block)),
    )


def _decode(segment: Segment) -> Block:
    count = len(segment.columns)
    return Block(segment.first_step, unpack(segment.payload, columns=count, chosen=range(count)))
