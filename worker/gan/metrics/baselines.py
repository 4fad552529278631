"""Generators without a network, to be measured beside the real ones: each learns from training rows in a moment."""

from collections.abc import Callable, Iterator

import numpy as np
from scipy.special import ndtr, ndtri

from service.spec.facts import DatasetFacts
from worker.gan.data.training_data import Rows

Baseline = Callable[[Rows, Rows, np.random.Generator], np.ndarray]
"""Makes rows in data units from training rows: as many as the second argument has, of its classes."""


def baselines_for(facts: DatasetFacts) -> dict[str, Baseline]:
    """Return the baselines of a kind of data by name."""
    gaussian: dict[str, Baseline] = {"class_gaussian" if facts.labels else "gaussian": draw_gaussian}
    if facts.modality != "table":
        return gaussian
    copula: dict[str, Baseline] = {"shuffled": shuffle_columns, "copula": draw_copula}
    return copula if facts.table else copula | gaussian  # categories have no mean


def draw_gaussian(train: Rows, like: Rows, random: np.random.Generator) -> np.ndarray:
    """Draw from the normal law with the mean and covariance of each class."""
    made = np.empty((len(like.values), *train.values.shape[1:]))
    for members, places in classes_of(train, like):
        rows = train.values[members].reshape(len(members), -1).astype(np.float64)
        mean = rows.mean(axis=0)
        # A normal mixture of the deviations themselves: the covariance would not fit for large pictures.
        weights = random.standard_normal((len(places), len(members))) / np.sqrt(max(1, len(members) - 1))
        made[places] = (mean + weights @ (rows - mean)).reshape(len(places), *train.values.shape[1:])
    return made


def draw_copula(train: Rows, like: Rows, random: np.random.Generator) -> np.ndarray:
    """Draw from a normal copula with each class's rank correlations, every cell a value that its column has."""
    made = np.empty((len(like.values), train.values.shape[1]))
    for members, places in classes_of(train, like):
        columns = train.values[members].T
        scores = np.stack([normal_scores(column) for column in columns], axis=1)
        weights = random.standard_normal((len(places), len(members))) / np.sqrt(max(1, len(members) - 1))
        drawn = weights @ (scores - scores.mean(axis=0)) / np.maximum(scores.std(axis=0), 1e-12)
        uniform = ndtr(drawn)
        places_in_order = np.minimum((uniform * len(members)).astype(int), len(members) - 1)
        made[places] = np.take_along_axis(np.sort(columns, axis=1).T, places_in_order, axis=0)
    return made


def shuffle_columns(train: Rows, like: Rows, random: np.random.Generator) -> np.ndarray:
    """Draw each column by itself: every marginal is right and nothing else."""
    which = random.integers(0, len(train.values), (len(like.values), train.values.shape[1]))
    shuffled: np.ndarray = np.take_along_axis(train.values, which, axis=0)
    return shuffled


def classes_of(train: Rows, like: Rows) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield for each class which training rows are of it and which rows are wanted of it."""
    if train.labels is None or like.labels is None:
        yield np.arange(len(train.values)), np.arange(len(like.values))
        return
    for label in np.unique(like.labels):
        members = np.flatnonzero(train.labels == label)
        # A class that only the held-out rows have is drawn from everything.
        yield members if len(members) else np.arange(len(train.values)), np.flatnonzero(like.labels == label)


def normal_scores(column: np.ndarray) -> np.ndarray:
    """Return the normal quantile of each cell's mid-rank; cells without a value rank last, as one value."""
    _, place, counts = np.unique(column, return_inverse=True, return_counts=True)
    mid_rank = (np.cumsum(counts) - counts / 2) / len(column)
    scores: np.ndarray = ndtri(mid_rank)[place]
    return scores
