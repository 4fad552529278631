"""How a long run of steps becomes few points that still show it. Each function is determined by its arguments alone.

Values are (C, N). Every method keeps the first and the last row as they are and the global extremes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.history.extremes import CELLS, Pairs
from service.history.segments import Block, Steps, Values

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Points:
    """Rising steps (N,) and the values (C, N) that stand for them."""

    steps: Steps
    values: Values


@dataclass(frozen=True)
class Grid:
    """The buckets of min-max thinning: whole cells of `cell_steps` absolute steps, `width` cells a bucket.

    `first` and `last` bound the steps in the buckets; the cells at both ends may hold less.
    """

    first: int
    last: int
    cell_steps: int
    width: int

    @property
    def edges(self) -> Steps:
        """Return the first and the last step of each bucket, (buckets, 2)."""
        first_cell, last_cell = (self.first - 1) // self.cell_steps, (self.last - 1) // self.cell_steps
        cells = np.arange(first_cell, last_cell + 1, self.width, dtype=np.int64)
        starts = np.maximum(cells * self.cell_steps + 1, self.first)
        return np.stack([starts, np.append(starts[1:] - 1, self.last)], axis=1)


def make_grid(first: int, last: int, *, buckets: int) -> Grid:
    """Lay at most `buckets` buckets over the steps first to last.

    Buckets that span at least two overview cells consist of whole ones, of the coarsest level of which that is so: an
    overview may stand in for the rows.
    """
    steps = last - first + 1
    cell_steps = max((cell for cell in CELLS if steps >= 2 * cell * buckets), default=1)
    cells = (last - 1) // cell_steps - (first - 1) // cell_steps + 1
    return Grid(first, last, cell_steps, -(-cells // buckets))


def minmax(pairs: Pairs, grid: Grid) -> Points:
    """Show each bucket by two rows: every column's extremes in the order in which they occurred.

    A single column stands at the steps where it was so; several share the first and the last step of the bucket.
    """
    columns = pairs.values.shape[0]
    steps = (pairs.steps[0] if columns == 1 else grid.edges).ravel()
    rising = np.diff(steps, prepend=0) > 0  # a bucket whose extremes are one step needs one row
    return Points(steps[rising], pairs.values.reshape(columns, -1)[:, rising])


def enclose(first: Block, inner: Points, last: Block) -> Points:
    """Put the exact first and last row around thinned ones."""
    return Points(
        np.concatenate([first.steps, inner.steps, last.steps]),
        np.concatenate([first.values, inner.values, last.values], axis=1),
    )


def largest_triangles(block: Block, max_points: int) -> Points:
    """Choose real rows that keep the visual shape of the first column (LTTB, Steinarsson 2013, section 4.2)."""
    kept = _landmarks(block.values, max_points)
    series = np.where(np.isfinite(block.values[0]), block.values[0], 0).astype(np.float64)
    chosen = np.union1d(kept, _triangle_corners(series, max_points - len(kept) + 2))
    return Points(block.steps[chosen], block.values[:, chosen])


def means(block: Block, max_points: int) -> Points:
    """Show each bucket by its mean of finite values at its middle step, beside the landmarks as they are."""
    kept = _landmarks(block.values, max_points)
    edges = _bucket_edges(block.values.shape[1], max_points - len(kept))
    middles = (edges[:-1] + edges[1:] - 1) // 2
    free = ~np.isin(middles, kept)
    steps = np.concatenate([block.steps[kept], block.steps[middles[free]]])
    values = np.concatenate([block.values[:, kept], _bucket_means(block.values, edges)[:, free]], axis=1)
    order = np.argsort(steps)
    return Points(steps[order], values[:, order])


def _landmarks(values: Values, max_points: int) -> Indices:
    """Return the places of the first and last row and, column by column, of extremes while half of the points last."""
    finite = np.isfinite(values)
    lowest = np.where(finite, values, np.inf).argmin(axis=1)
    highest = np.where(finite, values, -np.inf).argmax(axis=1)
    extremes = np.stack([lowest, highest], axis=1).ravel().tolist()
    places = list(dict.fromkeys([0, values.shape[1] - 1, *extremes]))
    return np.sort(np.array(places[: max(4, max_points // 2)], dtype=np.int64))


def _bucket_edges(count: int, buckets: int) -> Indices:
    """Cut the rows between the first and the last into equal buckets; return where each begins, and the end."""
    return np.linspace(1, count - 1, buckets + 1).astype(np.int64)


def _bucket_means(values: Values, edges: Indices) -> Values:
    inner = values[:, : edges[-1]]
    finite = np.isfinite(inner)
    sums = np.add.reduceat(np.where(finite, inner, 0), edges[:-1], axis=1, dtype=np.float64)
    counts = np.add.reduceat(finite, edges[:-1], axis=1, dtype=np.int64)
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0).astype(np.float32)


def _triangle_corners(series: npt.NDArray[np.float64], points: int) -> Indices:
    """Choose one place a bucket: the largest triangle with the place chosen before and the mean of the next bucket."""
    edges = _bucket_edges(len(series), points - 2)
    ends = np.append(edges[1:], len(series))  # the last row is the bucket after the last
    mean_places, mean_values = (edges + ends - 1) / 2, np.add.reduceat(series, edges) / (ends - edges)
    corners = [0]
    for i in range(len(edges) - 1):
        place, value = corners[-1], series[corners[-1]]
        rise, run = mean_values[i + 1] - value, mean_places[i + 1] - place
        area = np.abs(run * (series[edges[i] : ends[i]] - value) - rise * (np.arange(edges[i], ends[i]) - place))
        corners.append(int(edges[i] + area.argmax()))
    return np.array([*corners, len(series) - 1], dtype=np.int64)
