"""How well samples follow a known mixture of equally likely round Gaussians."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaincinv

from service.spec.datasets import GridParams, RingParams, SubspaceParams
from service.spec.job import DatasetRef
from worker.gan.data.points import Mixture, grid_mixture, noisy, ring_mixture, subspace_mixture
from worker.gan.metrics.distances import distance_blocks

MIXTURE_SAMPLES = 5_000
NEAR_SIGMAS = 3.0  # a perfect sampler in the plane has 98.889 % of its samples within three sigma
NEAR_SIGMAS_PER_ROOT = 1.5  # times sqrt(D) in more than four dimensions, where no sample lies within three sigma
LAWS: dict[str, tuple[type[Any], Callable[[Any], Mixture]]] = {
    "ring": (RingParams, ring_mixture),
    "grid": (GridParams, grid_mixture),
    "subspace": (SubspaceParams, subspace_mixture),
}


@dataclass(frozen=True)
class KnownMixture:
    """The law of points that were drawn from a mixture."""

    mixture: Mixture
    samples: int = MIXTURE_SAMPLES

    def metrics(self, made: np.ndarray) -> dict[str, float]:
        """Measure points (N, D) in data units."""
        return mixture_metrics(self.mixture, made)

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """Draw from Gaussians that chance chooses."""
        modes = random.integers(len(self.mixture.centres), size=self.samples)
        return noisy(self.mixture.centres[modes], self.mixture.sigma, random)


def known_mixture(ref: DatasetRef) -> KnownMixture | None:
    """Return the mixture that a data set was drawn from, where it is one."""
    if ref.name not in LAWS:
        return None
    params, mixture = LAWS[ref.name]
    return KnownMixture(mixture(params.model_validate(ref.params)))


def mixture_metrics(mixture: Mixture, made: np.ndarray) -> dict[str, float]:
    """Count modes and measure how evenly and how widely they are filled by points (N, D) in data units.

    modes are those with a sample near them and high_quality is the share of samples near one, as Srivastava et al.
    2017 and Lin et al. 2018 count; reverse_kl is of the samples' shares over the modes, each sample at its nearest,
    from the uniform law: (K-1)/2N for a perfect sampler; width is the median distance to the nearest centre over the
    one that a true sample has.
    """
    blocks = [(squared.argmin(axis=1), squared.min(axis=1)) for _, squared in distance_blocks(made, mixture.centres)]
    modes, squared = (np.concatenate(part) for part in zip(*blocks, strict=True))
    near_sigmas = max(NEAR_SIGMAS, NEAR_SIGMAS_PER_ROOT * mixture.centres.shape[1] ** 0.5)
    near = squared <= (near_sigmas * mixture.sigma) ** 2
    return {
        "modes": float(len(np.unique(modes[near]))),
        "high_quality": float(near.mean()),
        "reverse_kl": divergence_from_even(np.bincount(modes, minlength=len(mixture.centres))),
        "width": float(np.sqrt(np.median(squared)) / true_distance(mixture)),
    }


def true_distance(mixture: Mixture) -> float:
    """Return the median distance of a sample to its centre: sigma times the median of a chi with D degrees."""
    return float(mixture.sigma * np.sqrt(2 * gammaincinv(mixture.centres.shape[1] / 2, 0.5)))


def divergence_from_even(counts: np.ndarray) -> float:
    """Return the divergence in nats of the shares of the modes, counted (K,), from equal ones."""
    share = counts / counts.sum()
    some = share[share > 0]
    return float((some * np.log(some * len(share))).sum())
