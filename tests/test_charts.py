"""The loss chart: what it shows, that both writers draw it, and that no text or number can break it."""

import io
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from service.charts.axes import Axis, padded
from service.charts.drawing import Box, Curve, Drawing, Rule, Shape, Text
from service.charts.losses import CHART_POINTS, chart_columns, draw_losses
from service.charts.png import to_png
from service.charts.svg import to_svg
from service.history.reading import Reading

COLUMNS = (
    "value", "d_loss", "g_loss_saturating", "g_loss_non_saturating", "g_loss", "total_loss",
    "d_real", "d_fake", "g_grad_norm", "d_grad_norm",
)  # fmt: skip
REFERENCES = {"value": -1.386294, "d_loss": 1.386294, "g_loss_saturating": -0.693147, "total_loss": 2.079442}
SVG = "{http://www.w3.org/2000/svg}"


def a_reading(count: int = 200, columns: tuple[str, ...] = COLUMNS, **replaced: Any) -> Reading:
    values = np.random.default_rng(0).uniform(0.1, 2, (len(columns), count)).astype(np.float32)
    for column, series in replaced.items():
        values[columns.index(column)] = series
    return Reading(columns, np.arange(1, count + 1), values, "none", count, count)


def a_chart(reading: Reading | None = None, title: str = "first") -> Drawing:
    return draw_losses(reading or a_reading(), REFERENCES, title=title)


def texts(drawing: Drawing) -> list[str]:
    return [shape.text for shape in drawing.shapes if isinstance(shape, Text)]


def curves(drawing: Drawing, colour: str) -> list[Curve]:
    return [shape for shape in drawing.shapes if isinstance(shape, Curve) and shape.colour == colour]


def test_every_panel_of_the_game_is_shown_with_its_columns() -> None:
    shown = texts(a_chart())

    for panel in ("Value of the game", "Discriminator loss", "Total loss", "Mean output of D", "Gradient norms"):
        assert panel in shown
    assert set(chart_columns(COLUMNS)) <= set(shown)
    assert "g_loss" not in shown


def test_an_objective_outside_the_game_shows_its_own_losses() -> None:
    columns = ("d_loss", "g_loss", "g_grad_norm", "d_grad_norm")

    shown = texts(a_chart(a_reading(columns=columns)))

    assert chart_columns(columns) == ("d_loss", "g_loss", "d_grad_norm", "g_grad_norm")
    assert {"Generator loss", "g_loss"} <= set(shown)
    assert "Value of the game" not in shown


def test_equilibrium_lines_are_dashed_and_labelled() -> None:
    drawing = a_chart()

    dashed = [shape for shape in drawing.shapes if isinstance(shape, Rule) and shape.is_dashed]
    assert len(dashed) == len(REFERENCES)
    assert {"-1.386", "1.386", "-0.693", "2.079"} <= set(texts(drawing))


def test_an_equilibrium_outside_the_recorded_range_is_inside_the_plot() -> None:
    drawing = a_chart(a_reading(value=np.full(200, -9)))

    (line,) = curves(drawing, "#6d3fa0")
    dashed = next(shape for shape in drawing.shapes if isinstance(shape, Rule) and shape.is_dashed)
    assert dashed.y1 < min(y for _, y in line.points)


def test_a_spike_reaches_higher_than_everything_else() -> None:
    spiked = np.ones(200)
    spiked[77] = 50

    drawing = a_chart(a_reading(value=spiked))

    recorded = next(shape for shape in drawing.shapes if isinstance(shape, Curve))
    assert min(range(200), key=lambda i: recorded.points[i][1]) == 77


def test_each_generator_loss_fills_a_panel_of_its_own() -> None:
    flat, climbing = np.linspace(-0.01, 0, 200), np.linspace(0.7, 55, 200)

    drawing = a_chart(a_reading(g_loss_saturating=flat, g_loss_non_saturating=climbing))

    titles = {shape.text: shape for shape in drawing.shapes if isinstance(shape, Text)}
    saturating = titles["Generator loss, saturating"]
    assert saturating.x > titles["Generator loss, non-saturating"].x
    (recorded,) = curves(drawing, "#0f766e")
    assert min(x for x, _ in recorded.points) > saturating.x


def started_high(height: float) -> Reading:
    series = np.tile([0.5, 1.0], 100)
    series[:3] = height, height / 2, height / 4
    return a_reading(columns=("total_loss",), total_loss=series)


def test_the_start_of_a_run_does_not_flatten_the_rest_but_is_cut_and_marked() -> None:
    drawing = a_chart(started_high(40))

    (ground,) = [shape for shape in drawing.shapes if isinstance(shape, Box) and shape.width > 100]
    lines = [shape for shape in drawing.shapes if isinstance(shape, Curve)]
    *drawn, arrow = lines
    ys = [y for curve in drawn for _, y in curve.points]
    assert min(ys) == pytest.approx(ground.y)
    assert max(ys) <= ground.y + ground.height
    assert max(y for x, y in drawn[0].points if x > 200) - min(y for x, y in drawn[0].points if x > 200) > 40
    assert arrow.points[1] == (ground.x, ground.y - 7)
    assert "40" in texts(drawing)
    assert any("arrow:" in text for text in texts(drawing))


def test_a_start_below_the_axis_is_marked_at_its_lower_end() -> None:
    drawing = a_chart(started_high(-40))

    (ground,) = [shape for shape in drawing.shapes if isinstance(shape, Box) and shape.width > 100]
    *_, arrow = [shape for shape in drawing.shapes if isinstance(shape, Curve)]
    assert arrow.points[1] == (ground.x, ground.y + ground.height + 8)
    assert "-40" in texts(drawing)


def test_the_last_panel_of_an_odd_number_takes_the_whole_row() -> None:
    grounds = [shape for shape in a_chart().shapes if isinstance(shape, Box) and shape.width > 100]

    assert len(grounds) == 7
    assert grounds[-1].width > 2 * grounds[0].width


def test_a_line_is_interrupted_at_non_finite_values() -> None:
    series = np.arange(40, dtype=np.float32)
    series[10], series[12] = np.nan, np.inf

    drawing = a_chart(a_reading(40, value=series))

    before, after = curves(drawing, "#6d3fa0")
    alone = [shape for shape in drawing.shapes if isinstance(shape, Box) and shape.colour == "#6d3fa0"]
    assert (len(before.points), len(alone), len(after.points)) == (10, 1, 27)


def test_a_logarithmic_panel_leaves_out_what_is_not_positive() -> None:
    series = np.full(40, 10.0)
    series[20] = 0

    drawing = a_chart(a_reading(40, columns=("d_grad_norm",), d_grad_norm=series))

    assert [len(curve.points) for curve in curves(drawing, "#0067a5")] == [20, 19]


@pytest.mark.parametrize("count", [0, 1, 2, CHART_POINTS])
def test_a_run_of_any_length_can_be_drawn(count: int) -> None:
    drawing = a_chart(a_reading(count))

    assert ET.fromstring(to_svg(drawing)).tag == f"{SVG}svg"
    assert to_png(drawing).startswith(b"\x89PNG")
    assert texts(drawing).count("nothing recorded yet") == (7 if count == 0 else 0)


def test_values_of_any_size_can_be_drawn() -> None:
    reading = a_reading(
        value=np.full(200, np.nan),
        d_loss=np.linspace(-3e38, 3e38, 200),
        total_loss=np.zeros(200),
        d_grad_norm=np.geomspace(1e-38, 1e38, 200),
        g_grad_norm=np.zeros(200),
    )

    drawing = a_chart(reading)

    assert b"nan" not in to_svg(drawing)
    assert max(len(text) for text in texts(drawing) if ":" not in text) < 100


@given(st.text())
def test_any_title_gives_well_formed_svg_that_says_it(title: str) -> None:
    root = ET.fromstring(to_svg(Drawing(10, 10, title, [Text(1, 1, title)])))

    said = {root.findtext(f"{SVG}title"), root.findtext(f"{SVG}text")}
    assert len(said) == 1
    if title.isprintable():
        assert said == {title}


def test_markup_in_a_title_stays_text() -> None:
    svg = to_svg(a_chart(title='</title><script>alert("1")</script>'))

    assert b"<script" not in svg
    assert b"&lt;script&gt;" in svg


def test_svg_asks_nothing_of_the_network() -> None:
    svg = to_svg(a_chart())

    assert svg.count(b"http") == 1
    assert b'xmlns="http://www.w3.org/2000/svg"' in svg


@pytest.mark.parametrize("write", [to_svg, to_png])
def test_equal_readings_give_equal_bytes(write: Any) -> None:
    assert write(a_chart()) == write(a_chart())


def test_png_has_two_pixels_for_one_and_shows_the_shapes_where_they_are() -> None:
    shapes: list[Shape] = [Box(10, 10, 20, 10, "#ff0000"), Rule(0, 50, 100, 50, "#0000ff", 2.0, is_dashed=True)]

    image = Image.open(io.BytesIO(to_png(Drawing(100, 80, "", shapes))))

    assert image.size == (200, 160)
    assert [image.getpixel(at) for at in ((20, 20), (58, 38), (61, 38), (40, 41))] == [
        (255, 0, 0), (255, 0, 0), (255, 255, 255), (255, 255, 255),
    ]  # fmt: skip
    assert [image.getpixel((x, 100)) for x in (5, 15, 25)] == [(0, 0, 255), (255, 255, 255), (0, 0, 255)]


finite = st.floats(-1e30, 1e30, allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-30)


@given(finite, finite)
def test_ticks_of_a_linear_axis_rise_within_it(one: float, other: float) -> None:
    low, high = padded(min(one, other), max(one, other), is_log=False)

    ticks = Axis(low, high, 0, 100).ticks()

    places = [place for place, _ in ticks]
    assert 1 <= len(ticks) <= 7
    assert places == sorted(places)
    assert -1e-6 <= places[0] <= places[-1] <= 100 + 1e-6
    assert all(len(label) <= 14 for _, label in ticks)


@given(st.floats(1e-38, 1e38), st.floats(1e-38, 1e38))
def test_ticks_of_a_logarithmic_axis_rise_within_it(one: float, other: float) -> None:
    low, high = padded(min(one, other), max(one, other), is_log=True)

    ticks = Axis(low, high, 0, 100, is_log=True).ticks()

    places = [place for place, _ in ticks]
    assert len(ticks) <= 8
    assert places == sorted(places)
    assert all(-1e-6 <= place <= 100 + 1e-6 for place in places)


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0, 1, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (-1.5, 0.4, ["-1.5", "-1.0", "-0.5", "0.0"]),
        (1, 2000, ["500", "1,000", "1,500", "2,000"]),
        (2.041, 2.117, ["2.06", "2.08", "2.10"]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, labels: list[str]) -> None:
    assert [label for _, label in Axis(low, high, 0, 100).ticks()] == labels
