"""Objectives: the torch half and the described half agree, and the equilibria are equilibria."""

from collections.abc import Callable
from math import exp, log
from statistics import fmean

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


def some_logits() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(3)
    real, fake = 3 * torch.randn(2, 9, generator=random, dtype=torch.float64)
    return real, fake


def cross_entropy(logit: float, label: int) -> float:
    probability = 1 / (1 + exp(-logit))
    return -log(probability if label else 1 - probability)


def average_losses(real: list[float], fake: list[float]) -> tuple[float, float]:
    above = [score - fmean(fake) for score in real]
    below = [score - fmean(real) for score in fake]
    return (
        fmean(cross_entropy(s, 1) for s in above) + fmean(cross_entropy(s, 0) for s in below),
        fmean(cross_entropy(s, 0) for s in above) + fmean(cross_entropy(s, 1) for s in below),
    )


REFERENCE_LOSSES: dict[str, Callable[[list[float], list[float]], tuple[float, float]]] = {
    "rpgan": lambda real, fake: (
        fmean(cross_entropy(r - f, 1) for r, f in zip(real, fake, strict=True)),
        fmean(cross_entropy(f - r, 1) for r, f in zip(real, fake, strict=True)),
    ),
    "relativistic_average": average_losses,
    "hinge": lambda real, fake: (fmean(max(0, 1 - r) for r in real) + fmean(max(0, 1 + f) for f in fake), -fmean(fake)),
    "least_squares": lambda real, fake: (
        fmean((r - 1) ** 2 for r in real) / 2 + fmean(f**2 for f in fake) / 2,
        fmean((f - 1) ** 2 for f in fake) / 2,
    ),
    "wasserstein": lambda real, fake: (fmean(fake) - fmean(real), -fmean(fake)),
}


def test_every_objective_is_described_and_every_described_one_exists() -> None:
    assert set(OBJECTIVES) == set(described.OBJECTIVES)


@every_objective
def test_an_objective_measures_the_columns_that_it_describes(name: str) -> None:
    logits = torch.zeros(4)

    assert set(terms_at(name, logits, logits, 1.0)) == loss_columns(name)


@every_objective
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3])
def test_at_equilibrium_no_discriminator_does_better(name: str, smoothing: float) -> None:
    real_label = 1 - smoothing * described.OBJECTIVES[name].smoothed
    d = torch.tensor(real_label / 2, dtype=torch.float64)
    # A score of least squares is compared with the label itself, all others through a sigmoid or not at all.
    equilibrium = (d if name == "least_squares" else d.logit()).repeat(4).requires_grad_()

    terms = terms_at(name, equilibrium, equilibrium, real_label)

    (slope,) = torch.autograd.grad(terms["d_loss"], equilibrium)
    expected = described.OBJECTIVES[name].equilibrium(real_label)
    assert slope.abs().max() < 1e-15
    assert {column: term.item() for column, term in terms.items()} == pytest.approx(expected, rel=1e-12)


@every_objective
def test_what_is_described_of_an_objective_is_what_the_loops_assume(name: str) -> None:
    assert described.OBJECTIVES[name].needs_reals == OBJECTIVES[name].generator_needs_reals


@every_objective
def test_a_label_is_smoothed_exactly_where_that_is_said(name: str) -> None:
    real, fake = some_logits()

    plain, smooth = (terms_at(name, real, fake, label) for label in (1.0, 0.9))

    assert (plain["d_loss"] != smooth["d_loss"]) == described.OBJECTIVES[name].smoothed


@pytest.mark.parametrize(
    ("name", "d_loss", "g_loss"),
    [
        ("rpgan", log(2), log(2)),
        ("relativistic_average", 2 * log(2), 2 * log(2)),
        ("hinge", 2, 0),
        ("least_squares", 0.25, 0.125),
        ("wasserstein", 0, 0),
    ],
)
def test_each_objective_outside_the_log_loss_has_the_published_equilibrium(
    name: str, d_loss: float, g_loss: float
) -> None:
    assert references(small_spec(objective={"loss": name})) == pytest.approx({"d_loss": d_loss, "g_loss": g_loss})


@pytest.mark.parametrize("name", REFERENCE_LOSSES)
def test_each_objective_agrees_with_a_loop_over_its_formula(name: str) -> None:
    real, fake = some_logits()

    terms = terms_at(name, real, fake, 1.0)

    d_loss, g_loss = REFERENCE_LOSSES[name](real.tolist(), fake.tolist())
    assert terms["d_loss"].item() == pytest.approx(d_loss, rel=1e-12)
    assert terms["g_loss"].item() == pytest.approx(g_loss, rel=1e-12)


@every_objective
def test_the_losses_have_the_gradients_of_finite_differences(name: str) -> None:
    real, fake = (logits.requires_grad_() for logits in some_logits())
    objective = OBJECTIVES[name]

    def both_losses(real: torch.Tensor, fake: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return objective.discriminator(real, fake, 1.0)["d_loss"], objective.generator(fake, real)["g_loss"]

    assert torch.autograd.gradcheck(both_losses, (real, fake))


@pytest.mark.parametrize("name", ["rpgan", "relativistic_average", "wasserstein"])
def test_comparing_objectives_do_not_see_a_constant_added_to_all_scores(name: str) -> None:
    real, fake = some_logits()

    assert terms_at(name, real + 3, fake + 3, 1.0)["d_loss"].item() == pytest.approx(
        terms_at(name, real, fake, 1.0)["d_loss"].item(), rel=1e-12
    )


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
