"""Generated samples as files: every format of their modality, in the data's own units, equal samples as equal bytes."""

import io
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from service.spec.facts import DatasetFacts, Modality
from worker.gan.data.encoding import Encoding
from worker.gan.data.training_data import TrainingData
from worker.gan.pictures import draw_grid, draw_scatter, shown, to_png
from worker.gan.sounds import draw_sounds, in_sequence, to_wav
from worker.gan.spreadsheets import write_csv

ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can say, so that equal content gives equal bytes


@dataclass(frozen=True)
class Exporter:
    """Writes samples of one kind of data. backdrop are real points in the plane, if the data lies there."""

    facts: DatasetFacts
    encoding: Encoding
    backdrop: np.ndarray | None

    def render(self, samples: Tensor, labels: Tensor | None) -> dict[str, bytes]:
        """Write samples (N, *shape) in network units in each format: the name of the format, then the file."""
        values = self.encoding.backward(samples)
        classes = None if labels is None else labels.cpu().numpy()
        return {"npz": write_npz(self.facts, values, classes), **WRITE[self.facts.modality](self, values, classes)}


def exporter_for(data: TrainingData) -> Exporter:
    """Make the exporter of an opened data set."""
    return Exporter(data.facts, data.encoding, data.backdrop())


def write_images(exporter: Exporter, values: np.ndarray, classes: np.ndarray | None) -> dict[str, bytes]:
    """Write a grid of the first pictures and each as a file of its own."""
    greys = to_greys(exporter.facts, values)
    files = [to_png(grey) for grey in greys]
    return {"png": to_png(draw_grid(greys, classes)), "zip": write_zip(exporter.facts, files, "png", classes)}


def write_sounds(exporter: Exporter, values: np.ndarray, classes: np.ndarray | None) -> dict[str, bytes]:
    """Write the first sounds one after the other, a picture of them, and each as a file of its own."""
    rate, sounds = rate_of(exporter.facts), values[:, 0]
    first = shown(len(sounds), classes)
    grid = draw_grid(draw_sounds(sounds[first], rate), None if classes is None else classes[first])
    files = [to_wav(sound, rate) for sound in sounds]
    return {
        "png": to_png(grid),
        "wav": to_wav(in_sequence(sounds[first], rate), rate),
        "zip": write_zip(exporter.facts, files, "wav", classes),
    }


def write_rows(exporter: Exporter, values: np.ndarray, classes: np.ndarray | None) -> dict[str, bytes]:
    """Write rows, and a picture of those that lie in the plane."""
    files = {"csv": write_csv(exporter.facts, values, classes)}
    if exporter.backdrop is not None:
        files["png"] = to_png(draw_scatter(exporter.backdrop, values))
    return files


WRITE: dict[Modality, Callable[[Exporter, np.ndarray, np.ndarray | None], dict[str, bytes]]] = {
    "image": write_images,
    "vector": write_rows,
    "table": write_rows,
    "audio": write_sounds,
}


def rate_of(facts: DatasetFacts) -> int:
    """Return the frames a second of sounds; raises ValueError when the facts do not say."""
    if facts.sample_rate is None:
        raise ValueError(f"the sounds of {facts.name} have no sample rate")
    return facts.sample_rate


def to_greys(facts: DatasetFacts, values: np.ndarray) -> np.ndarray:
    """Spread pictures (N, C, H, W) from the data's black and white to 0..255."""
    greys: np.ndarray = (values.astype(float) / facts.white * 255).round()
    return greys.astype(np.uint8)


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


def write_zip(facts: DatasetFacts, files: Sequence[bytes], extension: str, classes: np.ndarray | None) -> bytes:
    """Write the file of each sample, named by its number and class."""
    archived = io.BytesIO()
    with zipfile.ZipFile(archived, "w") as archive:
        for number, file in enumerate(files):
            suffix = "" if classes is None else "_" + re.sub(r"[^\w.-]", "_", facts.labels[classes[number]])
            archive.writestr(zipfile.ZipInfo(f"{number:05d}{suffix}.{extension}", ZIP_DATE), file)
    return archived.getvalue()
