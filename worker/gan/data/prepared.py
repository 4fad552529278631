"""Uploaded data opened for training: the rows of a prepared data set, memory-mapped."""

from pathlib import Path

import numpy as np

from service.spec.facts import DatasetFacts
from worker.gan.data.split import EVERYTHING, Split
from worker.gan.data.training_data import Rows, TrainingData, open_rows


def open_prepared(facts: DatasetFacts, rows: Path, labels: Path | None, split: Split = EVERYTHING) -> TrainingData:
    """Open rows.npy and labels.npy, part of the rows kept aside. Data larger than memory is read batch by batch."""
    values = np.load(rows, mmap_mode="r", allow_pickle=False)
    classes = None if labels is None else np.load(labels, allow_pickle=False)
    return open_rows(facts, Rows(values, classes), split)
