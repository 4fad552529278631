"""Columns of equal spread and without correlation, and back."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

LEAST_VARIANCE = 1e-6  # of a principal axis, as a fraction of the widest: columns may repeat one another


@dataclass(frozen=True)
class Whitening:
    """Rows (N, D) less `mean` (D,), turned to the principal `axes` (D, D), divided by the `deviation` (D,) on each."""

    mean: np.ndarray
    deviation: np.ndarray
    axes: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> "Whitening":
        """Learn from rows (N, D)."""
        variance, axes = np.linalg.eigh(np.cov(rows, rowvar=False).reshape(rows.shape[1], -1))
        return cls(
            mean=rows.mean(axis=0),
            deviation=np.sqrt(np.maximum(variance, LEAST_VARIANCE * variance.max())),
            axes=axes * np.sign(axes[np.abs(axes).argmax(axis=0), range(len(variance))]),  # LAPACK leaves signs open
        )

    def forward(self, rows: np.ndarray) -> np.ndarray:
        """Whiten rows (N, D)."""
        white: np.ndarray = (rows - self.mean) @ self.axes / self.deviation
        return white

    def backward(self, white: np.ndarray) -> np.ndarray:
        """Turn whitened rows (N, D) back."""
        rows: np.ndarray = white * self.deviation @ self.axes.T + self.mean
        return rows

    def turn_back(self) -> np.ndarray:
        """Return the matrix (D, D) that whitened rows are turned back by, before the mean is added."""
        turn: np.ndarray = self.deviation[:, None] * self.axes.T
        return turn

    def learnt(self) -> dict[str, np.ndarray]:
        """Return the transform as arrays."""
        return {"mean": self.mean, "deviation": self.deviation, "axes": self.axes}

    @classmethod
    def restore(cls, learnt: Mapping[str, np.ndarray]) -> "Whitening":
        """Make the transform again."""
        return cls(learnt["mean"], learnt["deviation"], learnt["axes"])
