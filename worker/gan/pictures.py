"""Pictures a person looks at: grids of generated pictures, scatters of generated points over real ones."""

import io
from math import ceil, sqrt

import numpy as np
from PIL import Image, ImageDraw

GRID_PIXELS = 640  # about the longer side of a grid
FRAME_PIXELS, LARGEST_FRAME = 256, 480  # about the longer side of a small picture that moves; that of a large one
GAP = 4
PAPER = 255
BLANK = 232  # fills a cell without a picture: neither the paper nor what a generator would draw
EMPTY = -1
PICTURED = 64  # samples in a grid; a scatter shows all
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # by channels
MOST_CLASS_ROWS = 16
MOST_OF_A_CLASS = 16  # beside each other

SCATTER_PIXELS = 640
SUPERSAMPLE = 3
MARGIN = 0.08  # of the real data's extent, on each side
REAL_COLOUR, SAMPLE_COLOUR, FRAME_COLOUR = "#b9bec6", "#d6402b", "#8a9099"
REAL_RADIUS, SAMPLE_RADIUS = 1.4, 2.4


def to_png(picture: np.ndarray | Image.Image) -> bytes:
    """Write a PNG; an array is (C, H, W) uint8."""
    file = io.BytesIO()
    (as_image(picture) if isinstance(picture, np.ndarray) else picture).save(file, "PNG")
    return file.getvalue()


def to_gif(pictures: np.ndarray, fps: float) -> bytes:
    """Write pictures (N, C, H, W) uint8 as an animation that begins anew after its end; what is clear is paper."""
    frames = map(_as_frame, pictures)
    file = io.BytesIO()
    next(frames).save(file, "GIF", save_all=True, append_images=frames, duration=round(1000 / fps), loop=0)
    return file.getvalue()


def _as_frame(picture: np.ndarray) -> Image.Image:
    """Return a picture as large as a person looks at, magnified without blur."""
    image = as_image(picture)
    if image.mode == "RGBA":
        paper = Image.new("RGBA", image.size, (PAPER,) * 4)
        image = Image.alpha_composite(paper, image).convert("RGB")
    if max(image.size) > LARGEST_FRAME:
        image.thumbnail((LARGEST_FRAME, LARGEST_FRAME), Image.Resampling.BOX)
    scale = max(1, FRAME_PIXELS // max(image.size))
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)


def as_image(picture: np.ndarray) -> Image.Image:
    """Turn (C, H, W) uint8 into an image of its mode."""
    channels = picture.shape[0]
    return Image.fromarray(picture[0] if channels == 1 else picture.transpose(1, 2, 0), MODES[channels])


def draw_grid(pictures: np.ndarray, classes: np.ndarray | None) -> Image.Image:
    """Lay pictures (N, C, H, W) uint8 out in a grid, magnified without blur; a row for each of a few classes."""
    cells = cells_of(len(pictures), classes)
    rows, columns = cells.shape
    _, channels, height, width = pictures.shape
    scale = max(1, GRID_PIXELS // max(rows * (height + 1), columns * (width + 1)))
    paper = Image.new(
        MODES[channels],
        (columns * (width * scale + GAP) + GAP, rows * (height * scale + GAP) + GAP),
        (PAPER,) * channels,
    )
    nothing = np.full((channels, height, width), BLANK, np.uint8)
    for (row, column), number in np.ndenumerate(cells):
        picture = as_image(nothing if number == EMPTY else pictures[number])
        magnified = picture.resize((width * scale, height * scale), Image.Resampling.NEAREST)
        paper.paste(magnified, (GAP + column * (width * scale + GAP), GAP + row * (height * scale + GAP)))
    return paper


def shown(count: int, classes: np.ndarray | None) -> np.ndarray:
    """Return the numbers of the samples that a grid shows, row by row."""
    cells = cells_of(count, classes)
    numbers: np.ndarray = cells[cells != EMPTY]
    return numbers


def cells_of(count: int, classes: np.ndarray | None) -> np.ndarray:
    """Number the cells of a grid."""
    return square_cells(count) if classes is None else class_cells(classes)


def square_cells(count: int) -> np.ndarray:
    """Number the cells of a grid about as wide as high, row by row: at most PICTURED; the last may be EMPTY."""
    shown = min(count, PICTURED)
    columns = ceil(sqrt(shown))
    cells = np.full((ceil(shown / columns), columns), EMPTY)
    cells.flat[:shown] = np.arange(shown)
    return cells


def class_cells(classes: np.ndarray) -> np.ndarray:
    """Number the cells of a grid with a row for each class and equally many of each; row by row unless 2 to 16."""
    present, counts = np.unique(classes, return_counts=True)
    if not 2 <= len(present) <= MOST_CLASS_ROWS:
        return square_cells(len(classes))
    columns = min(counts.min(), PICTURED // len(present), MOST_OF_A_CLASS)
    return np.stack([np.flatnonzero(classes == label)[:columns] for label in present])


def draw_scatter(real: np.ndarray, samples: np.ndarray) -> Image.Image:
    """Draw samples (N, 2) over real points (M, 2); the real ones alone set the limits, equal on both axes."""
    middle = (real.max(axis=0) + real.min(axis=0)) / 2
    half = max(float((real.max(axis=0) - real.min(axis=0)).max()) / 2 * (1 + 2 * MARGIN), 1e-9)
    side = SCATTER_PIXELS * SUPERSAMPLE
    paper = Image.new("RGB", (side, side), "white")
    pen = ImageDraw.Draw(paper)
    for points, radius, colour in ((real, REAL_RADIUS, REAL_COLOUR), (samples, SAMPLE_RADIUS, SAMPLE_COLOUR)):
        places = ((points - middle) / half * (1, -1) + 1) / 2 * side
        for x, y in places[np.abs(places).max(axis=1) < 2 * side]:
            pen.circle((x, y), radius * SUPERSAMPLE, fill=colour)
    pen.rectangle((0, 0, side - 1, side - 1), outline=FRAME_COLOUR, width=SUPERSAMPLE)
    return paper.resize((SCATTER_PIXELS, SCATTER_PIXELS), Image.Resampling.BOX)
