"""Rows under conditions: all meet them, they follow the generator's own law, and what next to never happens is told."""

import csv
import io
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp
from small_training import small_spec, small_training

from service.errors import InvalidInput
from service.spec.conditions import Condition
from service.spec.datasets import SURVEY
from worker.gan.files import generator_file
from worker.gan.generation import OpenedGenerator, open_generator
from worker.gan.randomness import Stream, random_for
from worker.gan.rejection import TooRare, batch_sizes, meeting

PLACES = {column.name: place for place, column in enumerate(SURVEY.table)}
NOBODY = {"age": 18, "joined": {"maximum": "1960-01-10"}, "savings": {"minimum": 1_900_000}}
YES = SURVEY.labels.index("yes")


@cache
def opened(dataset: str = "survey", *, conditional: bool = True) -> OpenedGenerator:
    architecture = "tabular" if dataset == "survey" else "auto"
    spec = small_spec(dataset=dataset, model={"architecture": architecture, "conditional": conditional})
    training = small_training(spec)
    training.step()
    return open_generator(generator_file(training.state(), "generator"))


def rows_of(file: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(file.decode())))


def test_every_row_meets_every_condition_as_it_is_written() -> None:
    where: dict[str, Any] = {
        "age": {"minimum": 30, "maximum": 50},
        "contract": ["permanent", None],
        "joined": {"minimum": "2000-01-01"},
    }

    rows = rows_of(opened().render(200, seed=1, where=where)["csv"])

    assert len(rows) == 200
    assert all(30 <= int(row["age"]) <= 50 for row in rows)
    assert {row["contract"] for row in rows} == {"permanent", ""}
    assert all(row["joined"] >= "2000-01-01" for row in rows)


@pytest.mark.parametrize("conditional", [True, False])
def test_rows_under_a_condition_are_distributed_as_those_that_happen_to_meet_it(conditional: bool) -> None:
    generator = opened(conditional=conditional)
    everybody, _ = generator.sample(40_000, seed=1)
    happen = everybody[(everybody[:, PLACES["age"]] >= 60) & (everybody[:, PLACES["contract"]] == 1)]

    chosen, _ = generator.sample(2_000, seed=2, where={"age": {"minimum": 60}, "contract": "fixed term"})

    for name in ("age", "hours", "income", "mood"):
        assert ks_2samp(chosen[:, PLACES[name]], happen[:, PLACES[name]]).pvalue > 1e-3, name
    shares = [np.mean(rows[:, PLACES["owns_home"]]) for rows in (chosen, happen)]
    assert abs(shares[0] - shares[1]) < 0.06


def test_the_same_wish_gives_the_same_rows_and_another_seed_others() -> None:
    where = {"age": {"maximum": 25}}

    first, _ = opened().sample(300, seed=1, where=where)

    assert np.array_equal(opened().sample(300, seed=1, where=where)[0], first, equal_nan=True)
    assert not np.array_equal(opened().sample(300, seed=2, where=where)[0], first, equal_nan=True)


def test_classes_and_conditions_together_keep_the_order_of_the_classes() -> None:
    labels = [YES, 1 - YES] * 20

    rows, told = opened().sample(40, seed=1, labels=labels, where={"age": {"minimum": 40}})

    assert told is not None
    assert told.tolist() == labels
    assert rows[:, PLACES["owns_home"]].tolist() == labels
    assert rows[:, PLACES["age"]].min() >= 40


def test_a_condition_on_the_class_draws_those_classes_and_rejects_nothing() -> None:
    rows, labels = opened("iris").sample(6, seed=1, where={"class": ["setosa", "virginica"]})
    same, _ = opened("iris").sample(6, seed=1, labels=[0, 0, 0, 2, 2, 2])

    assert labels is not None
    assert labels.tolist() == [0, 0, 0, 2, 2, 2]
    assert np.array_equal(rows, same)


def test_what_next_to_never_happens_is_given_up_with_how_rare_it_is() -> None:
    with pytest.raises(TooRare, match=r"None of 101,000 rows that were drawn met the conditions, and 1 were asked"):
        opened().sample(1, seed=1, where=NOBODY)


def test_a_search_for_many_rows_that_will_not_end_is_given_up_early() -> None:
    with pytest.raises(TooRare, match=r"None of 106,240 rows that were drawn met the conditions, and 9,000 were asked"):
        opened().sample(9_000, seed=1, where=NOBODY)


def test_a_column_that_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidInput, match="did you mean age"):
        opened().sample(1, seed=1, where={"agee": 3})


def test_bounds_are_met_in_the_precision_of_the_rows() -> None:
    rows = np.array([[13.2], [13.3], [np.nan]], np.float32)

    assert meeting([Condition(0, minimum=13.2)], rows).tolist() == [True, True, False]
    assert meeting([Condition(0, values=(13.2,), missing=True)], rows).tolist() == [True, False, True]


def test_batches_grow_and_sum_to_the_allowance() -> None:
    sizes = list(batch_sizes(101_000))

    assert sizes[:7] == [256, 512, 1024, 2048, 4096, 8192, 8192]
    assert sum(sizes) == 101_000


def test_truncation_shrinks_the_normal_latents_alone_and_1_changes_nothing() -> None:
    network = opened().network
    latents = network.draw_latents(5, random_for(1, Stream.SAMPLES, 0))

    shrunk = network.truncate(latents, 0.5)

    assert torch.equal(shrunk[:, : network.latent_dim], latents[:, : network.latent_dim] / 2)
    assert torch.equal(shrunk[:, network.latent_dim :], latents[:, network.latent_dim :])
    plain, near = (opened("ring", conditional=False).sample(500, seed=1, truncation=t)[0] for t in (1.0, 0.1))
    assert np.array_equal(opened("ring", conditional=False).sample(500, seed=1)[0], plain)
    assert near.std() < plain.std()
