"""A drawing as PNG, with twice the pixels for sharp screens."""

import io
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from service.charts.drawing import Box, Curve, Drawing, Rule, Shape, Text

_PIXELS = 2  # of the picture for one of the drawing
_OVERSAMPLED = 2  # Pillow draws lines with hard edges: draw larger, then average
_SCALE = _PIXELS * _OVERSAMPLED
_DASH, _GAP = 6, 4
_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}


def to_png(drawing: Drawing) -> bytes:
    """Write a drawing; equal drawings give equal bytes with one version of Pillow."""
    large = Image.new("RGB", (drawing.width * _SCALE, drawing.height * _SCALE), "#ffffff")
    canvas = ImageDraw.Draw(large)
    for shape in drawing.shapes:
        _paint(canvas, shape)
    file = io.BytesIO()
    large.reduce(_OVERSAMPLED).save(file, "PNG")
    return file.getvalue()


def _paint(canvas: ImageDraw.ImageDraw, shape: Shape) -> None:
    match shape:
        case Box(x, y, width, height, colour):
            # Pillow's rectangles include their last pixel.
            corners = (_large(x), _large(y), _large(x + width) - 1, _large(y + height) - 1)
            canvas.rectangle(corners, fill=colour)
        case Rule(is_dashed=True):
            for dash in _dashes(shape):
                _paint(canvas, dash)
        case Rule(x1, y1, x2, y2, colour, width):
            canvas.line((_large(x1), _large(y1), _large(x2), _large(y2)), fill=colour, width=_large(width))
        case Curve(points, colour, width):
            path = [(_large(x), _large(y)) for x, y in points]
            canvas.line(path, fill=colour, width=_large(width), joint="curve")
        case Text(x, y, text, size, colour, anchor, is_bold):
            canvas.text(
                (_large(x), _large(y)),
                text,
                fill=colour,
                font=_font(_large(size)),
                anchor=_ANCHORS[anchor],
                stroke_width=_SCALE // 4 if is_bold else 0,  # the font has one weight
            )


def _dashes(rule: Rule) -> list[Rule]:
    """Cut a horizontal or vertical rule into dashes."""
    length = max(rule.x2 - rule.x1, rule.y2 - rule.y1)
    across, down = (rule.x2 - rule.x1) / length, (rule.y2 - rule.y1) / length
    dashes = []
    for start in range(0, int(length), _DASH + _GAP):
        end = min(start + _DASH, length)
        x, y = rule.x1 + start * across, rule.y1 + start * down
        dashes.append(Rule(x, y, rule.x1 + end * across, rule.y1 + end * down, rule.colour, rule.width))
    return dashes


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _large(length: float) -> int:
    return round(length * _SCALE)
