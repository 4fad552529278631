"""Distances between two sets of features (N, D), by their first two moments and by a kernel."""

import numpy as np


def frechet_distance(real: np.ndarray, made: np.ndarray) -> float:
    """Return the squared Frechet distance of the normal laws with the moments of both sets (Dowson and Landau 1982,
    eq. 4; Heusel et al. 2017). The root of the product is taken from eigenvalues of a symmetric matrix, all of them
    real and none to be thrown away.
    """
    return frechet_of_moments(real.mean(axis=0), covariance(real), made.mean(axis=0), covariance(made))


def frechet_of_moments(mean: np.ndarray, spread: np.ndarray, other_mean: np.ndarray, other_spread: np.ndarray) -> float:
    """Return the same from means (D,) and covariances (D, D)."""
    values, axes = np.linalg.eigh(spread)
    root = (axes * np.sqrt(np.maximum(values, 0))) @ axes.T
    product = np.linalg.eigvalsh(root @ other_spread @ root)
    shared = np.sqrt(np.maximum(product, 0)).sum()
    return float(((mean - other_mean) ** 2).sum() + np.trace(spread) + np.trace(other_spread) - 2 * shared)


def covariance(rows: np.ndarray) -> np.ndarray:
    """Return the covariance (D, D) of rows, in float64."""
    return np.atleast_2d(np.cov(rows.astype(np.float64), rowvar=False))


def kernel_distance(real: np.ndarray, made: np.ndarray) -> float:
    """Return the squared maximum mean discrepancy under the kernel (x y / D + 1)^3 (Binkowski et al. 2018, eq. 4, but
    with the diagonal: it supposes independent rows, and rows of equal class shares would come out below 0). Features
    are scaled so that real rows have the length sqrt(D) on average.
    """
    scale = 1 / max(float(np.sqrt((real**2).mean())), 1e-12)
    real, made = real * scale, made * scale
    within = cubic(real, real).mean() + cubic(made, made).mean()
    return float(within - 2 * cubic(real, made).mean())


def cubic(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the kernel (N, M) between rows."""
    values: np.ndarray = (rows @ others.T / rows.shape[1] + 1) ** 3
    return values
