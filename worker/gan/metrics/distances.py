"""Squared distances between rows, a bounded number of them at a time."""

from collections.abc import Iterator

import numpy as np

BLOCK_NUMBERS = 2**21  # 16 MiB of distances at once


def distance_blocks(rows: np.ndarray, others: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield which rows (b, D) come now and their squared distances (b, M) to all others (M, D), in float64."""
    height = max(1, BLOCK_NUMBERS // len(others))
    norms = np.einsum("nd,nd->n", others, others)
    for first in range(0, len(rows), height):
        part = rows[first : first + height]
        squared = np.einsum("nd,nd->n", part, part)[:, None] + norms - 2 * (part @ others.T)
        yield slice(first, first + len(part)), np.maximum(squared, 0, out=squared)


def nearest(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the squared distance (N,) of each row to the nearest of the others."""
    return np.concatenate([squared.min(axis=1) for _, squared in distance_blocks(rows, others)])


def neighbour_radii(rows: np.ndarray, k: int) -> np.ndarray:
    """Return the squared distance (N,) of each row to the k-th nearest of the other rows; itself does not count."""
    radii = np.empty(len(rows))
    for which, squared in distance_blocks(rows, rows):
        squared[np.arange(len(squared)), np.arange(which.start, which.stop)] = np.inf
        radii[which] = np.partition(squared, k - 1, axis=1)[:, k - 1]
    return radii
