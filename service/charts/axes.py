"""Axes: from values to pixels, and the round numbers that stand beside them."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """Maps values from low to high to pixels from start to end; a logarithmic axis places positive values only."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def place(self, values: npt.ArrayLike) -> Pixels:
        """Return where values stand; NaN for those that have no place."""
        plain = np.asarray(values, np.float64)
        finite = np.where(np.isfinite(plain), plain, np.nan)
        low, high = _spread(np.array([self.low, self.high]), self.is_log)
        pixels: Pixels = self.start + (_spread(finite, self.is_log) - low) / (high - low) * (self.end - self.start)
        return pixels

    def ticks(self) -> list[tuple[float, str]]:
        """Return where the round numbers stand and how they are written."""
        values = _log_ticks(self.low, self.high) if self.is_log else _linear_ticks(self.low, self.high)
        labels = [f"{value:g}" for value in values] if self.is_log else _labels(values)
        return list(zip(self.place(values).tolist(), labels, strict=True))


def padded(low: float, high: float, *, is_log: bool) -> tuple[float, float]:
    """Widen a range so that nothing lies on its border and it is never empty."""
    if is_log:
        low, high = padded(math.log10(low), math.log10(high), is_log=False)
        return 10**low, 10**high
    room = 0.06 * (high - low) or 0.1 * abs(low) or 1.0
    return low - room, high + room


def _spread(values: Pixels, is_log: bool) -> Pixels:
    if is_log:
        values = np.log10(np.where(values > 0, values, np.nan))
    return values


def _linear_ticks(low: float, high: float) -> list[float]:
    """Return the multiples of the smallest 1, 2 or 5 times a power of ten that give at most six."""
    raw = (high - low) / 6
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Return the powers of ten, with their double and fivefold if all are at most eight, else thinned to about six."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors, stride in (((1, 2, 5), 1), ((1,), 1), ((1,), -(-len(powers) // 6))):
        values = [factor * 10.0**power for power in powers if power % stride == 0 for factor in factors]
        ticks = [value for value in values if low <= value <= high]
        if len(ticks) <= 8:
            break
    return ticks


def _labels(values: list[float]) -> list[str]:
    """Write numbers with as many decimals as tell them apart, or with an exponent where that grows long."""
    step = min(np.diff(values), default=1.0)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if decimals > 5 or max(map(abs, values)) >= 1e7:
        return [f"{value + 0.0:.6g}" for value in values]
    return [f"{value + 0.0:,.{decimals}f}" for value in values]
