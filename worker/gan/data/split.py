"""Which rows are trained on and which are kept aside for measuring."""

from dataclasses import dataclass

import numpy as np

from service.spec.quality import LEAST_ROWS

MOST_HELD_OUT = 10_000  # rows, for they are held in memory


@dataclass(frozen=True)
class Split:
    """A share of the rows, drawn by the seed of the job, from each class alike if they are not too small."""

    held_out: float = 0.0
    seed: int = 0

    def of(self, count: int, labels: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of the rows to train on and of those kept aside, both in order."""
        if self.held_out == 0:
            return np.arange(count), np.arange(0)
        random = np.random.Generator(np.random.PCG64(self.seed))
        order = random.permutation(count)
        classes = np.zeros(count, np.int64) if labels is None else np.asarray(labels)
        aside = np.zeros(count, bool)
        share = min(self.held_out, MOST_HELD_OUT / max(1, count))
        for label in np.unique(classes):
            members = order[classes[order] == label]
            aside[members[: round(share * len(members))]] = True
        if aside.sum() < min(LEAST_ROWS, round(share * count)):  # so small are the classes that hardly any gives a row
            aside[:] = False
            aside[order[: round(share * count)]] = True
        return np.flatnonzero(~aside), np.flatnonzero(aside)


EVERYTHING = Split()
