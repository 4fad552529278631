"""Mixed tables: how their columns lie before the networks, there and back, and what is exported of them."""

import io
from dataclasses import astuple

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import ks_2samp, kstest
from small_training import small_spec, small_training

from service.spec.datasets import SURVEY
from service.spec.facts import DAY_FORMAT, DatasetFacts, TableColumn
from service.spec.job import DatasetRef
from service.spec.tables import Block, label_block, label_column_for, labels_of, layout_of, table_shape
from worker.gan.data.encoding import learn_encoding, restore_encoding
from worker.gan.data.quantiles import MOST_KNOTS, learn_quantiles
from worker.gan.data.registry import OPENERS, open_dataset
from worker.gan.files import generator_file
from worker.gan.generation import open_generator
from worker.gan.samples import exporter_for
from worker.gan.sampling import sample
from worker.gan.spreadsheets import cells_of, write_csv
from worker.gan.training import Training

COLUMNS = (
    TableColumn("id", "category", tuple(f"row {number}" for number in range(30))),
    TableColumn("job", "category", ("baker", "smith"), missing=True),
    TableColumn("age", "integer", decimals=0, minimum=0, maximum=99),
    TableColumn("paid", "boolean", ("no", "yes")),
    TableColumn("wage", "continuous", decimals=2, missing=True, minimum=0, maximum=1e6),
)


def test_numbers_lie_first_and_each_choice_and_each_gap_is_a_block() -> None:
    layout = layout_of(COLUMNS)

    assert layout.numbers == (2, 4)
    assert layout.blocks == (Block(0, 30), Block(1, 3), Block(3, 2), Block(4, 2))
    assert table_shape(COLUMNS) == (2 + 30 + 3 + 2 + 2,)


def test_the_last_column_of_few_values_is_the_one_to_ask_by() -> None:
    assert label_column_for(COLUMNS) == "paid"
    assert label_column_for(COLUMNS[:3]) == "job"
    assert label_column_for((COLUMNS[0], COLUMNS[2], COLUMNS[4])) == ""


def test_a_gap_is_a_label_too() -> None:
    assert labels_of(COLUMNS[1]) == ("baker", "smith", "")
    assert labels_of(COLUMNS[3]) == ("no", "yes")


def test_the_block_of_the_label_is_found_by_its_column() -> None:
    inside = DatasetFacts("t", "table", (39,), 50, "", ("no", "yes"), table=COLUMNS, label_column="paid")
    beside = DatasetFacts("t", "table", (39,), 50, "", ("no", "yes"), table=COLUMNS)

    assert label_block(inside) == 2
    assert label_block(beside) is None


def facts_of(column: TableColumn) -> DatasetFacts:
    return DatasetFacts("t", "table", table_shape((column,)), 200, "", table=(column,))


CELLS: dict[str, tuple[TableColumn, np.ndarray]] = {
    "spikes among fractions": (
        TableColumn("x", "continuous", decimals=3),
        np.where(np.arange(200) % 3, 0.0, np.arange(200) / 8),
    ),
    "fractions without end": (TableColumn("x", "continuous"), np.exp(np.linspace(-30, 30, 200))),
    "whole numbers": (TableColumn("x", "integer", decimals=0), np.arange(200) % 7 * 1e6),
    "one value": (TableColumn("x", "integer", decimals=0), np.full(200, 5.0)),
    "numbers with gaps": (
        TableColumn("x", "continuous", decimals=1, missing=True),
        np.where(np.arange(200) % 4, np.arange(200) / 10, np.nan),
    ),
    "nothing but gaps": (TableColumn("x", "integer", missing=True), np.full(200, np.nan)),
    "days": (TableColumn("x", "date", date_format=DAY_FORMAT), -3_000.0 + np.arange(200) ** 2),
    "moments": (TableColumn("x", "date", date_format="%Y-%m-%d %H:%M:%S"), 1.7e9 + 86_399.0 * np.arange(200)),
    "words": (TableColumn("x", "category", ("a", "b", "c")), np.arange(200) % 3.0),
    "words with gaps": (
        TableColumn("x", "category", ("a", "b"), missing=True),
        np.where(np.arange(200) % 3 == 2, np.nan, np.arange(200) % 2.0),
    ),
    "truths": (TableColumn("x", "boolean", ("no", "yes")), np.arange(200) % 2.0),
}


@pytest.mark.parametrize("kind", CELLS)
def test_every_cell_comes_back_exactly(kind: str) -> None:
    column, values = CELLS[kind]
    encoding = learn_encoding(facts_of(column), values[:, None])

    samples = encoding.forward(values[:, None])

    assert samples.shape == (200, *facts_of(column).shape)
    rtol = 1e-6 if column.kind == "continuous" and column.decimals is None else 0
    np.testing.assert_allclose(encoding.backward(samples)[:, 0], values, rtol=rtol)


@pytest.mark.parametrize("kind", CELLS)
def test_a_decoder_of_tensors_gives_the_same_cells(kind: str) -> None:
    column, values = CELLS[kind]
    encoding = learn_encoding(facts_of(column), values[:, None])
    others = 2 * torch.randn(500, *facts_of(column).shape, generator=torch.Generator().manual_seed(1))

    for samples in (encoding.forward(values[:, None]), others):
        decoded = encoding.decoder()(samples).numpy()

        np.testing.assert_allclose(decoded, encoding.backward(samples), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", CELLS)
def test_an_encoding_made_again_from_what_it_learnt_is_the_same(kind: str) -> None:
    column, values = CELLS[kind]
    facts = facts_of(column)
    encoding = learn_encoding(facts, values[:, None])
    again = restore_encoding(facts, encoding.learnt())
    samples = 2 * torch.randn(500, *facts.shape, generator=torch.Generator().manual_seed(1))

    np.testing.assert_array_equal(again.backward(samples), encoding.backward(samples))
    assert torch.equal(again.forward(values[:, None]), encoding.forward(values[:, None]))


@pytest.mark.parametrize(
    "values",
    [
        np.arange(20_000) % 5.0,
        np.where(np.arange(20_000) % 10 < 7, 0.0, np.arange(20_000)),
        np.exp(np.linspace(-9, 9, 20_000)),
        np.where(np.arange(20_000) % 2, np.nan, np.arange(20_000) % 40),
    ],
    ids=["five values", "a spike", "a long tail", "half missing"],
)
def test_a_column_of_any_shape_becomes_a_standard_bell(values: np.ndarray) -> None:
    scores = learn_quantiles(values, 0).scores_of(values, np.random.default_rng(1))

    assert kstest(scores, "norm").pvalue > 0.01


def test_few_knots_follow_many_values_and_every_frequent_one() -> None:
    values = np.concatenate([np.linspace(0, 1, 30_000) ** 3, np.full(5_000, 0.25)])

    learnt = learn_quantiles(values, None)

    assert len(learnt.values) <= 2 * MOST_KNOTS
    drawn = learnt.values_at(np.random.default_rng(1).standard_normal(200_000))
    assert (drawn == 0.25).mean() == pytest.approx(1 / 7, abs=0.005)
    assert ks_2samp(drawn, values).statistic < 0.005
    assert (drawn.min(), drawn.max()) == (0, 1)


def test_columns_of_numbers_are_whitened_together() -> None:
    data = open_dataset(DatasetRef(name="survey"))

    numbers = data.specimens(20_000)[:, :7].double()

    torch.testing.assert_close(torch.cov(numbers.T), torch.eye(7).double(), atol=1e-5, rtol=0)


def test_the_same_rows_give_the_same_samples_and_other_rows_other_noise() -> None:
    column, values = CELLS["whole numbers"]
    encoding = learn_encoding(facts_of(column), values[:, None])

    first = encoding.forward(values[:50, None])

    assert torch.equal(encoding.forward(values[:50, None]), first)
    assert not torch.equal(encoding.forward(values[6:56, None]), first)


def generated(count: int) -> tuple[Training, bytes]:
    spec = small_spec(
        dataset="survey", model={"architecture": "tabular", "conditional": True}, samples={"count": count}
    )
    training = small_training(spec)
    for _ in range(2):
        training.step()
    latents, labels = training.fixed_latents()
    return training, exporter_for(training.data).render(training.sample(latents, labels), labels)["csv"]


def test_a_generated_table_keeps_names_types_categories_and_ranges() -> None:
    training, file = generated(3_000)
    real = write_csv(training.data.facts, training.data.to_data_units(training.data.specimens(SURVEY.count)), None)

    table, original = (pd.read_csv(io.BytesIO(data), parse_dates=["joined"]) for data in (file, real))

    assert list(table) == [column.name for column in SURVEY.table]
    assert table.dtypes.to_dict() == original.dtypes.to_dict()
    for column in SURVEY.table:
        if column.categories:
            assert set(table[column.name].dropna()) == set(column.categories)
        elif column.kind != "date":
            assert original[column.name].min() <= table[column.name].min()
            assert table[column.name].max() <= original[column.name].max()
        assert table[column.name].isna().any() == column.missing


def test_a_table_is_shown_in_its_own_proportions_and_a_label_asked_for_is_the_column() -> None:
    training, file = generated(200)
    generator = open_generator(generator_file(training.state(), "generator"))

    rows, _ = generator.sample(50, seed=1, labels=[1] * 50)

    shown = pd.read_csv(io.BytesIO(file))["owns_home"]
    assert (shown == "yes").sum() == round(200 * SURVEY.label_counts[1] / SURVEY.count)
    assert (rows[:, -1] == 1).all()


def test_an_unconditional_generator_makes_every_column_too() -> None:
    spec = small_spec(dataset="survey", model={"architecture": "tabular", "conditional": False})
    training = small_training(spec)

    latents, labels = training.fixed_latents()
    rows = training.data.to_data_units(training.sample(latents, labels))

    assert labels is None
    assert rows.shape == (64, 11)
    assert set(rows[:, -1]) == {0, 1}


def test_the_generator_begins_with_the_moments_of_each_class() -> None:
    training = small_training(small_spec(dataset="survey", model={"architecture": "tabular", "latent_dim": 16}))
    data, generator = training.data, training.generator.network
    torch.nn.init.zeros_(generator.last.weight)
    assert data.labels is not None

    for label in (0, 1):
        latents = generator.draw_latents(20_000, torch.Generator().manual_seed(1))
        made = sample(generator, latents, torch.full((20_000,), label)).double()
        real = data.samples[data.labels == label].double()  # type: ignore[index]

        torch.testing.assert_close(made.mean(dim=0), real.mean(dim=0), atol=0.03, rtol=0)
        torch.testing.assert_close(torch.cov(made[:, :7].T), torch.cov(real[:, :7].T), atol=0.05, rtol=0)


def test_choices_are_made_in_training_too_and_a_gradient_leads_through_them() -> None:
    training = small_training(small_spec(dataset="survey", model={"architecture": "tabular"}))
    generator, (latents, labels) = training.generator.network, training.fixed_latents()

    regions = generator(latents, labels)[:, 7:15]
    (gradient,) = torch.autograd.grad(regions[:, 0].sum(), [generator.last.bias])

    assert regions.detach().round(decimals=5).unique().tolist() == [0, 1]
    assert (gradient[7:15] != 0).all()
    assert (gradient[15:] == 0).all()


@pytest.mark.parametrize(
    ("column", "number", "cell"),
    [
        (TableColumn("x", "continuous", decimals=2), 3.0, "3.00"),
        (TableColumn("x", "continuous", decimals=1), -0.0, "0.0"),
        (TableColumn("x", "continuous"), 0.1, "0.1"),
        (TableColumn("x", "integer"), -7.0, "-7"),
        (TableColumn("x", "integer", missing=True), np.nan, ""),
        (TableColumn("x", "category", ("=1+1", "b")), 0.0, "'=1+1"),
        (TableColumn("x", "boolean", ("False", "True")), 1.0, "True"),
        (TableColumn("x", "date", date_format=DAY_FORMAT), -1.0, "1969-12-31"),
        (TableColumn("x", "date", date_format="%Y-%m-%dT%H:%M:%S"), 86_400.0, "1970-01-02T00:00:00"),
        (TableColumn("x", "date", date_format=DAY_FORMAT), -700_000.0, "0053-06-19"),
    ],
)
def test_a_cell_is_written_as_the_data_writes_it(column: TableColumn, number: float, cell: str) -> None:
    assert cells_of(column, np.array([number])) == [cell]


def test_the_survey_is_what_its_facts_say() -> None:
    rows, labels = astuple(OPENERS["survey"](SURVEY, None))

    assert rows.shape == (SURVEY.count, len(SURVEY.table))
    assert np.bincount(labels).tolist() == list(SURVEY.label_counts)
    for column, values in zip(SURVEY.table, rows.T, strict=True):
        known = values[~np.isnan(values)]
        assert (known == known.round(column.decimals or 0)).all()
        assert column.minimum <= known.min() < known.max() <= column.maximum
        assert (len(known) < SURVEY.count) == column.missing
        if column.categories:
            assert np.unique(known).tolist() == list(range(len(column.categories)))
