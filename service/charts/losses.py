"""The chart of a run: the game's losses with their equilibrium, what D answers, and the gradients. Layout only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.charts.drawing import INK, MUTED, Drawing, Shape, Text
from service.charts.panel import AVERAGED_FROM, Frame, Series, draw_panel, plot_width
from service.history.reading import Reading

_WIDTH, _MARGIN, _HEADER, _FOOTER = 900, 16, 44, 30
_PANEL_WIDTH, _PANEL_HEIGHT = 426, 220

# Two points for each column of pixels of a plot: the extremes of its stretch of steps.
CHART_POINTS = 2 * plot_width(_PANEL_WIDTH)

_D, _G = "#0067a5", "#c2410c"  # the players, told apart by everybody


@dataclass(frozen=True)
class Panel:
    """One plot: its columns with their colours; some stand in for a column that a job does not record."""

    title: str
    columns: Mapping[str, str]
    instead_of: str | None = None
    is_log: bool = False


# The generator's two losses have a panel each: one may rest at 0 while the other climbs, and that is the story.
_PANELS = (
    Panel("Value of the game", {"value": "#6d3fa0"}),
    Panel("Total loss", {"total_loss": "#15703c"}),
    Panel("Discriminator loss", {"d_loss": _D}),
    Panel("Mean output of D", {"d_real": _D, "d_fake": _G}),
    Panel("Generator loss, non-saturating", {"g_loss_non_saturating": _G}),
    Panel("Generator loss, saturating", {"g_loss_saturating": "#0f766e"}),
    Panel("Generator loss", {"g_loss": _G}, instead_of="g_loss_non_saturating"),
    Panel("Gradient norms", {"d_grad_norm": _D, "g_grad_norm": _G}, is_log=True),
)


def chart_columns(recorded: Sequence[str]) -> tuple[str, ...]:
    """Return the columns to read for the chart of a job that records these."""
    return tuple(column for panel in _PANELS for column in _shown(panel, recorded))


def draw_losses(reading: Reading, references: Mapping[str, float], *, title: str) -> Drawing:
    """Draw a reading of chart_columns, thinned to CHART_POINTS by minmax; references are by column."""
    panels = [(panel, colours) for panel in _PANELS if (colours := _shown(panel, reading.columns))]
    height = _HEADER + -(-len(panels) // 2) * (_PANEL_HEIGHT + _MARGIN) + _FOOTER
    shapes: list[Shape] = [*_heading(reading, title), *_footing(reading, height)]
    for place, (panel, colours) in enumerate(panels):
        row, column = divmod(place, 2)
        corner = _MARGIN + column * (_PANEL_WIDTH + _MARGIN), _HEADER + row * (_PANEL_HEIGHT + _MARGIN)
        series = [_series(reading, name, colour, references) for name, colour in colours.items()]
        is_alone = column == 0 and place == len(panels) - 1
        frame = Frame(*corner, _WIDTH - 2 * _MARGIN if is_alone else _PANEL_WIDTH, _PANEL_HEIGHT)
        shapes += draw_panel(frame, panel.title, reading.steps, series, is_log=panel.is_log)
    return Drawing(_WIDTH, height, title, shapes)


def _shown(panel: Panel, recorded: Sequence[str]) -> dict[str, str]:
    if panel.instead_of in recorded:
        return {}
    return {column: colour for column, colour in panel.columns.items() if column in recorded}


def _series(reading: Reading, column: str, colour: str, references: Mapping[str, float]) -> Series:
    return Series(column, reading.values[reading.columns.index(column)], colour, references.get(column))


def _heading(reading: Reading, title: str) -> list[Shape]:
    steps = f"{reading.total_steps:,} steps" if reading.total_steps != 1 else "1 step"
    return [
        Text(_MARGIN, 29, title if len(title) <= 80 else f"{title[:79]}\u2026", 16, INK, is_bold=True),
        Text(_WIDTH - _MARGIN, 29, steps, 12, MUTED, "end"),
    ]


def _footing(reading: Reading, height: int) -> list[Shape]:
    drawn = ["dashed: equilibrium"]
    if len(reading.steps) >= AVERAGED_FROM:
        drawn = ["pale: lowest and highest of each stretch of steps", "bold: moving average", *drawn]
        drawn.append("arrow: a start beyond the axis, and how far")
    return [Text(_WIDTH / 2, height - 14, " \u00b7 ".join(drawn), 11, MUTED, "middle")]
