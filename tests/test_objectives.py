"""Objectives: the torch half and the described half agree, and the equilibria are equilibria."""

from math import log

import pytest
import torch
from small_training import small_spec

from chaos.oracle import is_clock
from service.spec import objectives as described
from service.spec.columns import COLUMNS, eval_point, recorded_columns
from service.spec.objectives import loss_columns, reduction_factor, references
from worker.gan.objectives.objective import Terms
from worker.gan.objectives.registry import OBJECTIVES

every_objective = pytest.mark.parametrize("name", OBJECTIVES)


def terms_at(name: str, real_logits: torch.Tensor, fake_logits: torch.Tensor, real_label: float) -> Terms:
    objective = OBJECTIVES[name]
    d_terms = objective.discriminator(real_logits, fake_logits, real_label)
    g_terms = objective.generator(fake_logits, real_logits)
    return {**d_terms, **g_terms, **objective.joint(d_terms, g_terms)}


def test_every_objective_is_described_and_every_described_one_exists() -> None:
    assert set(OBJECTIVES) == set(described.OBJECTIVES)


@every_objective
def test_an_objective_measures_the_columns_that_it_describes(name: str) -> None:
    logits = torch.zeros(4)

    assert set(terms_at(name, logits, logits, 1.0)) == loss_columns(name)


@every_objective
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3])
def test_at_equilibrium_no_discriminator_does_better(name: str, smoothing: float) -> None:
    real_label = 1 - smoothing
    d = torch.tensor(real_label / 2, dtype=torch.float64)
    equilibrium = d.logit().repeat(4).requires_grad_()

    terms = terms_at(name, equilibrium, equilibrium, real_label)

    (slope,) = torch.autograd.grad(terms["d_loss"], equilibrium)
    expected = described.OBJECTIVES[name].equilibrium(real_label)
    assert slope.abs().max() < 1e-15
    assert {column: term.item() for column, term in terms.items()} == pytest.approx(expected, rel=1e-12)


@every_objective
def test_a_zero_sum_objective_turns_the_fakes_gradient_around(name: str) -> None:
    fakes = torch.linspace(-9, 9, 7, dtype=torch.float64, requires_grad=True)
    terms = terms_at(name, torch.zeros(7, dtype=torch.float64), fakes, 1.0)

    (of_d,) = torch.autograd.grad(terms["d_loss"], fakes, retain_graph=True)
    (of_g,) = torch.autograd.grad(terms["g_loss"], fakes)

    assert torch.equal(of_g, -of_d) == OBJECTIVES[name].zero_sum


def test_the_reference_lines_are_those_of_the_theory() -> None:
    lines = references(small_spec())

    assert lines["value"] == pytest.approx(-1.386294, abs=1e-6)
    assert lines["d_loss"] == pytest.approx(2 * log(2))
    assert lines["g_loss_saturating"] == pytest.approx(-log(2))
    assert lines["g_loss"] == lines["g_loss_non_saturating"] == pytest.approx(log(2))
    assert lines["total_loss"] == pytest.approx(2.079442, abs=1e-6)
    assert (lines["d_real"], lines["d_fake"]) == (0.5, 0.5)


def test_label_smoothing_moves_the_reference_lines() -> None:
    lines = references(small_spec(objective={"label_smoothing": 0.1}))

    assert lines["d_real"] == pytest.approx(0.45)
    assert lines["d_loss"] == pytest.approx(1.376278, abs=1e-6)


@pytest.mark.parametrize(("reduction", "d", "g"), [("sum_of_means", 1, 1), ("mean", 0.5, 1), ("sum", 8, 8)])
def test_the_reduction_scales_what_is_minimised_and_nothing_else(reduction: str, d: float, g: float) -> None:
    plain, reduced = references(small_spec()), references(small_spec(objective={"reduction": reduction}))

    for column in ("d_loss", "d_loss_real", "d_loss_fake"):
        assert reduced[column] == pytest.approx(d * plain[column])
    for column in ("g_loss", "g_loss_saturating", "g_loss_non_saturating"):
        assert reduced[column] == pytest.approx(g * plain[column])
    for column in ("value", "total_loss", "d_real", "d_fake"):
        assert reduced[column] == plain[column]


def test_penalties_keep_their_own_weight_under_every_reduction() -> None:
    assert reduction_factor("d_penalty", "sum", 64) == 1


def test_the_saturating_job_draws_its_own_line_for_g_loss() -> None:
    lines = references(small_spec(objective={"loss": "saturating"}))

    assert lines["g_loss"] == pytest.approx(-log(2))


def test_every_recorded_column_is_described_and_every_reference_recorded() -> None:
    recorded = recorded_columns(small_spec())

    assert set(recorded) <= set(COLUMNS)
    assert set(references(small_spec())) <= set(recorded)


@pytest.mark.parametrize(("variant", "point"), [("original", "post_d"), ("reuse", "post_d"), ("fused", "pre_d")])
def test_generator_losses_are_read_where_the_loop_scores_them(variant: str, point: str) -> None:
    points = eval_point(variant)  # type: ignore[arg-type]

    assert {points[column] for column in ("g_loss", "g_loss_saturating", "g_loss_non_saturating")} == {point}
    assert {points[column] for column in ("value", "d_loss", "d_loss_real", "d_real", "d_fake")} == {"pre_d"}
    assert "g_lr" not in points


def test_only_clocks_are_clocks() -> None:
    assert [column for column in COLUMNS if is_clock(column)] == ["step_ms"]
