"""One column of numbers as standard normals, whatever its shape, and back to the very values it has."""

from dataclasses import dataclass

import numpy as np
import torch

MOST_KNOTS = 1_000  # a shape is followed to a thousandth of the rows, and every value more frequent than that exactly
INNER = 0.999  # of the interval of a repeated value: float32 may move a score, never into the next value


@dataclass(frozen=True)
class Quantiles:
    """Some of a column's distinct values (K,) in order, each with the interval of normal scores that stands for it.

    A value seen once has an interval of no length, at its mid-rank. One that repeats has its share of the bell, over
    which its scores are spread: so a column of few numbers is a bell like any other, and comes back number by number.
    Between the intervals values are interpolated.
    """

    values: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    decimals: int | None

    def scores_of(self, values: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Return standard normals (N,). A missing number (NaN) gets any normal: that it is missing is told apart."""
        scores: np.ndarray = np.interp(values, np.repeat(self.values, 2), self._intervals())
        draws = random.random(len(values))
        nearest = np.searchsorted(self.values, values).clip(0, len(self.values) - 1)
        repeated = (self.values[nearest] == values) & (self.lower < self.upper)[nearest]
        scores[repeated] = self._within(nearest[repeated], draws[repeated])
        gaps = np.isnan(values)
        scores[gaps] = to_scores(draws[gaps])
        return scores

    def values_at(self, scores: np.ndarray) -> np.ndarray:
        """Return the values that scores (N,) stand for; beyond the ends stay there."""
        values: np.ndarray = np.interp(scores, *self.curve())
        return values if self.decimals is None else values.round(self.decimals)

    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores (2K,) of the knots between which values are interpolated, and their values."""
        return self._intervals(), np.repeat(self.values, 2)

    def _intervals(self) -> np.ndarray:
        return np.stack([self.lower, self.upper], axis=1).ravel()

    def _within(self, which: np.ndarray, draws: np.ndarray) -> np.ndarray:
        below, above = to_ranks(self.lower[which]), to_ranks(self.upper[which])
        return to_scores(below + (above - below) * ((1 - INNER) / 2 + INNER * draws))


def learn_quantiles(values: np.ndarray, decimals: int | None) -> Quantiles:
    """Learn a column from its values (N,), missing ones left out. A column without any becomes a column of zeros."""
    known = values[~np.isnan(values)]
    known = known if len(known) else np.zeros(1)
    distinct, counts = np.unique(known, return_counts=True)
    ends = np.cumsum(counts)
    middle = 0.5 * (counts == 1)
    which = choose_knots(counts, ends)
    ranks = np.stack([ends - counts + middle, ends - middle])[:, which].clip(0.5, len(known) - 0.5) / len(known)
    lower, upper = to_scores(ranks)
    return Quantiles(distinct[which], lower, upper, decimals)


def choose_knots(counts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Choose from distinct values in order: all, or the ends, the frequent ones and some at even steps of rank."""
    if len(counts) <= MOST_KNOTS:
        return np.arange(len(counts))
    total = ends[-1]
    even = np.searchsorted(ends, np.linspace(1, total, MOST_KNOTS))
    return np.union1d(even, np.flatnonzero(counts > total / MOST_KNOTS))


def to_scores(ranks: np.ndarray) -> np.ndarray:
    """Return the normals below which these shares of a bell lie."""
    scores: np.ndarray = torch.special.ndtri(torch.from_numpy(ranks.clip(1e-12, 1 - 1e-12))).numpy()
    return scores


def to_ranks(scores: np.ndarray) -> np.ndarray:
    """Return the share of a bell below each normal."""
    ranks: np.ndarray = torch.special.ndtr(torch.from_numpy(scores)).numpy()
    return ranks
