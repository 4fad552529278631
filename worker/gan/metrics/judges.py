"""Small judge networks whose inner units are what pictures are compared by; pixels themselves would rank a single
normal law above far better models. A judge learns from the training rows alone.

Labelled pictures are learnt by class. Without labels a judge learns which way up a picture is (Gidaris, Singh and
Komodakis 2018): a random projection or principal axes would again see little but brightness and blur.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from torch import Tensor
from torch.nn import functional

from service.spec.facts import DatasetFacts
from worker.gan.data.training_data import Rows
from worker.gan.metrics.cache import Cache

JUDGES_VERSION = 1  # raise it whenever a judge would come out otherwise from the same rows
JUDGES = 3
UNITS = 16
MOST_PIXELS = 1_024  # that a judge reads one by one; larger pictures are seen through convolutions
MOST_ROWS = 2_000  # that a judge learns from, so that it takes seconds
LARGEST_SIDE = 32  # of what convolutions see
STEPS, BATCH = 300, 64
DENSE_STEPS, DENSE_BATCH = 500, 200


@dataclass(frozen=True)
class Judge:
    """The weights of one judge. Dense ones are a matrix and a vector for each layer, the others those of a module."""

    weights: Sequence[np.ndarray]

    @property
    def is_dense(self) -> bool:
        """Tell which kind it is."""
        return self.weights[0].ndim == 2

    def units(self, pictures: np.ndarray) -> np.ndarray:
        """Return the features (N, 16) of pictures (N, C, H, W) from 0 to 1."""
        if not self.is_dense:
            return convolved_units([torch.from_numpy(weight) for weight in self.weights], pictures)
        units = pictures.reshape(len(pictures), -1)
        for matrix, shift in zip(self.weights[:-2:2], self.weights[1:-2:2], strict=True):
            units = np.maximum(units @ matrix + shift, 0)
        return units

    def scores(self, units: np.ndarray) -> np.ndarray:
        """Return the scores (N, classes) of the classes it has learnt."""
        scores: np.ndarray = units @ self.weights[-2] + self.weights[-1]
        return scores


def teach_judges(facts: DatasetFacts, train: Rows) -> list[Judge]:
    """Train the judges of a data set of pictures, in data units; the same rows give the same judges."""
    which = np.linspace(0, len(train.values) - 1, min(len(train.values), MOST_ROWS)).astype(int)
    some = train.taken(which)
    pictures = as_fractions(facts, some.values)
    lessons = (pictures, some.labels) if some.labels is not None else turned(pictures)
    teach = teach_dense if np.prod(facts.shape) <= MOST_PIXELS else teach_convolutions
    return [teach(*lessons, seed) for seed in range(JUDGES)]


def kept_judges(cache: Cache, key: str, teach: Callable[[], list[Judge]]) -> list[Judge]:
    """Teach judges, or take those that were kept under the key."""
    kept = cache.load(f"judges-{key}")
    if kept is None:
        judges = teach()
        cache.keep(f"judges-{key}", [weight for judge in judges for weight in judge.weights])
        return judges
    return [Judge(kept[first : first + len(kept) // JUDGES]) for first in range(0, len(kept), len(kept) // JUDGES)]


def as_fractions(facts: DatasetFacts, values: np.ndarray) -> np.ndarray:
    """Return pictures from 0 (black) to 1 (white), float64."""
    fractions: np.ndarray = values / float(facts.white)
    return fractions


def turned(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn a part of the pictures each way, all by quarters where they are square, else by halves; tell which way."""
    quarters = (0, 1, 2, 3) if pictures.shape[2] == pictures.shape[3] else (0, 2)
    some = pictures[:: len(quarters)]
    ways = [np.rot90(some, quarter, axes=(2, 3)) for quarter in quarters]
    return np.concatenate(ways), np.repeat(np.arange(len(quarters)), len(some))


def teach_dense(pictures: np.ndarray, labels: np.ndarray, seed: int) -> Judge:
    """Train a perceptron of 64 and 16 rectified units."""
    batch = min(DENSE_BATCH, len(pictures))
    epochs = -(-DENSE_STEPS * batch // len(pictures))
    judge = MLPClassifier(
        (64, UNITS),
        batch_size=batch,
        learning_rate_init=3e-3,
        max_iter=epochs,
        n_iter_no_change=epochs,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is stopped early on purpose
        judge.fit(pictures.reshape(len(pictures), -1), labels)
    weights = [part for layer in zip(judge.coefs_, judge.intercepts_, strict=True) for part in layer]
    return Judge(as_many_scores(weights))


def as_many_scores(weights: list[np.ndarray]) -> list[np.ndarray]:
    """Give two classes a score each; scikit-learn keeps one for both."""
    if weights[-1].size == 1:
        weights[-2:] = [np.concatenate([-weights[-2], weights[-2]], axis=1) / 2, np.array([-1, 1]) * weights[-1] / 2]
    return weights


def teach_convolutions(pictures: np.ndarray, labels: np.ndarray, seed: int) -> Judge:
    """Train three strided convolutions whose last 16 channels are averaged over the picture."""
    random = torch.Generator().manual_seed(seed)
    classes, codes = np.unique(labels, return_inverse=True)
    widths = (pictures.shape[1], 16, 32, UNITS)
    weights = []
    for inward, outward in pairwise(widths):
        weights.append(torch.randn(outward, inward, 3, 3, generator=random) * (2 / (9 * inward)) ** 0.5)
        weights.append(torch.zeros(outward))
    weights += [torch.randn(UNITS, len(classes), generator=random) / UNITS**0.5, torch.zeros(len(classes))]
    leaves = [weight.requires_grad_() for weight in weights]
    optimizer = torch.optim.Adam(leaves, 3e-3)
    inputs, targets = reduced(pictures), torch.from_numpy(codes)
    for _ in range(STEPS):
        batch = torch.randint(len(inputs), (BATCH,), generator=random)
        scores = convolved(leaves, inputs[batch]) @ leaves[-2] + leaves[-1]
        optimizer.zero_grad()
        functional.cross_entropy(scores, targets[batch]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return Judge([leaf.detach().numpy() for leaf in leaves])


def reduced(pictures: np.ndarray) -> Tensor:
    """Average pictures down to at most 32 pixels a side, float32."""
    smaller = (min(pictures.shape[2], LARGEST_SIDE), min(pictures.shape[3], LARGEST_SIDE))
    return functional.adaptive_avg_pool2d(torch.from_numpy(np.ascontiguousarray(pictures)).float(), smaller)


def convolved(weights: Sequence[Tensor], inputs: Tensor) -> Tensor:
    """Return the units (N, 16) of inputs (N, C, H, W)."""
    for kernel, shift in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        inputs = functional.conv2d(inputs, kernel, shift, stride=2, padding=1).relu()
    return inputs.mean(dim=(2, 3))


@torch.no_grad()
def convolved_units(weights: Sequence[Tensor], pictures: np.ndarray) -> np.ndarray:
    """Return the same for pictures of any number and size, float64."""
    parts = [convolved(weights, reduced(pictures[first : first + BATCH])) for first in range(0, len(pictures), BATCH)]
    units: np.ndarray = torch.cat(parts).double().numpy()
    return units
