"""Points drawn from a known law, always the same ones for the same parameters, and that law itself."""

from dataclasses import dataclass

import numpy as np

from service.spec.datasets import GridParams, MoonsParams, RingParams, SpiralParams, SubspaceParams, SwissRollParams
from service.spec.facts import DatasetFacts
from worker.gan.data.training_data import Rows

DATA_SEED = 0  # of the set itself, so that jobs of different seeds train on the same data


@dataclass(frozen=True)
class Mixture:
    """Equally likely round Gaussians in data units: centres (K, D)."""

    centres: np.ndarray
    sigma: float


def ring_mixture(params: RingParams) -> Mixture:
    """Place the centres on a circle, the first at angle 0."""
    angle = 2 * np.pi * np.arange(params.modes) / params.modes
    return Mixture(params.radius * np.stack([np.cos(angle), np.sin(angle)], axis=1), params.sigma)


def grid_mixture(params: GridParams) -> Mixture:
    """Place the centres on a square grid about the origin."""
    line = params.spacing * (np.arange(params.side) - (params.side - 1) / 2)
    return Mixture(np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2), params.sigma)


def subspace_mixture(params: SubspaceParams) -> Mixture:
    """Draw the centres uniformly from a cube in the first dimensions; in the others they are 0."""
    random = np.random.Generator(np.random.PCG64([DATA_SEED, params.modes]))
    centres = np.zeros((params.modes, params.dimensions))
    centres[:, : params.subspace] = random.uniform(-1, 1, (params.modes, params.subspace))
    return Mixture(centres, params.sigma)


def open_ring(_: DatasetFacts, params: RingParams) -> Rows:
    """Draw Gaussians on a circle."""
    return points_alone(draw_mixture(ring_mixture(params), params.count))


def open_grid(_: DatasetFacts, params: GridParams) -> Rows:
    """Draw Gaussians on a grid."""
    return points_alone(draw_mixture(grid_mixture(params), params.count))


def open_subspace(_: DatasetFacts, params: SubspaceParams) -> Rows:
    """Draw Gaussians in many dimensions."""
    return points_alone(draw_mixture(subspace_mixture(params), params.count))


def open_moons(_: DatasetFacts, params: MoonsParams) -> Rows:
    """Draw two half circles, each reaching into the other."""
    random = data_random()
    lower = random.random(params.count) < 0.5
    angle = np.pi * random.random(params.count)
    x = np.where(lower, 1 - np.cos(angle), np.cos(angle))
    y = np.where(lower, 0.5 - np.sin(angle), np.sin(angle))
    return points_alone(noisy(np.stack([x, y], axis=1), params.noise, random))


def open_swiss_roll(_: DatasetFacts, params: SwissRollParams) -> Rows:
    """Draw a spiral from a third of its outer radius to the whole."""
    random = data_random()
    radius = (1 + 2 * random.random(params.count)) / 3
    angle = 3 * np.pi * params.turns * radius
    curve = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return points_alone(noisy(curve, params.noise, random))


def open_spiral(_: DatasetFacts, params: SpiralParams) -> Rows:
    """Draw arms whose radius grows with their angle; the root spreads points evenly along them, or nearly so."""
    random = data_random()
    radius = np.sqrt(random.random(params.count))
    arm = random.integers(params.arms, size=params.count)
    angle = 2 * np.pi * (params.turns * radius + arm / params.arms)
    curve = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return points_alone(noisy(curve, params.noise, random))


def points_alone(points: np.ndarray) -> Rows:
    """Return points without labels."""
    return Rows(points, None)


def data_random() -> np.random.Generator:
    """Start the draws of a data set."""
    return np.random.Generator(np.random.PCG64(DATA_SEED))


def draw_mixture(mixture: Mixture, count: int) -> np.ndarray:
    """Draw from each Gaussian equally often, in mixed order."""
    random = data_random()
    modes = random.permutation(np.arange(count) % len(mixture.centres))
    return noisy(mixture.centres[modes], mixture.sigma, random)


def noisy(points: np.ndarray, sigma: float, random: np.random.Generator) -> np.ndarray:
    """Add round normal noise."""
    moved: np.ndarray = points + sigma * random.standard_normal(points.shape)
    return moved
