"""The data of an attempt, opened: built-in by name, uploaded from its prepared files, which lie on this machine."""

from service.errors import BlobDamaged
from service.spec.job import DatasetRef
from worker.attempt import Prepared
from worker.copies import Copies
from worker.gan.data.prepared import open_prepared
from worker.gan.data.registry import open_dataset
from worker.gan.data.split import Split
from worker.gan.data.training_data import DatasetChanged, TrainingData


def open_data(ref: DatasetRef, prepared: Prepared | None, split: Split, copies: Copies) -> TrainingData:
    """Open a data set; raises DatasetChanged when it is not the content that the spec was made for."""
    if prepared is None:
        return open_dataset(ref, split)
    if ref.sha256 not in (None, prepared.facts.sha256):
        raise DatasetChanged(ref.name, str(ref.sha256), prepared.facts.sha256)
    if "rows" not in prepared.files:
        raise BlobDamaged(f"{ref.name} has no rows")
    rows = copies.path_of(prepared.files["rows"])
    labels = copies.path_of(prepared.files["labels"]) if "labels" in prepared.files else None
    return open_prepared(prepared.facts, rows, labels, split)
