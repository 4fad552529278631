"""The 1,000 modes of stacked digits, one for each triple: judges that have learnt single digits name the channels."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

from service.spec.datasets import DIGITS, NoParams
from service.spec.facts import DatasetFacts
from worker.gan.data.scikit_learn import open_digits
from worker.gan.data.training_data import Rows
from worker.gan.metrics.cache import Cache
from worker.gan.metrics.judges import JUDGES, Judge, as_fractions, kept_judges, teach_dense
from worker.gan.metrics.mixtures import divergence_from_even

STACK_SAMPLES = 25_600  # as many as Metz et al. 2017 and those after them count modes by


@dataclass(frozen=True)
class DigitStacks:
    """Every digit is as likely in every channel: the judges of digits, and the digits (M, 8, 8) of training rows."""

    facts: DatasetFacts
    judges: Sequence[Judge]
    digits: np.ndarray
    samples: int = STACK_SAMPLES

    def metrics(self, made: np.ndarray) -> dict[str, float]:
        """Count the triples that pictures (N, 3, 8, 8) in data units show, and how evenly they do: a perfect sampler
        has a reverse_kl near (K-1)/2N, which is 0.0195 for 25,600 samples.
        """
        classes = len(DIGITS.labels)
        places = classes ** np.arange(made.shape[1])
        counts = np.bincount(self.digits_in(made) @ places, minlength=classes ** made.shape[1])
        return {"modes": float((counts > 0).sum()), "reverse_kl": divergence_from_even(counts)}

    def digits_in(self, pictures: np.ndarray) -> np.ndarray:
        """Return which digit each channel shows (N, 3)."""
        channels = as_fractions(self.facts, pictures).reshape(-1, 1, *pictures.shape[2:])
        scores = np.mean([judge.scores(judge.units(channels)) for judge in self.judges], axis=0)
        found: np.ndarray = scores.argmax(axis=1).reshape(pictures.shape[:2])
        return found

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """Stack digits of the training rows anew, as a perfect generator would."""
        return self.digits[random.integers(len(self.digits), size=(self.samples, self.facts.shape[0]))]


def learn_stacks(facts: DatasetFacts, train: Rows, *, cache: Cache, key: str) -> DigitStacks:
    """Teach the judges the digits that occur in training rows, or take those that were taught of the same rows."""
    digits = np.unique(train.values.reshape(-1, *facts.shape[1:]), axis=0)

    def teach() -> list[Judge]:
        pictures = as_fractions(facts, digits[:, None])
        return [teach_dense(pictures, classes_of(digits), seed) for seed in range(JUDGES)]

    return DigitStacks(facts, kept_judges(cache, f"digits-{key}", teach), digits)


def classes_of(digits: np.ndarray) -> np.ndarray:
    """Return the classes (M,) of digits (M, 8, 8) that are in the data set of digits."""
    known, labels = astuple(open_digits(DIGITS, NoParams()))
    by_content = {row.tobytes(): label for row, label in zip(known, labels, strict=True)}
    return np.array([by_content[digit.tobytes()] for digit in digits])
