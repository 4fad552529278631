"""Which rows are kept aside for measuring, and that nothing learns from them."""

import numpy as np
import pytest
import torch

from service.spec.facts import DatasetFacts
from service.spec.job import DatasetRef
from worker.gan.batches import RealBatches
from worker.gan.data.encoding import Standardised
from worker.gan.data.registry import open_dataset
from worker.gan.data.split import Split
from worker.gan.data.training_data import HELD_BYTES, EncodedRows, Rows, open_rows


def test_no_row_is_both_trained_on_and_kept_aside() -> None:
    training, held_out = Split(0.3, seed=5).of(1_000, None)

    assert sorted([*training, *held_out]) == list(range(1_000))
    assert len(held_out) == 300


def test_every_class_gives_its_share() -> None:
    labels = np.repeat([0, 1, 2], [100, 50, 10])

    _, held_out = Split(0.5, seed=5).of(160, labels)

    assert np.bincount(labels[held_out]).tolist() == [50, 25, 5]


@pytest.mark.parametrize(("classes", "size"), [(500, 2), (1_000, 1), (30, 2)])
def test_of_classes_too_small_for_a_share_rows_are_kept_aside_whatever_their_class(classes: int, size: int) -> None:
    labels = np.repeat(np.arange(classes), size)

    training, held_out = Split(0.2, seed=1).of(len(labels), labels)

    assert sorted([*training, *held_out]) == list(range(len(labels)))
    assert len(held_out) == round(0.2 * len(labels))


def test_another_seed_keeps_others_aside_and_the_same_seed_the_same() -> None:
    assert np.array_equal(Split(0.5, 1).of(100, None)[1], Split(0.5, 1).of(100, None)[1])
    assert not np.array_equal(Split(0.5, 1).of(100, None)[1], Split(0.5, 2).of(100, None)[1])


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "ring"])
def test_what_is_kept_aside_is_real_and_in_the_datas_own_units(name: str) -> None:
    whole = open_dataset(DatasetRef(name=name))
    data = open_dataset(DatasetRef(name=name), Split(0.5, seed=3))

    assert data.held_out is not None
    assert len(data.samples) + len(data.held_out.values) == whole.facts.count == data.facts.count
    real = {row.tobytes() for row in whole.to_data_units(whole.specimens(whole.facts.count))}
    kept = data.held_out.values.astype(whole.to_data_units(whole.specimens(1)).dtype)
    if name != "ring":  # whose float64 points come back rounded
        assert all(row.tobytes() in real for row in kept)


def test_the_encoding_learns_nothing_from_what_is_kept_aside() -> None:
    facts = DatasetFacts("far", "vector", (1,), 100, "")
    values = np.linspace(0.0, 1.0, 100)[:, None]
    training, held_out = Split(0.5, seed=0).of(100, None)
    values[held_out] = 1e6

    data = open_rows(facts, Rows(values, None), Split(0.5, seed=0))

    assert isinstance(data.encoding, Standardised)
    np.testing.assert_allclose(data.encoding.learnt()["mean"], values[training].mean(axis=0))


def test_data_that_is_too_large_to_be_held_gives_the_same_batches() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (50, 1, 8, 8), np.uint8)
    facts = DatasetFacts("pictures", "image", (1, 8, 8), 50, "")
    held = open_rows(facts, Rows(rows, None), Split(0.2, seed=1))
    training, _ = Split(0.2, seed=1).of(50, None)

    lazy = EncodedRows(rows, training, held.encoding)

    for number in range(20):
        one = RealBatches(held.samples, None, batch_size=8, seed=2).batch(number)
        other = RealBatches(lazy, None, batch_size=8, seed=2).batch(number)
        assert torch.equal(one.samples, other.samples)


def test_rows_beyond_the_bound_stay_where_they_are() -> None:
    side = 1024
    count = HELD_BYTES // (4 * side * side) + 1
    rows = np.zeros((count, 1, side, side), np.uint8)

    data = open_rows(DatasetFacts("large", "image", (1, side, side), count, ""), Rows(rows, None), Split())

    assert isinstance(data.samples, EncodedRows)
    assert data.specimens(2).shape == (2, 1, side, side)
