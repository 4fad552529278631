"""How well the columns of a table are imitated, one by one and in pairs. Rows are (N, C) float64, NaN is missing."""

from itertools import combinations

import numpy as np

from service.spec.facts import DatasetFacts

NAMED = ("category", "boolean")  # kinds whose numbers are names
BINS = 10  # into which a number falls where it is paired with a name
MOST_PAIRS = 500  # all of them up to 32 columns


def column_metrics(facts: DatasetFacts, real: np.ndarray, made: np.ndarray) -> dict[str, float]:
    """Compare columns as Patki, Wedge and Veeramachaneni 2016 and the library that came of it do.

    shapes is 1 - the mean distance between the marginals, Kolmogorov's for numbers and total variation for names, with
    missing cells counted in. pairs is 1 - the mean error of how two columns hang together: half the difference of
    Pearson's correlations, or total variation of the joint table where one is a name. category_coverage is the mean
    share of a column's names that occur.
    """
    named = named_columns(facts)
    shapes = [1 - marginal_distance(real[:, c], made[:, c], is_named=named[c]) for c in range(len(named))]
    metrics = {"shapes": float(np.mean(shapes))}
    every = list(combinations(range(len(named)), 2))
    if every:
        chosen = every[:: -(-len(every) // MOST_PAIRS)]
        distances = [pair_distance(real[:, pair], made[:, pair], named[pair]) for pair in map(list, chosen)]
        metrics["pairs"] = 1 - float(np.mean(distances))
    if named.any():
        metrics["category_coverage"] = float(
            np.mean([np.isin(names_in(real[:, c]), made[:, c]).mean() for c in np.flatnonzero(named)])
        )
    return metrics


def named_columns(facts: DatasetFacts) -> np.ndarray:
    """Tell of each column (C,) whether its numbers are names."""
    if not facts.table:
        return np.zeros(facts.shape[0], bool)
    return np.array([column.kind in NAMED for column in facts.table])


def marginal_distance(real: np.ndarray, made: np.ndarray, *, is_named: bool) -> float:
    """Return a distance from 0 to 1 between two columns."""
    if is_named:
        return variation(real, made)
    missing = abs(np.isnan(real).mean() - np.isnan(made).mean())
    return float(max(missing, kolmogorov(real[~np.isnan(real)], made[~np.isnan(made)])))


def kolmogorov(real: np.ndarray, made: np.ndarray) -> float:
    """Return the greatest distance between the two empirical distribution functions."""
    if not len(real) or not len(made):
        return float(len(real) != len(made))
    points = np.concatenate([real, made])
    below = [np.searchsorted(np.sort(values), points, "right") / len(values) for values in (real, made)]
    return float(np.abs(below[0] - below[1]).max())


def variation(real: np.ndarray, made: np.ndarray) -> float:
    """Return the total variation between the shares of the values; missing cells are one value."""
    _, codes = np.unique(np.concatenate([real, made]), return_inverse=True)
    shares = [np.bincount(part, minlength=codes.max() + 1) / len(part) for part in np.split(codes, [len(real)])]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def pair_distance(real: np.ndarray, made: np.ndarray, named: np.ndarray) -> float:
    """Return a distance from 0 to 1 between the associations in two pairs of columns (N, 2)."""
    if not named.any():
        return abs(correlation(real) - correlation(made)) / 2
    codes = [codes_of(real[:, c], made[:, c], is_named=named[c]) for c in range(2)]
    joint = codes[0] * (codes[1].max() + 1) + codes[1]
    return variation(joint[: len(real)], joint[len(real) :])


def codes_of(real: np.ndarray, made: np.ndarray, *, is_named: bool) -> np.ndarray:
    """Number the names, or the bins with as many real values each, of both columns one after the other (N + M,);
    missing cells are one more.
    """
    both = np.concatenate([real, made])
    if not is_named and not np.isnan(real).all():
        edges = np.nanquantile(real, np.linspace(0, 1, BINS + 1)[1:-1])
        both = np.where(np.isnan(both), np.nan, np.searchsorted(edges, both))
    _, codes = np.unique(both, return_inverse=True)
    return codes


def correlation(pair: np.ndarray) -> float:
    """Return Pearson's correlation of two columns (N, 2) over the rows that have both; 0 where one never changes."""
    whole = pair[~np.isnan(pair).any(axis=1)]
    if len(whole) < 2 or (np.ptp(whole, axis=0) == 0).any():
        return 0.0
    return float(np.corrcoef(whole, rowvar=False)[0, 1])


def names_in(column: np.ndarray) -> np.ndarray:
    """Return the values that occur."""
    return np.unique(column[~np.isnan(column)])
