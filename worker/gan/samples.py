"""Generated samples as files: every format of their modality, in the data's own units, equal samples as equal bytes."""

import io
import re
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from service.spec.drawing import Format, formats_of
from service.spec.facts import DatasetFacts, Modality
from worker.gan.data.encoding import Encoding
from worker.gan.data.loudness import parts_of
from worker.gan.data.training_data import Rows, TrainingData
from worker.gan.parquet import write_parquet
from worker.gan.pictures import PICTURED, draw_grid, draw_scatter, shown, to_gif, to_png
from worker.gan.sounds import draw_sounds, in_sequence, to_wav
from worker.gan.spreadsheets import write_csv

PARTIAL = {("image", "png"), ("audio", "png"), ("audio", "wav")}  # show PICTURED of many samples, by class
ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can say, so that equal content gives equal bytes


Writer = Callable[["Exporter", np.ndarray, np.ndarray | None], bytes]  # of values in data units and their labels


@dataclass(frozen=True)
class Exporter:
    """Writes samples of one kind of data. backdrop are real points in the plane, if the data lies there."""

    facts: DatasetFacts
    encoding: Encoding
    backdrop: np.ndarray | None

    def render(self, samples: Tensor, labels: Tensor | None) -> dict[str, bytes]:
        """Write samples (N, *shape) in network units in each format: the name of the format, then the file."""
        values = self.encoding.backward(samples)
        return self.write_all(Rows(values, None if labels is None else labels.cpu().numpy()))

    def write_all(self, rows: Rows) -> dict[str, bytes]:
        """Write samples in data units in each format of their modality."""
        return {name: self.write(name, rows) for name in formats_of(self.facts)}

    def write(self, name: Format, rows: Rows) -> bytes:
        """Write samples in data units in one format of their modality."""
        return WRITE[self.facts.modality, name](self, rows.values, rows.labels)


def exporter_for(data: TrainingData) -> Exporter:
    """Make the exporter of an opened data set."""
    return Exporter(data.facts, data.encoding, data.backdrop())


def write_pictures(exporter: Exporter, values: np.ndarray, classes: np.ndarray | None) -> bytes:
    """Write a grid of the first pictures."""
    return to_png(draw_grid(to_greys(exporter.facts, values), classes))


def write_sound_pictures(exporter: Exporter, values: np.ndarray, classes: np.ndarray | None) -> bytes:
    """Write a grid of pictures of the first sounds."""
    first = shown(len(values), classes)
    drawn = draw_sounds(values[first, 0], rate_of(exporter.facts))
    return to_png(draw_grid(drawn, None if classes is None else classes[first]))


def write_sounds(exporter: Exporter, values: np.ndarray, classes: np.ndarray | None) -> bytes:
    """Write the first sounds one after the other."""
    rate = rate_of(exporter.facts)
    return to_wav(in_sequence(values[shown(len(values), classes), 0], rate), rate)


def write_points(exporter: Exporter, values: np.ndarray, _: np.ndarray | None) -> bytes:
    """Write a picture of points in the plane, over real ones."""
    if exporter.backdrop is None:
        raise ValueError(f"{exporter.facts.name} has no points to draw over")
    return to_png(draw_scatter(exporter.backdrop, values))


def zip_pictures(exporter: Exporter, values: np.ndarray, classes: np.ndarray | None) -> bytes:
    """Write each picture as a file of its own."""
    return write_zip(exporter.facts, map(to_png, to_greys(exporter.facts, values)), "png", classes)


def zip_sounds(exporter: Exporter, values: np.ndarray, classes: np.ndarray | None) -> bytes:
    """Write each sound as a file of its own."""
    rate = rate_of(exporter.facts)
    return write_zip(exporter.facts, (to_wav(sound, rate) for sound in values[:, 0]), "wav", classes)


def _of_facts(write: Callable[[DatasetFacts, np.ndarray, np.ndarray | None], bytes]) -> Writer:
    return lambda exporter, values, classes: write(exporter.facts, values, classes)


def rate_of(facts: DatasetFacts) -> int:
    """Return the frames a second of sounds; raises ValueError when the facts do not say."""
    if facts.sample_rate is None:
        raise ValueError(f"the sounds of {facts.name} have no sample rate")
    return facts.sample_rate


def write_film(facts: DatasetFacts, values: np.ndarray, fps: float) -> bytes:
    """Write pictures one after the other, as an animation without end."""
    return to_gif(to_greys(facts, values), fps)


def spread_out(facts: DatasetFacts, name: Format, rows: Rows) -> Rows:
    """Return what a format shows of a path: where that is a part alone, frames from all of it, in its order."""
    if (facts.modality, name) not in PARTIAL:
        return rows
    numbers = np.linspace(0, len(rows.values) - 1, min(len(rows.values), PICTURED)).round().astype(int)
    return Rows(rows.values[numbers], None)


def to_greys(facts: DatasetFacts, values: np.ndarray) -> np.ndarray:
    """Spread pictures (N, C, H, W) from the data's black and white to 0..255."""
    greys = np.empty(values.shape, np.uint8)
    for into, part in zip(parts_of(greys), parts_of(values), strict=True):
        into[:] = (part.astype(float) / facts.white * 255).round()
    return greys


def write_npz(facts: DatasetFacts, values: np.ndarray, classes: np.ndarray | None) -> bytes:
    """Write `samples`, for labelled ones `labels` (indices) and `label_names`, for sounds `sample_rate`; no pickle."""
    arrays = {"samples": values}
    if facts.modality == "audio":
        arrays["sample_rate"] = np.array(rate_of(facts))
    if classes is not None:
        arrays |= {"labels": classes, "label_names": np.array(facts.labels)}
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()


def write_zip(facts: DatasetFacts, files: Iterable[bytes], extension: str, classes: np.ndarray | None) -> bytes:
    """Write the file of each sample, named by its number and class."""
    archived = io.BytesIO()
    with zipfile.ZipFile(archived, "w") as archive:
        for number, file in enumerate(files):
            suffix = "" if classes is None else "_" + re.sub(r"[^\w.-]", "_", facts.labels[classes[number]])
            archive.writestr(zipfile.ZipInfo(f"{number:05d}{suffix}.{extension}", ZIP_DATE), file)
    return archived.getvalue()


WRITE: dict[tuple[Modality, Format], Writer] = {
    ("image", "png"): write_pictures,
    ("image", "zip"): zip_pictures,
    ("audio", "png"): write_sound_pictures,
    ("audio", "wav"): write_sounds,
    ("audio", "zip"): zip_sounds,
    ("vector", "png"): write_points,
    **{(modality, "csv"): _of_facts(write_csv) for modality in ("vector", "table")},
    **{(modality, "parquet"): _of_facts(write_parquet) for modality in ("vector", "table")},
    **{(modality, "npz"): _of_facts(write_npz) for modality in ("image", "audio", "vector", "table")},
}
