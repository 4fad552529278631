"""Columns of numbers as whitened normal scores, and back: each marginal becomes a bell, correlations are undone."""

import numpy as np
import torch
from torch import Tensor

LEAST_VARIANCE = 1e-6  # of a principal axis, as a fraction of the widest: columns may repeat one another
MOST_DECIMALS = 8


class NormalScores:
    """The transform of one table, learnt from its rows (N, D)."""

    def __init__(self, rows: np.ndarray) -> None:
        self.columns = [Column(values) for values in rows.T]
        scores = self.scores(rows)
        self.mean = scores.mean(axis=0)
        variance, axes = np.linalg.eigh(np.cov(scores, rowvar=False).reshape(len(self.columns), -1))
        self.deviation = np.sqrt(np.maximum(variance, LEAST_VARIANCE * variance.max()))
        self.axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), range(len(variance))])  # LAPACK leaves signs open

    def forward(self, rows: np.ndarray) -> Tensor:
        """Turn rows in data units into whitened scores (N, D) float32."""
        white = (self.scores(rows) - self.mean) @ self.axes / self.deviation
        return torch.from_numpy(white.astype(np.float32))

    def backward(self, white: Tensor) -> np.ndarray:
        """Turn whitened scores into rows within each column's range and decimals, (N, D) float64."""
        scores = white.double().cpu().numpy() * self.deviation @ self.axes.T + self.mean
        return np.stack([column.values_at(s) for column, s in zip(self.columns, scores.T, strict=True)], axis=1)

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """Turn rows in data units into normal scores (N, D)."""
        return np.stack([column.scores_of(v) for column, v in zip(self.columns, rows.T, strict=True)], axis=1)


class Column:
    """The distinct values of one column, their normal scores at mid-rank, and its decimals."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, counts = np.unique(values, return_counts=True)
        mid_rank = (np.cumsum(counts) - counts / 2) / len(values)
        self.scores = torch.special.ndtri(torch.from_numpy(mid_rank)).numpy()
        self.decimals = decimals_of(self.values)

    def scores_of(self, values: np.ndarray) -> np.ndarray:
        """Interpolate between the scores of known values."""
        scores: np.ndarray = np.interp(values, self.values, self.scores)
        return scores

    def values_at(self, scores: np.ndarray) -> np.ndarray:
        """Interpolate between known values; beyond the ends stay there."""
        values: np.ndarray = np.interp(scores, self.scores, self.values)
        return values.round(self.decimals)


def decimals_of(values: np.ndarray) -> int:
    """Count the decimals that write every value exactly."""
    return next((d for d in range(MOST_DECIMALS) if np.array_equal(values.round(d), values)), MOST_DECIMALS)
