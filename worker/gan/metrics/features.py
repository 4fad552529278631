"""Rows of a data set as numbers that distances can be taken between."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from service.spec.facts import DatasetFacts
from worker.gan.data.training_data import Rows
from worker.gan.metrics.judges import MOST_PIXELS, Judge, as_fractions
from worker.gan.metrics.sounds import log_mel_summary
from worker.gan.metrics.tables import named_columns, names_in

Features = Callable[[np.ndarray], np.ndarray]
"""Turns rows (N, ...) in data units into float64 (N, D)."""


def features_for(facts: DatasetFacts, train: Rows, judges: Sequence[Judge]) -> Features:
    """Return the features of a kind of data, learnt from training rows where there is something to learn."""
    if facts.modality == "image":
        return picture_features(facts, judges)
    if facts.modality == "audio":
        return lambda sounds: log_mel_summary(sounds, facts.sample_rate or 1)
    return standardised(columns_as_numbers(facts, train.values), train.values)


def label_column(facts: DatasetFacts) -> int | None:
    """Return which column of a table says the label; None where the labels are in no column."""
    names = [column.name for column in facts.table]
    return names.index(facts.label_column) if facts.label_column in names else None


def label_free(facts: DatasetFacts, train: Rows) -> Features | None:
    """Return the features of a table without the column that says the label; None where no column does."""
    label = label_column(facts)
    if label is None:
        return None
    others = replace(facts, table=facts.table[:label] + facts.table[label + 1 :])
    rest = np.delete(train.values, label, axis=1)
    features = standardised(columns_as_numbers(others, rest), rest)
    return lambda rows: features(np.delete(rows, label, axis=1))


def picture_features(facts: DatasetFacts, judges: Sequence[Judge]) -> Features:
    """Return the pixels of small pictures, and what the judges see in larger ones, where pixels say little."""
    if np.prod(facts.shape) <= MOST_PIXELS:
        return lambda pictures: as_fractions(facts, pictures).reshape(len(pictures), -1)
    return lambda pictures: np.concatenate([judge.units(as_fractions(facts, pictures)) for judge in judges], axis=1)


def columns_as_numbers(facts: DatasetFacts, train: np.ndarray) -> Features:
    """Return rows as they are, but for a column of names one column for each, and one more for missing cells."""
    if not facts.table:
        return lambda rows: rows.reshape(len(rows), -1).astype(np.float64)
    named = named_columns(facts)
    names = [names_in(column) if is_named else None for column, is_named in zip(train.T, named, strict=True)]
    middles = [0.0 if np.isnan(column).all() else float(np.nanmean(column)) for column in train.T]

    def expand(rows: np.ndarray) -> np.ndarray:
        parts = []
        for cells, known, middle in zip(rows.T, names, middles, strict=True):
            parts += [cells == name for name in known] if known is not None else [np.nan_to_num(cells, nan=middle)]
            parts.append(np.isnan(cells))
        return np.stack(parts, axis=1).astype(np.float64)

    return expand


def standardised(features: Features, train: np.ndarray) -> Features:
    """Return features with mean 0 and deviation 1 over the training rows; one that never changes stays 0."""
    numbers = features(train)
    mean, deviation = numbers.mean(axis=0), numbers.std(axis=0)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0)

    def standardise(rows: np.ndarray) -> np.ndarray:
        whitened: np.ndarray = (features(rows) - mean) * scale
        return whitened

    return standardise
