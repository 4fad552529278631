"""One plot of a chart: its frame, axes and equilibrium lines, and the curves of its columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.charts.axes import Axis, Pixels, padded
from service.charts.drawing import INK, MUTED, Box, Curve, Rule, Shape, Text
from service.history.segments import Steps, Values

_LEFT, _TOP, _RIGHT, _BOTTOM = 48, 32, 44, 22  # room around the plot
_GRID, _GROUND, _DASHES = "#e5e7eb", "#f9fafb", "#374151"
_LETTER = 7.0  # width of a letter of 11 pixels, generously

AVERAGED_FROM = 80  # points; fewer are drawn as they are
_WINDOWS = 30  # of the moving average in a run
_START = 0.02  # of the steps: untrained networks lose by far more than they ever do again


@dataclass(frozen=True)
class Frame:
    """Where a panel stands."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Series:
    """A column to draw: its values at the steps of the chart, and its equilibrium if it has one."""

    name: str
    values: Values
    colour: str
    reference: float | None


def plot_width(panel_width: int) -> int:
    """Return the width that curves have in a panel."""
    return panel_width - _LEFT - _RIGHT


def draw_panel(frame: Frame, title: str, steps: Steps, series: Sequence[Series], *, is_log: bool) -> Iterator[Shape]:
    """Draw series over the same steps; a logarithmic panel shows positive values only.

    A linear axis is made for what follows the start of a run. A start that reaches past it is cut there and marked.
    """
    left, top = frame.left + _LEFT, frame.top + _TOP
    right, bottom = frame.left + frame.width - _RIGHT, frame.top + frame.height - _BOTTOM
    yield Text(frame.left, frame.top + 17, title, 13, INK, is_bold=True)
    yield from _names(series, frame.left + frame.width, frame.top + 17)
    yield Box(left, top, right - left, bottom - top, _GROUND)
    bounds = _bounds(steps, series, is_log=is_log)
    if bounds is None:
        yield Text((left + right) / 2, (top + bottom) / 2, "nothing recorded yet", anchor="middle")
        return
    across = Axis(float(steps[0]), float(max(steps[-1], steps[0] + 1)), left, right)
    up = Axis(*bounds, bottom, top, is_log=is_log)
    yield from _grid(across, up)
    x = across.place(steps)
    for one in series:
        yield from _pale_curve(one, x, up)
    yield from _equilibrium(series, across, up)
    for one in series:
        yield from _bold_curve(one, x, up)
    if not is_log:
        yield from _arrows(series, x, up)


def _names(series: Sequence[Series], right: float, y: float) -> Iterator[Shape]:
    for one in reversed(series):
        yield Text(right, y, one.name, colour=one.colour, anchor="end", is_bold=True)
        right -= len(one.name) * _LETTER + 12


def _bounds(steps: Steps, series: Sequence[Series], *, is_log: bool) -> tuple[float, float] | None:
    """Return the range of what is to be seen, references too; None if that is nothing."""
    values = np.stack([one.values for one in series]).astype(np.float64)
    visible = np.isfinite(values) & ((values > 0) | (not is_log))
    if not visible.any():
        return None
    settled = visible & _settled(steps)
    seen = values[visible if is_log or not settled.any() else settled]
    shown = [*seen.tolist(), *_references(series)]
    return padded(min(shown), max(shown), is_log=is_log)


def _settled(steps: Steps) -> npt.NDArray[np.bool_]:
    """Tell which points follow the start of the run; all of them where there are few."""
    if len(steps) < AVERAGED_FROM:
        return np.ones(len(steps), np.bool_)
    after: npt.NDArray[np.bool_] = steps >= steps[0] + _START * (steps[-1] - steps[0])
    return after


def _references(series: Sequence[Series]) -> list[float]:
    return sorted({one.reference for one in series if one.reference is not None})


def _grid(across: Axis, up: Axis) -> Iterator[Shape]:
    for y, label in up.ticks():
        yield Rule(across.start, y, across.end, y, _GRID)
        yield Text(across.start - 6, y + 4, label, anchor="end")
    for x, label in across.ticks():
        yield Rule(x, up.start, x, up.start + 4, MUTED)
        yield Text(x, up.start + 16, label, anchor="middle")
    yield Rule(across.start, up.start, across.end, up.start, MUTED)


def _equilibrium(series: Sequence[Series], across: Axis, up: Axis) -> Iterator[Shape]:
    for reference in _references(series):
        y = float(up.place(reference))
        yield Rule(across.start, y, across.end, y, _DASHES, is_dashed=True)
        yield Text(across.end + 5, y + 4, f"{reference:.3f}", colour=_DASHES)


def _pale_curve(series: Series, x: Pixels, up: Axis) -> Iterator[Shape]:
    if len(x) >= AVERAGED_FROM:
        yield from _curves(*_cut(x, up.place(series.values), up), _tinted(series.colour), 1.0)


def _bold_curve(series: Series, x: Pixels, up: Axis) -> Iterator[Shape]:
    y = up.place(series.values)
    yield from _curves(*_cut(x, _averaged(y) if len(y) >= AVERAGED_FROM else y, up), series.colour, 1.8)


def _cut(x: Pixels, y: Pixels, up: Axis) -> tuple[Pixels, Pixels]:
    """Put NaN for y past the ends of the axis, and points where the line crosses them."""
    for end in (up.start, up.end):
        crossing = np.flatnonzero((y[:-1] - end) * (y[1:] - end) < 0)
        share = (end - y[crossing]) / (y[crossing + 1] - y[crossing])
        x = np.insert(x, crossing + 1, x[crossing] + share * (x[crossing + 1] - x[crossing]))
        y = np.insert(y, crossing + 1, end)
    return x, np.where((y >= up.end) & (y <= up.start), y, np.nan)


def _arrows(series: Sequence[Series], x: Pixels, up: Axis) -> Iterator[Shape]:
    """Mark where the furthest value past each end of the axis is, and write it there."""
    values = np.stack([one.values for one in series]).astype(np.float64)
    finite = np.isfinite(values)
    highest = int(np.where(finite, values, -np.inf).argmax())
    lowest = int(np.where(finite, values, np.inf).argmin())
    if (value := values.flat[highest]) > up.high:
        at, colour = float(x[highest % len(x)]), series[highest // len(x)].colour
        yield Curve([(at - 4, up.end - 2), (at, up.end - 7), (at + 4, up.end - 2)], colour, 1.8)
        yield Text(at + 8, up.end - 2, f"{value:.4g}", 10, colour)
    if (value := values.flat[lowest]) < up.low:
        at, colour = float(x[lowest % len(x)]), series[lowest // len(x)].colour
        yield Curve([(at - 4, up.start + 3), (at, up.start + 8), (at + 4, up.start + 3)], colour, 1.8)
        yield Text(at - 8, up.start + 14, f"{value:.4g}", 10, colour, "end")


def _curves(x: Pixels, y: Pixels, colour: str, width: float) -> Iterator[Shape]:
    """Draw a line that is interrupted where y is NaN, and a dot where a point is alone."""
    drawn = np.flatnonzero(np.isfinite(y))
    for run in np.split(drawn, np.flatnonzero(np.diff(drawn) > 1) + 1):
        if run.size == 1:
            yield Box(x[run[0]] - width, y[run[0]] - width, 2 * width, 2 * width, colour)
        elif run.size > 1:
            yield Curve(list(zip(x[run].tolist(), y[run].tolist(), strict=True)), colour, width)


def _averaged(y: Pixels) -> Pixels:
    """Return the centred moving average of the finite values, NaN where there is none; the window tapers off."""
    window = np.hanning(len(y) // _WINDOWS + 4)
    finite = np.isfinite(y)
    sums = np.convolve(np.where(finite, y, 0), window, mode="same")
    weights = np.convolve(finite, window, mode="same")
    averages: Pixels = np.divide(sums, weights, out=np.full_like(sums, np.nan), where=finite)
    return averages


def _tinted(colour: str) -> str:
    """Mix a colour with white."""
    channels = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(channel + 0.68 * (255 - channel)):02x}" for channel in channels)
