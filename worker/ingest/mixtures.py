"""Whether short sounds are mixtures of a few components: learnt from every other one, tried on those between."""

from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np

from service.spec.architectures import FRAMES_AN_MLP_READS, MOST_COMPONENTS
from service.spec.facts import DatasetFacts
from worker.gan.data.loudness import flattened, loudness_of

SOUNDS = 1_000  # at most, taken evenly from all; of more it would take seconds
LEAST_POWER = 1e-6  # of a component, as a fraction of the strongest; what is weaker is rounding


def with_mixture(facts: DatasetFacts, rows: Path) -> DatasetFacts:
    """Add to the facts of short sounds of how many components they are mixtures, and how much of them these keep."""
    if facts.modality != "audio" or prod(facts.shape) > FRAMES_AN_MLP_READS:
        return facts
    sounds = np.load(rows, mmap_mode="r", allow_pickle=False)
    some = np.asarray(sounds[np.linspace(0, len(sounds) - 1, min(SOUNDS, len(sounds))).astype(int)])
    flat = flattened(some, loudness_of(some)).reshape(len(some), -1)
    power, axes = principal_components(flat[::2])
    return replace(facts, components=in_effect(power, flat.shape[1]), kept_power=kept_power(axes, flat[1::2]))


def principal_components(sounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the power (K,) and the axes (K, frames) of the principal components of sounds (N, frames)."""
    power, weights = np.linalg.eigh((sounds @ sounds.T).astype(np.float64) / len(sounds))
    power, weights = power[::-1][:MOST_COMPONENTS], weights[:, ::-1][:, :MOST_COMPONENTS]
    strong = power > LEAST_POWER * power[0]
    return power[strong], (weights[:, strong] / np.sqrt(len(sounds) * power[strong])).T @ sounds


def in_effect(power: np.ndarray, frames: int) -> float | None:
    """Return how many components of the power that a strong one has make up a sound of power 1 in each frame."""
    return round(float(frames * power.sum() / (power**2).sum()), 2) if len(power) else None


def kept_power(axes: np.ndarray, sounds: np.ndarray) -> float:
    """Return the share of the power of sounds (N, frames) that lies along the axes (K, frames)."""
    whole = float(np.square(sounds, dtype=np.float64).sum())
    return round(min(1.0, float(np.square(sounds @ axes.T).sum()) / whole), 4) if whole else 1.0
