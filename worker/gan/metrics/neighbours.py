"""Fidelity, diversity and memorisation, told from nearest neighbours. All sets are features (N, D) in float64."""

from dataclasses import dataclass

import numpy as np

from worker.gan.metrics.distances import distance_blocks, nearest, neighbour_radii

NEIGHBOURS = 5


@dataclass(frozen=True)
class Neighbourhood:
    """Training rows and real rows that were kept aside, and what of their distances never changes."""

    train: np.ndarray
    real: np.ndarray
    k: int
    radii: np.ndarray  # of each real row, to its k-th nearest
    to_train: np.ndarray  # from each real row

    @classmethod
    def of(cls, train: np.ndarray, real: np.ndarray, k: int = NEIGHBOURS) -> "Neighbourhood":
        """Measure the real rows, more than k."""
        return cls(train, real, k, neighbour_radii(real, k), nearest(real, train))

    def metrics(self, made: np.ndarray) -> dict[str, float]:
        """Return precision and recall (Kynkäänniemi et al. 2019, eq. 1) and density and coverage (Naeem et al. 2020,
        eqs. 3 and 4) of as many made rows as there are real ones.
        """
        made_radii = neighbour_radii(made, self.k)
        covered, recalled = np.zeros(len(self.real), bool), np.zeros(len(self.real), bool)
        balls = np.zeros(len(made), np.int64)  # of real rows in which a made row lies
        for which, squared in distance_blocks(self.real, made):
            inside = squared <= self.radii[which, None]
            covered[which] = inside.any(axis=1)
            recalled[which] = (squared <= made_radii).any(axis=1)
            balls += inside.sum(axis=0)
        return {
            "precision": float((balls > 0).mean()),
            "recall": float(recalled.mean()),
            "density": float(balls.mean() / self.k),
            "coverage": float(covered.mean()),
        }

    def memorisation(self, made: np.ndarray) -> dict[str, float]:
        """Tell whether made rows lie nearer to rows that were trained on than to rows of the same law that were not.

        nearer_to_train is the share of made rows whose nearest row is one of as many training rows as there are real
        ones: 1/2 for a perfect sampler. copying is the probability that a made row is nearer to the training rows than
        a real one is (Meehan, Chaudhuri and Dasgupta 2020, section 3): 1/2 again, 1 for a copier.
        """
        count = min(len(self.train), len(self.real))
        some, others = (rows[np.linspace(0, len(rows) - 1, count).astype(int)] for rows in (self.train, self.real))
        to_some, to_real = nearest(made, some), nearest(made, others)
        share = (to_some < to_real).mean() + (to_some == to_real).mean() / 2
        copying = less_than(nearest(made, self.train), self.to_train)
        return {"nearer_to_train": float(share), "copying": copying}


def less_than(ones: np.ndarray, others: np.ndarray) -> float:
    """Return the probability that one of `ones` is less than one of `others`; equal ones count half."""
    ordered = np.sort(others)
    greater = len(ordered) - np.searchsorted(ordered, ones, "right")
    equal = np.searchsorted(ordered, ones, "right") - np.searchsorted(ordered, ones, "left")
    return float((greater + equal / 2).mean() / len(ordered))
