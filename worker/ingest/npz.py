"""The formats of numpy: .npy with one array, .npz with an array of samples and perhaps one of labels."""

from pathlib import Path
from zipfile import ZipInfo

import numpy as np

from service.spec.facts import DatasetFacts
from worker.ingest.archive import Archive
from worker.ingest.arrays import prepare_array
from worker.ingest.bench import Bench
from worker.ingest.npy import map_array
from worker.ingest.upload import BadUpload, shown

LABEL_NAMES = ("labels", "label", "y", "y_train", "targets", "target")
DATA_NAMES = ("x", "x_train", "data", "images", "samples", "arr_0")


def prepare_npy(bench: Bench, path: Path) -> DatasetFacts:
    """Prepare one array."""
    return prepare_array(bench, map_array(path, "The array"), None)


def prepare_npz(bench: Bench, archive: Archive) -> DatasetFacts:
    """Prepare the array of samples of an archive with the labels, if there are any."""
    members = {entry.filename.removesuffix(".npy"): entry for entry in archive.entries}
    label = next((name for name in members if name.lower() in LABEL_NAMES), None)
    data = _choose_data(bench, [name for name in members if name != label])
    labels = None if label is None else _unpack(bench, archive, members[label], label)
    return prepare_array(bench, _unpack(bench, archive, members[data], data), labels)


def _choose_data(bench: Bench, names: list[str]) -> str:
    known = [name for name in names if name.lower() in DATA_NAMES]
    if len(names) == 1:
        return names[0]
    if len(known) != 1:
        found = ", ".join(shown(name) for name in names[:5]) or "none"
        raise BadUpload("which_array", f'Name the array of samples "x" and that of labels "y"; found {found}.')
    others = ", ".join(shown(name) for name in names if name != known[0])[:200]
    bench.remark("arrays_left_out", f"Only the array {shown(known[0])} is used, not {others}.")
    return known[0]


def _unpack(bench: Bench, archive: Archive, entry: ZipInfo, name: str) -> np.ndarray:
    path = bench.scratch()
    with path.open("xb") as file:
        for piece in archive.pieces(entry):
            file.write(piece)
    return map_array(path, f"The array {shown(name)}")
