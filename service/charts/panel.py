"""One plot of a chart: its frame, axes and equilibrium lines, and the curves of its columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from service.charts.axes import Axis, Pixels, padded
from service.charts.drawing import INK, MUTED, Box, Curve, Rule, Shape, Text
from service.history.segments import Steps, Values

_LEFT, _TOP, _RIGHT, _BOTTOM = 48, 28, 44, 22  # room around the plot
_GRID, _GROUND, _DASHES = "#e5e7eb", "#f9fafb", "#374151"
_LETTER = 7.0  # width of a letter of 11 pixels, generously

AVERAGED_FROM = 80  # points; fewer are drawn as they are
_WINDOWS = 30  # of the moving average in a run


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
    """Draw series over the same steps; a logarithmic panel shows positive values only."""
    left, top = frame.left + _LEFT, frame.top + _TOP
    right, bottom = frame.left + frame.width - _RIGHT, frame.top + frame.height - _BOTTOM
    yield Text(frame.left, frame.top + 17, title, 13, INK, is_bold=True)
    yield from _names(series, frame.left + frame.width, frame.top + 17)
    yield Box(left, top, right - left, bottom - top, _GROUND)
    bounds = _bounds(series, is_log=is_log)
    if bounds is None:
        yield Text((left + right) / 2, (top + bottom) / 2, "nothing recorded yet", anchor="middle")
        return
    across = Axis(float(steps[0]), float(max(steps[-1], steps[0] + 1)), left, right)
    up = Axis(*bounds, bottom, top, is_log=is_log)
    yield from _grid(across, up)
    for one in series:
        yield from _pale_curve(one, across.place(steps), up.place(one.values))
    yield from _equilibrium(series, across, up)
    for one in series:
        yield from _bold_curve(one, across.place(steps), up.place(one.values))


def _names(series: Sequence[Series], right: float, y: float) -> Iterator[Shape]:
    for one in reversed(series):
        yield Text(right, y, one.name, colour=one.colour, anchor="end", is_bold=True)
        right -= len(one.name) * _LETTER + 12


def _bounds(series: Sequence[Series], *, is_log: bool) -> tuple[float, float] | None:
    """Return the range of all that is to be seen, references too; None if that is nothing."""
    values = np.concatenate([one.values for one in series]).astype(np.float64)
    seen = values[np.isfinite(values) & ((values > 0) | (not is_log))]
    if not seen.size:
        return None
    shown = [*seen.tolist(), *_references(series)]
    return padded(min(shown), max(shown), is_log=is_log)


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


def _pale_curve(series: Series, x: Pixels, y: Pixels) -> Iterator[Shape]:
    if len(y) >= AVERAGED_FROM:
        yield from _curves(x, y, _tinted(series.colour), 1.0)


def _bold_curve(series: Series, x: Pixels, y: Pixels) -> Iterator[Shape]:
    yield from _curves(x, _averaged(y) if len(y) >= AVERAGED_FROM else y, series.colour, 1.8)


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
