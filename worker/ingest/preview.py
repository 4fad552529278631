"""What a person is shown of a prepared data set: a grid of pictures, the first rows, or the shapes of sounds."""

from pathlib import Path

import numpy as np

from service.spec.facts import DatasetFacts
from service.spec.tables import exported_columns
from worker.gan.pictures import draw_grid, to_png
from worker.gan.spreadsheets import write_csv, write_rows
from worker.ingest.upload import PREVIEW_CSV, PREVIEW_PNG, ROWS, Preview

SHOWN_PICTURES = 64
SHOWN_ROWS = 20
SHOWN_SOUNDS = 16
SHOWN_NUMBERS = 64  # of a vector
LARGEST_SIDE = 256
WAVE_HEIGHT, WAVE_WIDTH = 64, 128


def write_preview(facts: DatasetFacts, target: Path) -> Preview:
    """Write the preview beside the rows and return its name."""
    rows = np.load(target / ROWS, mmap_mode="r", allow_pickle=False)
    if facts.modality == "image":
        (target / PREVIEW_PNG).write_bytes(to_png(draw_grid(_small(facts, _evenly(rows, SHOWN_PICTURES)), None)))
        return PREVIEW_PNG
    if facts.modality == "audio":
        (target / PREVIEW_PNG).write_bytes(to_png(draw_grid(_waves(_evenly(rows, SHOWN_SOUNDS)), None)))
        return PREVIEW_PNG
    _write_head(facts, rows[:SHOWN_ROWS], target / PREVIEW_CSV)
    return PREVIEW_CSV


def _evenly(rows: np.ndarray, count: int) -> np.ndarray:
    return np.asarray(rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)])


def _small(facts: DatasetFacts, pictures: np.ndarray) -> np.ndarray:
    """Return pictures with 255 for white, large ones thinned out."""
    step = -(-max(pictures.shape[2:]) // LARGEST_SIDE)
    thinned = pictures[:, :, ::step, ::step].astype(np.uint16)
    return (thinned * 255 // facts.white).astype(np.uint8)


def _waves(sounds: np.ndarray) -> np.ndarray:
    """Draw the envelope of each sound (n, 1, frames) as a picture (n, 1, H, W)."""
    pieces = np.array_split(np.abs(sounds[:, 0]), min(WAVE_WIDTH, sounds.shape[-1]), axis=1)
    envelope = np.stack([piece.max(axis=1) for piece in pieces], axis=1)
    distance = np.abs(np.linspace(-1, 1, WAVE_HEIGHT))[None, :, None]
    return np.where(distance <= envelope[:, None, :], 40, 250).astype(np.uint8)[:, None]


def _write_head(facts: DatasetFacts, rows: np.ndarray, path: Path) -> None:
    if facts.table:
        path.write_bytes(write_csv(facts, rows, None))
        return
    names = [column.name for column in exported_columns(facts)]
    columns = [[f"{value:.6g}" for value in column] for column in rows.T[:SHOWN_NUMBERS]]
    path.write_bytes(write_rows(names[:SHOWN_NUMBERS], columns))
