"""The answer to a query: the steps asked for, thinned if there are too many, as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from service.history.extremes import Pairs, concatenate, merge, overview_of, pairs_of
from service.history.query import Downsample, Query, Row
from service.history.segments import Block, Steps, Values, join
from service.history.thinning import Grid, Points, enclose, largest_triangles, make_grid, means, minmax
from service.store import history
from service.store.history import Stretch


@dataclass(frozen=True)
class Reading:
    """Rising steps (N,), the values (C, N) at them, and how they were chosen from total_steps recorded ones."""

    columns: tuple[str, ...]
    steps: Steps
    values: Values
    method: Downsample
    total_steps: int
    next_after_step: int  # what a poller asks for next

    @property
    def row(self) -> Row:
        """Tell what a row holds: the values of one step, means, or each column's own extreme of a stretch of steps."""
        if self.method == "mean":
            return "mean"
        return "extremes" if self.method == "minmax" and len(self.columns) > 1 else "step"

    @property
    def is_exact(self) -> bool:
        """Tell whether every step of the range is here as recorded."""
        return self.method == "none"


@dataclass(frozen=True)
class _Source:
    """The wanted columns of stretches that follow each other, by range of steps."""

    session: Session
    stretches: Sequence[Stretch]
    columns: tuple[str, ...]

    def rows(self, first: int, last: int) -> Block:
        ranges = [(each.job_id, max(first, each.first), min(last, each.last)) for each in self.stretches]
        return join([self._rows_of(job_id, start, end) for job_id, start, end in ranges if start <= end])

    def ends(self, first: int, last: int) -> tuple[Block, Block]:
        """Return blocks that hold two steps; what stands between them has an overview."""
        if len(self.stretches) > 1:
            whole = self.rows(first, last)
            return whole, whole
        job_id = self.stretches[0].job_id
        return history.read_ends(self.session, job_id, columns=self.columns, first=first, last=last)

    def overview(self, cell_steps: int, first: int, last: int) -> list[Pairs]:
        job_id, columns = self.stretches[0].job_id, self.columns
        return history.read_overview(
            self.session, job_id, columns=columns, cell_steps=cell_steps, first=first, last=last
        )

    def _rows_of(self, job_id: str, first: int, last: int) -> Block:
        return history.read_rows(self.session, job_id, columns=self.columns, first=first, last=last)


def read_history(session: Session, stretches: Sequence[Stretch], query: Query) -> Reading:
    """Answer a query whose columns are resolved; the same history and query give the same arrays.

    The stretches follow each other without a gap; each job has recorded all the columns.
    """
    source = _Source(session, stretches, query.columns or ())
    recorded = (stretches[0].first, stretches[-1].last) if stretches else (1, 0)
    first, last = query.first(recorded[0]), query.last(recorded[1])
    total = max(last - first + 1, 0)
    max_points = query.max_points or total
    method = query.downsample if total > max_points else "none"
    points = _points(source, method, first, last, max_points)
    return Reading(
        columns=source.columns,
        steps=points.steps,
        values=np.ascontiguousarray(points.values),  # as orjson asks for
        method=method,
        total_steps=total,
        next_after_step=last if total else first - 1,
    )


def _points(source: _Source, method: Downsample, first: int, last: int, max_points: int) -> Points:
    if first > last:
        return Points(np.empty(0, np.int64), np.empty((len(source.columns), 0), np.float32))
    if method == "minmax":
        return _minmax(source, first, last, max_points)
    block = source.rows(first, last)
    if method == "lttb":
        return largest_triangles(block, max_points)
    if method == "mean":
        return means(block, max_points)
    return Points(block.steps, block.values)


def _minmax(source: _Source, first: int, last: int, max_points: int) -> Points:
    grid = make_grid(first + 1, last - 1, buckets=(max_points - 2) // 2)
    if grid.cell_steps == 1:
        head = tail = source.rows(first, last)
        pairs = pairs_of(head.cut(grid.first, grid.last), grid.width)
    else:
        head, tail = source.ends(first, last)
        pairs = merge(_cells(source, grid, head, tail), grid.width)
    return enclose(head.cut(first, first), minmax(pairs, grid), tail.cut(last, last))


def _cells(source: _Source, grid: Grid, head: Block, tail: Block) -> Pairs:
    """Return the extremes of the cells of a grid: of the segments at its ends from their rows, for it may cut them."""
    parts = _cells_of(head.cut(grid.first, grid.last), grid.cell_steps)
    if tail.first_step > head.first_step:
        parts += source.overview(grid.cell_steps, head.last_step + 1, tail.first_step - 1)
        parts += _cells_of(tail.cut(grid.first, grid.last), grid.cell_steps)
    return concatenate(parts)


def _cells_of(block: Block, cell_steps: int) -> list[Pairs]:
    return [overview_of(block, cell_steps)] if block.values.size else []
