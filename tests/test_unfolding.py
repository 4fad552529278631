"""The start of tables: normals take the shape of rows that no normal law has, and few rows count for little."""

import numpy as np
import torch
from scipy.stats import ks_2samp, kstest

from service.spec.job import DatasetRef
from service.spec.parts.model import ModelSpec
from worker.gan.data.registry import open_dataset
from worker.gan.networks.tabular import TabularGenerator
from worker.gan.networks.unfolding import KNOTS, REACH, Turn, Unfolding, bend, curve_of

EYE: Turn = (np.eye(2), np.eye(2))


def bent_rows(count: int) -> np.ndarray:
    """Draw two columns with long tails that hang together."""
    random = np.random.default_rng(1)
    first = random.exponential(size=count)
    rows = np.stack([first, 0.5 * first + random.standard_t(3, count)], axis=1)
    centred: np.ndarray = rows - rows.mean(axis=0)
    return centred


def unfolded(unfolding: Unfolding, count: int, which: int = 0) -> np.ndarray:
    normals = torch.randn(count, 2, generator=torch.Generator().manual_seed(1))
    made: np.ndarray = unfolding(normals, torch.full((count,), which)).double().numpy()
    return made


def test_normals_take_the_shape_of_the_columns_and_hang_together_alike() -> None:
    rows = bent_rows(4_000)
    unfolding = Unfolding(levels=3, maps=1, columns=2)

    unfolding.learn([rows], EYE)

    made = unfolded(unfolding, 4_000)
    for column in range(2):
        assert ks_2samp(made[:, column], rows[:, column]).statistic < 0.04
    assert abs(np.corrcoef(made.T)[0, 1] - np.corrcoef(rows.T)[0, 1]) < 0.06


def test_each_map_unfolds_to_the_rows_it_has_learnt_from() -> None:
    rows = bent_rows(500)
    unfolding = Unfolding(levels=2, maps=2, columns=2)

    unfolding.learn([rows, 3 * rows[:, ::-1]], EYE)

    narrow, wide = unfolded(unfolding, 2_000, 0).std(axis=0), unfolded(unfolding, 2_000, 1).std(axis=0)
    np.testing.assert_allclose(wide[::-1] / narrow, 3, rtol=0.2)


def test_a_class_without_rows_begins_as_the_average_bell() -> None:
    rows = np.random.default_rng(1).normal(size=(400, 2)) * (1, 5)
    unfolding = Unfolding(levels=3, maps=2, columns=2)

    unfolding.learn([rows, np.zeros((0, 2))], EYE)

    made = unfolded(unfolding, 2_000, 1)
    assert kstest(made[:, 1] / 5, "norm").pvalue > 0.001
    np.testing.assert_allclose(made.std(axis=0), (1, 5), rtol=0.1)


def test_columns_that_never_change_do_not_begin_to() -> None:
    unfolding = Unfolding(levels=3, maps=1, columns=2)

    unfolding.learn([np.stack([np.linspace(-1, 1, 50), np.zeros(50)], axis=1)], EYE)

    made = unfolded(unfolding, 100)
    assert np.isfinite(made).all()
    assert np.abs(made[:, 1]).max() < 0.01


def test_a_curve_of_few_values_is_mostly_a_bell_and_one_of_many_goes_through_them() -> None:
    bell = np.linspace(-REACH, REACH, KNOTS)
    values = np.random.default_rng(1).exponential(size=5_000)

    assert np.abs(curve_of(np.zeros(1)) - bell * 10 / 11).max() < 1e-12
    assert abs(curve_of(values)[KNOTS // 2] - np.median(values)) < 0.01


def test_bending_interpolates_between_knots_and_stays_at_the_ends() -> None:
    curves = torch.linspace(-REACH, REACH, KNOTS).square().repeat(1, 1, 1)

    bent = bend(torch.tensor([[0.0], [1.0], [9.0]]), curves, torch.zeros(3, dtype=torch.long))

    assert bent.flatten().tolist() == [0.0, 1.0, 16.0]


def test_before_training_each_class_of_a_table_has_its_own_columns() -> None:
    data = open_dataset(DatasetRef(name="iris"))
    generator = TabularGenerator(
        ModelSpec(conditional=True, latent_dim=4), data.facts, torch.Generator().manual_seed(1)
    )
    generator.start_from(data)
    assert data.labels is not None

    with torch.no_grad():
        made = data.to_data_units(generator(generator.draw_latents(150, torch.Generator().manual_seed(2)), data.labels))

    real, labels = data.to_data_units(data.samples[:]), data.labels.numpy()
    distances = [
        ks_2samp(made[labels == label, column], real[labels == label, column]).statistic
        for label in range(3)
        for column in range(4)
    ]
    assert np.mean(distances) < 0.2  # two samples of fifty of one law have 0.15
