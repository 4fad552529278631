"""The shapes and the size of worker.gan.networks.timbre, and of the encoding of its sounds."""

from dataclasses import replace

from service.spec.facts import DatasetFacts, ModelSize
from service.spec.parts.model import ModelSpec
from service.spec.sizes.mlp import mlp_size

WINDOW = 512  # samples of a sound that one frame sees
HOP = 128  # samples between frames; a quarter of a window, from which phases can be found again
BINS = WINDOW // 2 + 1
COMPONENTS = 64  # numbers that a sound becomes: how much it has of each component of the data's loudness
AXIS_BYTES = 2  # of a number of a component
MEAN_BYTES = 4  # of a number of the mean
SPECIMENS = 1_000  # sounds that components are learnt from
LEARNT_NUMBERS = 2**25  # of their loudness, at most


def loudness_frames(samples: int) -> int:
    """Count the frames of a sound."""
    return 1 - (-samples // HOP)


def loudness_numbers(samples: int) -> int:
    """Count how many numbers say how loud a sound is at each frequency in each frame."""
    return BINS * loudness_frames(samples)


def timbre_bytes(samples: int) -> int:
    """Return what a checkpoint holds of the way back to sounds: components, their powers, the mean."""
    return loudness_numbers(samples) * (COMPONENTS * AXIS_BYTES + MEAN_BYTES) + 8 * COMPONENTS


def specimens_of(samples: int) -> int:
    """Return how many sounds components are learnt from: fewer of long ones, for all are held at once."""
    return min(SPECIMENS, max(1, LEARNT_NUMBERS // loudness_numbers(samples)))


def learning_bytes(facts: DatasetFacts) -> int:
    """Bound what learning components holds: loudness twice while it is put together, components before they are cut."""
    specimens = min(facts.count, specimens_of(facts.shape[1]))
    return 4 * loudness_numbers(facts.shape[1]) * (2 * specimens + 3 * COMPONENTS)


def timbre_facts(facts: DatasetFacts) -> DatasetFacts:
    """Return the facts of sounds, or packs of sounds, as rows of numbers (N, COMPONENTS) for each."""
    return replace(facts, modality="table", shape=(facts.shape[0] * COMPONENTS,))


def timbre_size(model: ModelSpec, facts: DatasetFacts) -> ModelSize:
    """Size both networks, an mlp of those numbers."""
    return mlp_size(model, timbre_facts(facts))
