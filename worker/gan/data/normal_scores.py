"""Columns of numbers as whitened normal scores, and back: each marginal becomes a bell, correlations are undone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from worker.gan.data.decoders import Numbers
from worker.gan.data.whitening import Whitening

MOST_DECIMALS = 8


@dataclass(frozen=True)
class Column:
    """The distinct values of one column in order, their normal scores at mid-rank, and its decimals."""

    values: np.ndarray
    scores: np.ndarray
    decimals: int

    def scores_of(self, values: np.ndarray) -> np.ndarray:
        """Interpolate between the scores of known values."""
        scores: np.ndarray = np.interp(values, self.values, self.scores)
        return scores

    def values_at(self, scores: np.ndarray) -> np.ndarray:
        """Interpolate between known values; beyond the ends stay there."""
        values: np.ndarray = np.interp(scores, self.scores, self.values)
        return values.round(self.decimals)


@dataclass(frozen=True)
class NormalScores:
    """The transform of one table of D columns: normal scores, then whitened."""

    columns: Sequence[Column]
    whitening: Whitening

    @classmethod
    def of(cls, rows: np.ndarray) -> "NormalScores":
        """Learn the transform from rows (N, D)."""
        columns = [learn_column(values) for values in rows.T]
        return cls(columns, Whitening.of(scores_of(columns, rows)))

    def forward(self, rows: np.ndarray) -> Tensor:
        """Turn rows in data units into whitened scores (N, D) float32."""
        white = self.whitening.forward(scores_of(self.columns, rows))
        return torch.from_numpy(white.astype(np.float32))

    def backward(self, samples: Tensor) -> np.ndarray:
        """Turn whitened scores into rows within each column's range and decimals, (N, D) float64."""
        scores = self.whitening.backward(samples.double().cpu().numpy())
        return np.stack([column.values_at(s) for column, s in zip(self.columns, scores.T, strict=True)], axis=1)

    def decoder(self) -> nn.Module:
        """Return `backward` as a module of tensors."""
        curves = [(column.scores, column.values) for column in self.columns]
        return Numbers(
            self.whitening.turn_back(), self.whitening.mean, curves, [each.decimals for each in self.columns]
        )

    def learnt(self) -> dict[str, np.ndarray]:
        """Return the transform as arrays; the columns' values and scores stand one after the other."""
        return {
            **self.whitening.learnt(),
            "values": np.concatenate([column.values for column in self.columns]),
            "scores": np.concatenate([column.scores for column in self.columns]),
            "counts": np.array([len(column.values) for column in self.columns]),
            "decimals": np.array([column.decimals for column in self.columns]),
        }

    @classmethod
    def restore(cls, learnt: Mapping[str, np.ndarray]) -> "NormalScores":
        """Make the transform again."""
        ends = np.cumsum(learnt["counts"])[:-1]
        values, scores = np.split(learnt["values"], ends), np.split(learnt["scores"], ends)
        columns = [Column(v, s, int(d)) for v, s, d in zip(values, scores, learnt["decimals"], strict=True)]
        return cls(columns, Whitening.restore(learnt))


def learn_column(values: np.ndarray) -> Column:
    """Rank the values of a column."""
    distinct, counts = np.unique(values, return_counts=True)
    mid_rank = (np.cumsum(counts) - counts / 2) / len(values)
    return Column(distinct, torch.special.ndtri(torch.from_numpy(mid_rank)).numpy(), decimals_of(distinct))


def scores_of(columns: Sequence[Column], rows: np.ndarray) -> np.ndarray:
    """Turn rows in data units into normal scores (N, D)."""
    return np.stack([column.scores_of(values) for column, values in zip(columns, rows.T, strict=True)], axis=1)


def decimals_of(values: np.ndarray) -> int:
    """Count the decimals that write every value exactly."""
    return next((d for d in range(MOST_DECIMALS) if np.array_equal(values.round(d), values)), MOST_DECIMALS)
