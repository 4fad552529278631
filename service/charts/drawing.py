"""A picture as a list of shapes. Sizes in pixels from the top left corner, colours as #rrggbb."""

from dataclasses import dataclass
from typing import Literal

INK, MUTED = "#111827", "#6b7280"

Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True)
class Box:
    """A filled rectangle."""

    x: float
    y: float
    width: float
    height: float
    colour: str


@dataclass(frozen=True)
class Rule:
    """A straight line."""

    x1: float
    y1: float
    x2: float
    y2: float
    colour: str
    width: float = 1.0
    is_dashed: bool = False


@dataclass(frozen=True)
class Curve:
    """A line through at least two points."""

    points: list[tuple[float, float]]
    colour: str
    width: float


@dataclass(frozen=True)
class Text:
    """One line of text; x is where the anchor is, y the baseline."""

    x: float
    y: float
    text: str
    size: float = 11.0
    colour: str = MUTED
    anchor: Anchor = "start"
    is_bold: bool = False


Shape = Box | Rule | Curve | Text


@dataclass(frozen=True)
class Drawing:
    """Shapes on white, later ones over earlier ones; the title is for readers who do not see it."""

    width: int
    height: int
    title: str
    shapes: list[Shape]
