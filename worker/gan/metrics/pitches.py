"""Sounds of one pitch each: which pitches the data has, and whether made sounds hit them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from service.spec.facts import DatasetFacts
from worker.gan.data.training_data import Rows
from worker.gan.metrics.sounds import WINDOW, in_parts

NEAR_CENTS = 25.0  # a quarter of a semitone
CLEAR_POWER = 100.0  # of the peak over everything three bins away: 20 dB
APART_BINS = 3  # where a Hann window has let go of a pure tone
LEAST_IN_TUNE = 0.75  # of the training rows: half of any pure tones are within a quarter of some semitone
A4_HZ = 440.0


@dataclass(frozen=True)
class Pitches:
    """The pitches of a data set in hertz (P,): by class, NaN where one has no rows, or the semitones of equal
    temperament that occur.
    """

    hertz: np.ndarray
    are_of_classes: bool
    sample_rate: int

    def metrics(self, made: Rows) -> dict[str, float]:
        """Count the pitches that some sound hits, and the share of sounds that hit the one they were asked for, or the
        nearest where none was: within 25 cents, and 20 dB above everything that is three bins away.
        """
        which, hits = self.hits(made)
        return {"pitches": float(len(np.unique(which[hits]))), "in_tune": float(hits.mean())}

    def hits(self, made: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Return which pitch each sound is held against, and whether it hits it, both (N,)."""
        hertz, is_clear = loudest(made.values, self.sample_rate)
        cents = np.nan_to_num(1200 * np.abs(np.log2(hertz[:, None] / self.hertz)), nan=np.inf)
        which = cents.argmin(axis=1)
        if self.are_of_classes and made.labels is not None:
            which = made.labels
        return which, is_clear & (cents[np.arange(len(cents)), which] <= NEAR_CENTS)


def learn_pitches(facts: DatasetFacts, train: Rows) -> Pitches | None:
    """Return the pitches of the training rows; None where these are not in tune themselves, as speech is not."""
    if facts.sample_rate is None or facts.shape[1] < WINDOW:
        return None
    for pitches in _candidates(train, len(facts.labels), facts.sample_rate):
        if pitches.metrics(train)["in_tune"] >= LEAST_IN_TUNE:
            return pitches
    return None


def loudest(sounds: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the frequency of the highest peak of each sound (N, 1, frames) in hertz, and whether it is clear."""
    parts = [_loudest(part, sample_rate) for part in in_parts(sounds)]
    hertz, is_clear = (np.concatenate(part) for part in zip(*parts, strict=True))
    return hertz, is_clear


def _candidates(train: Rows, classes: int, sample_rate: int) -> Iterator[Pitches]:
    hertz, is_clear = loudest(train.values, sample_rate)
    if not is_clear.any():
        return
    if train.labels is not None and np.isin(train.labels, train.labels[is_clear]).all():
        of_class = np.full(classes, np.nan)
        for label in np.unique(train.labels):
            of_class[label] = np.median(hertz[is_clear & (train.labels == label)])
        yield Pitches(of_class, are_of_classes=True, sample_rate=sample_rate)
    semitones = np.unique(np.round(12 * np.log2(hertz[is_clear] / A4_HZ)))
    yield Pitches(A4_HZ * 2 ** (semitones / 12), are_of_classes=False, sample_rate=sample_rate)


def _loudest(sounds: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    waves = sounds.reshape(len(sounds), -1).astype(np.float64)
    power = np.abs(np.fft.rfft(waves * np.hanning(waves.shape[1]), axis=1)) ** 2
    at = power[:, 1:-1].argmax(axis=1) + 1
    peak = np.take_along_axis(power, at[:, None], axis=1)[:, 0]
    others = np.where(np.abs(np.arange(power.shape[1]) - at[:, None]) < APART_BINS, 0, power).max(axis=1)
    hertz = (at + _offset(power, at)) * sample_rate / waves.shape[1]
    return hertz, (peak > 0) & (peak >= CLEAR_POWER * others)


def _offset(power: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return by how many bins the peak of a parabola through three logarithms lies beside the highest of them."""
    near = np.take_along_axis(power, at[:, None] + np.arange(-1, 2), axis=1)
    left, middle, right = np.log(np.maximum(near, np.finfo(float).tiny)).T
    curve = left - 2 * middle + right
    offset: np.ndarray = np.divide(left - right, 2 * curve, out=np.zeros_like(curve), where=curve < 0)
    return offset
