"""The samples of a job through its training as one picture: moving, or side by side."""

import io
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

MOST_FRAMES = 60
MOST_CELLS = 12
_LARGEST = 480  # pixels of a frame's longer side
_CELL = 240  # of a cell's
_COLUMNS = 4
_GAP = 8
_CAPTION = 24  # pixels below a picture, for its step
_LAST_LASTS = 4  # times as long as another frame, so that the end is seen
_PAPER, _INK = "#ffffff", "#1d2330"


class Point(NamedTuple):
    """A sampling point and its picture."""

    step: int
    png: bytes


def spread(steps: Sequence[int], most: int) -> list[int]:
    """Return at most so many of ascending steps, evenly spread, the first and the last among them."""
    if len(steps) <= most:
        return list(steps)
    return [steps[round(index * (len(steps) - 1) / (most - 1))] for index in range(most)]


def to_gif(points: Sequence[Point], *, fps: float) -> bytes:
    """Return an animation that begins anew after its end; equal points give equal bytes with one version of Pillow."""
    frames = [_captioned(point, _LARGEST) for point in points]
    width, height = (max(frame.size[axis] for frame in frames) for axis in (0, 1))
    each_ms = round(1000 / fps)
    file = io.BytesIO()
    first, *rest = (_centred(frame, width, height) for frame in frames)
    durations = [each_ms] * len(rest) + [_LAST_LASTS * each_ms]
    first.save(file, "GIF", save_all=True, append_images=rest, duration=durations, loop=0)
    return file.getvalue()


def to_sheet(points: Sequence[Point]) -> bytes:
    """Return all points side by side, row by row, as PNG."""
    cells = [_captioned(point, _CELL) for point in points]
    width, height = (max(cell.size[axis] for cell in cells) + _GAP for axis in (0, 1))
    columns = min(_COLUMNS, len(cells))
    sheet = Image.new("RGB", (columns * width + _GAP, math.ceil(len(cells) / columns) * height + _GAP), _PAPER)
    for cell, (x, y) in zip(cells, _places(width, height, columns), strict=False):
        sheet.paste(cell, (x, y))
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


def _places(width: int, height: int, columns: int) -> Iterator[tuple[int, int]]:
    row = 0
    while True:
        yield from ((_GAP + column * width, _GAP + row * height) for column in range(columns))
        row += 1


def _captioned(point: Point, largest: int) -> Image.Image:
    """Return the picture of a point, made to fit, above its step. What is small is not blurred."""
    with Image.open(io.BytesIO(point.png)) as opened:
        picture = opened.convert("RGB")
    factor = largest / max(picture.size)
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    fitted = picture.resize(size, Image.Resampling.NEAREST if factor > 1 else Image.Resampling.BOX)
    whole = Image.new("RGB", (fitted.width, fitted.height + _CAPTION), _PAPER)
    whole.paste(fitted, (0, 0))
    at = (fitted.width / 2, fitted.height + _CAPTION / 2)
    ImageDraw.Draw(whole).text(at, f"step {point.step:,}", fill=_INK, font=ImageFont.load_default(14), anchor="mm")
    return whole


def _centred(frame: Image.Image, width: int, height: int) -> Image.Image:
    if frame.size == (width, height):
        return frame
    whole = Image.new("RGB", (width, height), _PAPER)
    whole.paste(frame, ((width - frame.width) // 2, (height - frame.height) // 2))
    return whole
