"""The loss history of a job in segments: appending, cutting, reading. Each step stands exactly once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy.typing as npt
from sqlalchemy import ColumnElement, Integer, Select, and_, bindparam, delete, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from service.history.extremes import (
    CELLS,
    CELLS_IN_ROW,
    OVERVIEW_STEPS,
    Pairs,
    concatenate,
    merge,
    overview_of,
    pack_overview,
    unpack_overviews,
)
from service.history.segments import SEGMENT_STEPS, Block, block_of, is_full, join, pack, split, statistics, unpack
from service.history.summaries import ColumnSummary, join_statistics, summarise
from service.models import Overview, Segment


@dataclass(frozen=True)
class Stretch:
    """The steps first to last, both included, as one job has recorded them."""

    job_id: str
    first: int
    last: int


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
        _seal(session, job_id, columns, part.last_step)


def cut_after(session: Session, job_id: str, step: int) -> None:
    """Remove every step after `step`, the step of the checkpoint that training resumes from; does not commit."""
    session.execute(delete(Segment).where(Segment.job_id == job_id, Segment.first_step > step))
    session.execute(delete(Overview).where(Overview.job_id == job_id, Overview.last_step > step))
    newest = _newest(session, job_id)
    if newest is not None and newest.last_step > step:
        kept = _decode(newest).cut(newest.first_step, step)
        session.merge(_encode(job_id, newest.attempt, newest.columns, kept))


def _holds(step: ColumnElement[int]) -> ColumnElement[bool]:
    """Return the condition that a segment holds a step; the lower bound spares a search through all before it."""
    return and_(Segment.first_step > step - SEGMENT_STEPS, Segment.first_step <= step, Segment.last_step >= step)


_JOB, _FIRST, _LAST = (
    Segment.job_id == bindparam("job"),
    bindparam("first", type_=Integer),
    bindparam("last", type_=Integer),
)
# Written once: to build a statement takes longer than to carry out a small one.
_PAYLOADS = select(Segment.first_step, Segment.columns, Segment.payload).where(_JOB).order_by(Segment.first_step)
_OVERLAPPING = _PAYLOADS.where(
    Segment.first_step > _FIRST - SEGMENT_STEPS, Segment.last_step >= _FIRST, Segment.first_step <= _LAST
)
_AT_ENDS = _PAYLOADS.where(or_(_holds(_FIRST), _holds(_LAST)))
_OF_SEGMENTS = (_JOB, Segment.first_step >= _FIRST, Segment.first_step <= _LAST, Segment.last_step <= _LAST)
_OF_OVERVIEWS = (
    Overview.job_id == bindparam("job"),
    Overview.cell_steps == bindparam("cell_steps"),
    Overview.first_step >= _FIRST,
    Overview.first_step <= _LAST,
    Overview.last_step <= _LAST,
)


def _parts(
    of: type[Segment | Overview], content: InstrumentedAttribute[Any], within: tuple[ColumnElement[bool], ...]
) -> "Select[int, int, Any]":
    chosen = select(of.first_step, of.last_step, content.label("content"))
    return chosen.where(*within).order_by(of.first_step)


_Content = Literal["overview", "stats"]
_SEGMENTS = {
    "overview": _parts(Segment, Segment.overview, _OF_SEGMENTS),
    "stats": _parts(Segment, Segment.stats, _OF_SEGMENTS),
}
_SEALED = {
    "overview": _parts(Overview, Overview.cells, _OF_OVERVIEWS),
    "stats": _parts(Overview, Overview.stats, _OF_OVERVIEWS),
}
_COLUMNS = select(Segment.columns).where(_JOB).limit(1)
_NEWEST_FIRST = (
    select(Segment.last_step).where(Segment.job_id == bindparam("job")).order_by(Segment.first_step.desc()).limit(1)
)


def last_step(session: Session, job_id: str) -> int | None:
    """Return the last recorded step, or None before the first."""
    return session.scalar(_NEWEST_FIRST, {"job": job_id})


def columns_of(session: Session, job_id: str) -> Sequence[str]:
    """Return the columns that a job records, which are those of all its segments; none before the first step."""
    return session.scalar(_COLUMNS, {"job": job_id}) or ()


def span(session: Session, job_id: str) -> tuple[int, int] | None:
    """Return the first and the last recorded step, or None before the first."""
    oldest_first = select(Segment.first_step).where(Segment.job_id == job_id).order_by(Segment.first_step)
    first, last = session.scalar(oldest_first.limit(1)), last_step(session, job_id)
    return None if first is None or last is None else (first, last)


def stretches_of(session: Session, job_id: str) -> list[Stretch]:
    """Return the history of a job as one stretch, none before its first step."""
    recorded = span(session, job_id)
    return [] if recorded is None else [Stretch(job_id, *recorded)]


def read_rows(session: Session, job_id: str, *, columns: Sequence[str], first: int, last: int) -> Block:
    """Return the chosen columns of the steps first to last, both included; raises LookupError if none is recorded."""
    blocks = _read_segments(session, _OVERLAPPING, columns, job=job_id, first=first, last=last)
    if not blocks:
        raise LookupError(f"job {job_id} has no step from {first} to {last}")
    return join([block.cut(first, last) for block in blocks])


def read_ends(session: Session, job_id: str, *, columns: Sequence[str], first: int, last: int) -> tuple[Block, Block]:
    """Return the chosen columns of the whole segments that hold two steps; raises LookupError if none is recorded."""
    blocks = _read_segments(session, _AT_ENDS, columns, job=job_id, first=first, last=last)
    if not blocks:
        raise LookupError(f"job {job_id} has no step {first} nor {last}")
    return blocks[0], blocks[-1]


def read_overview(
    session: Session, job_id: str, *, columns: Sequence[str], cell_steps: int, first: int, last: int
) -> list[Pairs]:
    """Return the extremes of cells of so many steps, of the whole segments within the steps first to last, if any.

    They begin at the begin of a segment. Nothing is decompressed. All segments of a history have the same columns.
    """
    recorded = columns_of(session, job_id)
    chosen = _places(recorded, columns)
    return [
        _as_coarse(run, cell_steps, columns=len(recorded), chosen=chosen)
        for run in _cover(session, job_id, "overview", cell_steps, first, last)
    ]


def summary(session: Session, job_id: str) -> dict[str, ColumnSummary]:
    """Summarise each recorded column from the statistics of its parts alone; empty before the first step."""
    recorded = span(session, job_id)
    if recorded is None:
        return {}
    first, last = recorded
    coarsest = max(cell for cell in CELLS if cell == OVERVIEW_STEPS or cell * CELLS_IN_ROW <= last)
    parts = [stats for run in _cover(session, job_id, "stats", coarsest, first, last) for stats in run.contents]
    return {column: summarise([part[column] for part in parts], last - first + 1) for column in parts[-1]}


class _Run(NamedTuple):
    """Stored parts of a history that follow each other, each with its first step."""

    cell_steps: int
    first_steps: list[int]
    contents: list[Any]


def _cover(session: Session, job_id: str, content: _Content, cell_steps: int, first: int, last: int) -> Iterator[_Run]:
    """Yield what is stored of the whole segments within the steps first to last, in order.

    It is as coarse as asked for where that is there, and as little finer as can be where it is not: at both ends.
    """
    if first > last:
        return
    asked = {"job": job_id, "first": first, "last": last}
    if cell_steps == OVERVIEW_STEPS:
        if rows := session.execute(_SEGMENTS[content], asked).all():
            yield _Run(cell_steps, [row.first_step for row in rows], [row.content for row in rows])
        return
    finer, run = CELLS[CELLS.index(cell_steps) - 1], _Run(cell_steps, [], [])
    for row in session.execute(_SEALED[content], asked | {"cell_steps": cell_steps}).all():
        if row.first_step > first:
            if run.contents:
                yield run
                run = _Run(cell_steps, [], [])
            yield from _cover(session, job_id, content, finer, first, row.first_step - 1)
        run.first_steps.append(row.first_step)
        run.contents.append(row.content)
        first = row.last_step + 1
    if run.contents:
        yield run
    yield from _cover(session, job_id, content, finer, first, last)


def _as_coarse(run: _Run, cell_steps: int, *, columns: int, chosen: Sequence[int]) -> Pairs:
    pairs = unpack_overviews(run.contents, run.first_steps, cell_steps=run.cell_steps, columns=columns, chosen=chosen)
    return pairs if run.cell_steps == cell_steps else merge(pairs, cell_steps // run.cell_steps)


def _seal(session: Session, job_id: str, columns: Sequence[str], last_step: int) -> None:
    """Store what the segments up to a step say together, on each level of which that step is the end of a row.

    A row that would begin before the history, as that of a fork does, is never stored.
    """
    places = range(len(columns))
    for finer, cell_steps in pairwise(CELLS):
        first_step = last_step + 1 - cell_steps * CELLS_IN_ROW
        if last_step % (cell_steps * CELLS_IN_ROW) != 0:
            return
        described = [*_cover(session, job_id, "stats", finer, first_step, last_step)]
        if described[0].first_steps[0] != first_step:
            return
        stats = [each for run in described for each in run.contents]
        drawn = _cover(session, job_id, "overview", finer, first_step, last_step)
        pairs = concatenate([_as_coarse(run, cell_steps, columns=len(columns), chosen=places) for run in drawn])
        session.add(
            Overview(
                job_id=job_id,
                cell_steps=cell_steps,
                first_step=first_step,
                last_step=last_step,
                stats={column: join_statistics([each[column] for each in stats]) for column in columns},
                cells=pack_overview(pairs, cell_steps),
            )
        )


def _require_continuation(newest: Segment, first_step: int, columns: Sequence[str]) -> None:
    if first_step != newest.last_step + 1:
        raise ValueError(f"step {first_step} does not follow the last recorded step {newest.last_step}")
    if list(columns) != newest.columns:
        raise ValueError(f"columns {list(columns)} differ from the recorded {newest.columns}")


def _read_segments(
    session: Session, which: Select[int, list[str], bytes], columns: Sequence[str], **asked: str | int
) -> list[Block]:
    return [
        Block(row.first_step, unpack(row.payload, columns=len(row.columns), chosen=_places(row.columns, columns)))
        for row in session.execute(which, asked)
    ]


def _places(recorded: Sequence[str], chosen: Sequence[str]) -> list[int]:
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
