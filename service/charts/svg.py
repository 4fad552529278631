"""A drawing as SVG text that needs nothing from elsewhere: no script, no font file, no style sheet."""

import re
from xml.sax.saxutils import escape, quoteattr

from service.charts.drawing import Box, Curve, Drawing, Rule, Shape, Text

_FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"

# What XML 1.0 cannot hold, even escaped (https://www.w3.org/TR/xml/#charsets).
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_svg(drawing: Drawing) -> bytes:
    """Write a drawing; equal drawings give equal bytes."""
    size = f'width="{drawing.width}" height="{drawing.height}"'
    view = f'viewBox="0 0 {drawing.width} {drawing.height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {view} {size} role="img" font-family="{_FONT}">',
        f"<title>{_escaped(drawing.title)}</title>",
        f'<rect {size} fill="#ffffff"/>',
        *map(_element, drawing.shapes),
        "</svg>\n",
    ]
    return "\n".join(lines).encode()


def _element(shape: Shape) -> str:
    match shape:
        case Box(x, y, width, height, colour):
            return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill={quoteattr(colour)}/>'
        case Rule(x1, y1, x2, y2, colour, width, is_dashed):
            dashes = ' stroke-dasharray="6 4"' if is_dashed else ""
            return (
                f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
                f'stroke={quoteattr(colour)} stroke-width="{width}"{dashes}/>'
            )
        case Curve(points, colour, width):
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            return (
                f'<polyline points="{path}" fill="none" stroke={quoteattr(colour)} '
                f'stroke-width="{width}" stroke-linejoin="round"/>'
            )
        case Text(x, y, text, size, colour, anchor, is_bold):
            weight = ' font-weight="600"' if is_bold else ""
            return (
                f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill={quoteattr(colour)} '
                f'text-anchor="{anchor}"{weight}>{_escaped(text)}</text>'
            )


def _escaped(text: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", text))
