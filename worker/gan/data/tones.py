"""Pure tones of the twelve semitones, always the same ones for the same parameters."""

import numpy as np

from service.spec.datasets import TonesParams
from service.spec.facts import DatasetFacts
from worker.gan.data.points import data_random
from worker.gan.data.training_data import Rows

MIDDLE_C_HZ = 440 * 2 ** (-9 / 12)  # equal temperament with A at 440 Hz
SOFTEST, LOUDEST = 0.25, 0.9  # of full scale


def pitch_hz(pitch: np.ndarray) -> np.ndarray:
    """Return the frequencies of semitones counted from middle C."""
    hertz: np.ndarray = MIDDLE_C_HZ * 2 ** (pitch / 12)
    return hertz


def open_tones(facts: DatasetFacts, params: TonesParams) -> Rows:
    """Draw tones (N, 1, frames) of any phase and level, each pitch equally often, in mixed order."""
    random = data_random()
    pitches = random.permutation(np.arange(params.count) % len(facts.labels))
    phase = 2 * np.pi * random.random((params.count, 1))
    level = SOFTEST + (LOUDEST - SOFTEST) * random.random((params.count, 1))
    seconds = np.arange(facts.shape[1]) / (facts.sample_rate or 1)
    sounds = level * np.sin(2 * np.pi * pitch_hz(pitches)[:, None] * seconds + phase)
    return Rows(sounds[:, None].astype(np.float32), pitches.astype(np.int64))
