"""Normals to rows of a class without a network: curves along axes and turns of these, all learnt in a moment."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from service.spec.sizes.tabular import KNOTS
from worker.gan.data.normal_scores import learn_column

REACH = 4.0  # deviations of a bell that a curve is drawn over
BELL_ROWS = 10  # rows of a bell that join those that a curve is learnt from, which may be few
POOLED_ROWS = 0.1  # for each column, rows of the average class that join a class's own
LEAST_VARIANCE = 1e-6  # of an axis, as a fraction of the widest


Turn = tuple[np.ndarray, np.ndarray]
"""The matrix from rows to coordinates of unit variance, and the one that undoes it, both (D, D)."""


class Unfolding(nn.Module):
    """The Gaussianisation of Chen and Gopinath 2000 backwards, a map for each class or one for all.

    Each level bends every coordinate by a curve of its own, so that a bell takes the shape of the data along it, and
    turns the axes. One level is a Gaussian law with bent principal axes, a few come near most laws.
    """

    curves: Tensor
    turns: Tensor

    def __init__(self, levels: int, maps: int, columns: int) -> None:
        super().__init__()
        self.maps = maps
        self.register_buffer("curves", torch.zeros(levels, maps, columns, KNOTS))
        self.register_buffer("turns", torch.zeros(levels, maps, columns, columns))

    def learn(self, members: Sequence[np.ndarray], columns: Turn) -> None:
        """Learn each map from rows (N, D) float64 about their centre, perhaps none.

        columns leads to the data's own columns, which are bent last, unless there is but one level.
        """
        for level in range(len(self.curves)):
            own_axes = level > 0 or len(self.curves) == 1
            turns = principal_turns(members) if own_axes else column_turns(members, columns)
            bent = [bend_straight(rows @ there) for rows, (there, _) in zip(members, turns, strict=True)]
            members = [scores for _, scores in bent]
            self.curves[level].copy_(torch.from_numpy(np.stack([curves for curves, _ in bent])))
            self.turns[level].copy_(torch.from_numpy(np.stack([back for _, back in turns])))

    @torch.no_grad()
    def forward(self, normals: Tensor, which: Tensor) -> Tensor:
        """Turn normals (N, D) into rows (N, D), each by the map that `which` (N,) says."""
        rows = normals
        for curves, turns in reversed(list(zip(self.curves, self.turns, strict=True))):
            rows = turn(bend(rows, curves, which), turns, which)
        return rows


def turn(rows: Tensor, turns: Tensor, which: Tensor) -> Tensor:
    """Turn each row (N, D) by the matrix of its map, of (maps, D, D); by all of them, as copies would cost more."""
    return torch.matmul(rows, turns)[which, torch.arange(rows.shape[0], device=rows.device)]


def bend(rows: Tensor, curves: Tensor, which: Tensor) -> Tensor:
    """Follow each coordinate (N, D) along its curve (maps, D, KNOTS); beyond the ends stay there."""
    place = ((rows + REACH) * ((KNOTS - 1) / (2 * REACH))).clamp(0, KNOTS - 1)
    knot = place.long().clamp(max=KNOTS - 2)
    columns = torch.arange(rows.shape[1], device=rows.device)
    at = (which[:, None] * rows.shape[1] + columns) * KNOTS + knot
    heights = curves.flatten()
    return torch.lerp(heights.take(at), heights.take(at + 1), place - knot)


def bend_straight(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the curves (D, KNOTS) that make coordinates (N, D) of bells, and the bells' own values (N, D)."""
    curves = np.stack([curve_of(values) for values in rows.T])
    bell = np.linspace(-REACH, REACH, KNOTS)
    scores = [np.interp(values, curve, bell) for curve, values in zip(curves, rows.T, strict=True)]
    return curves, np.stack(scores, axis=1)


def curve_of(values: np.ndarray) -> np.ndarray:
    """Return the values (KNOTS,) that stand where a bell's are even steps from -4 to 4."""
    bell = np.linspace(-REACH, REACH, KNOTS)
    if not len(values):
        return bell
    known = learn_column(values)
    share = BELL_ROWS / (BELL_ROWS + len(values))
    curve: np.ndarray = share * bell + (1 - share) * np.interp(bell, known.scores, known.values)
    return curve


def principal_turns(members: Sequence[np.ndarray]) -> list[Turn]:
    """Turn each class (N, D) to its principal axes, widest first."""
    turns = []
    for spread in spreads(members):
        variance, axes = np.linalg.eigh(spread)
        deviation = deviations(variance)[::-1]
        turns.append((axes[:, ::-1] / deviation, (axes[:, ::-1] * deviation).T))
    return turns


def column_turns(members: Sequence[np.ndarray], columns: Turn) -> list[Turn]:
    """Turn each class (N, D) to the columns, and give these unit variance."""
    there, back = columns
    scales = [deviations(np.diag(there.T @ spread @ there)) for spread in spreads(members)]
    return [(there / scale, scale[:, None] * back) for scale in scales]


def spreads(members: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the covariance (D, D) of each class, drawn towards that of all where its rows are few."""
    sums = [rows.T @ rows for rows in members]
    pooled = np.sum(sums, axis=0) / sum(map(len, members))
    pseudo = POOLED_ROWS * len(pooled)
    return [(own + pseudo * pooled) / (len(rows) + pseudo) for rows, own in zip(members, sums, strict=True)]


def deviations(variance: np.ndarray) -> np.ndarray:
    """Return roots, none so small that what is divided by it would drown in rounding."""
    roots: np.ndarray = np.sqrt(variance.clip(LEAST_VARIANCE * variance.max() or 1.0))
    return roots
