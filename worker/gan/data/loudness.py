"""How loud sounds are at each frequency, and how they are made equally loud at all. Without torch."""

import numpy as np

LEAST_LOUDNESS = 0.1  # of a frequency, as a fraction of the loudest: what is hardly there must not be magnified further
ROWS_AT_ONCE = 256  # bounds the memory of the transform


def loudness_of(rows: np.ndarray) -> np.ndarray:
    """Return what each frequency of sounds (N, 1, frames) is to be divided by (frames // 2 + 1,) for variance 1."""
    frames = rows.shape[2]
    power = sum((np.abs(np.fft.rfft(part)) ** 2).sum(axis=(0, 1)) for part in parts_of(rows)) / len(rows)
    loudest = power.max()
    if loudest == 0:
        return np.ones_like(power)
    loudness = np.sqrt(power + LEAST_LOUDNESS**2 * loudest)
    flat = power / loudness**2
    variance = np.concatenate([flat, flat[1 : (frames + 1) // 2]]).sum() / frames**2  # Parseval, of both halves
    divisor: np.ndarray = loudness * np.sqrt(variance)
    return divisor


def flattened(rows: np.ndarray, loudness: np.ndarray) -> np.ndarray:
    """Divide each frequency of sounds (N, 1, frames) by its loudness; returns float32."""
    flat = np.empty(rows.shape, np.float32)
    for into, part in zip(parts_of(flat), parts_of(rows), strict=True):
        into[:] = np.fft.irfft(np.fft.rfft(part) / loudness, n=rows.shape[2])
    return flat


def parts_of(rows: np.ndarray) -> list[np.ndarray]:
    """Cut rows into views of a few."""
    return [rows[first : first + ROWS_AT_ONCE] for first in range(0, len(rows), ROWS_AT_ONCE)]
