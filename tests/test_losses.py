"""The numbers of the log-loss family, against worked values, closed forms and each other."""

from math import exp, log, pi, sqrt

import pytest
import torch
from torch import Tensor

from worker.gan.losses import at_least_float32, mean_probability, minus_log, minus_log_complement, softplus
from worker.gan.objectives.log_loss import (
    discriminator_terms,
    non_saturating_terms,
    saturating_terms,
    total_loss,
)
from worker.gan.objectives.objective import Terms

EXACT = 1e-14


def logits_of(*probabilities: float) -> Tensor:
    return torch.tensor(probabilities, dtype=torch.float64).logit()


def all_terms(real_logits: Tensor, fake_logits: Tensor, *, real_label: float = 1.0) -> Terms:
    d_terms = discriminator_terms(real_logits, fake_logits, real_label)
    g_terms = non_saturating_terms(fake_logits, None)
    return {**d_terms, **g_terms, **total_loss(d_terms, g_terms)}


def some_logits() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(3)
    real, fake = 8 * torch.randn(2, 257, generator=random, dtype=torch.float64)
    return real, fake


@pytest.mark.parametrize(
    ("d_real", "d_fake", "value", "d_loss", "saturating", "non_saturating", "total"),
    [
        (0.5, 0.5, -1.386294, 1.386294, -0.693147, 0.693147, 2.079442),
        (0.9, 0.1, -0.210721, 0.210721, -0.105361, 2.302585, 2.513306),
        (0.8, 0.3, -0.579818, 0.579818, -0.356675, 1.203973, 1.783791),
        (0.99, 0.01, -0.020101, 0.020101, -0.010050, 4.605170, 4.625271),
        (0.1, 0.9, -4.605170, 4.605170, -2.302585, 0.105361, 4.710531),
    ],
)
def test_the_worked_numbers_come_out(
    d_real: float,
    d_fake: float,
    value: float,
    d_loss: float,
    saturating: float,
    non_saturating: float,
    total: float,
) -> None:
    terms = all_terms(logits_of(d_real), logits_of(d_fake))

    assert terms["value"].item() == pytest.approx(value, abs=1e-6)
    assert terms["d_loss"].item() == pytest.approx(d_loss, abs=1e-6)
    assert terms["g_loss_saturating"].item() == pytest.approx(saturating, abs=1e-6)
    assert terms["g_loss_non_saturating"].item() == pytest.approx(non_saturating, abs=1e-6)
    assert terms["total_loss"].item() == pytest.approx(total, abs=1e-6)
    assert terms["d_real"].item() == pytest.approx(d_real)
    assert terms["d_fake"].item() == pytest.approx(d_fake)


def test_the_identities_hold_on_one_batch_to_rounding() -> None:
    real, fake = some_logits()

    terms = {name: term.item() for name, term in all_terms(real, fake).items()}

    assert terms["d_loss"] == pytest.approx(-terms["value"], rel=EXACT)
    assert terms["d_loss"] + terms["g_loss_saturating"] == pytest.approx(terms["d_loss_real"], rel=EXACT)
    assert terms["g_loss_saturating"] + terms["g_loss_non_saturating"] == pytest.approx(-fake.mean().item(), rel=EXACT)
    assert terms["total_loss"] == pytest.approx(terms["d_loss"] + terms["g_loss_non_saturating"], rel=EXACT)
    assert terms["total_loss"] == pytest.approx(
        (softplus(-real).mean() + 2 * softplus(fake).mean() - fake.mean()).item(), rel=EXACT
    )


def test_adding_the_saturating_loss_cancels_the_generator_out_of_the_sum() -> None:
    real, fake = some_logits()
    fake.requires_grad_()

    wrong_sum = discriminator_terms(real, fake, 1.0)["d_loss"] + saturating_terms(fake, None)["g_loss"]

    (gradient,) = torch.autograd.grad(wrong_sum, fake)
    assert gradient.abs().max() == 0


def test_total_loss_pulls_the_fakes_where_neither_player_wants_them() -> None:
    real, fake = some_logits()
    fake.requires_grad_()

    (gradient,) = torch.autograd.grad(all_terms(real, fake)["total_loss"], fake)

    assert torch.allclose(gradient * len(fake), 2 * fake.sigmoid() - 1, atol=EXACT)


@pytest.mark.parametrize("logit", [-1.0, -2.0, -5.0, -10.0, -20.0])
def test_the_saturating_gradient_fades_and_the_other_stays(logit: float) -> None:
    fake = torch.tensor([logit], dtype=torch.float64, requires_grad=True)

    (saturating,) = torch.autograd.grad(saturating_terms(fake, None)["g_loss"], fake)
    (non_saturating,) = torch.autograd.grad(non_saturating_terms(fake, None)["g_loss"], fake)

    probability = 1 / (1 + exp(-logit))
    assert saturating.item() == pytest.approx(-probability, rel=1e-6)
    assert non_saturating.item() == pytest.approx(-(1 - probability), rel=1e-6)
    assert (non_saturating / saturating).item() == pytest.approx(exp(-logit), rel=1e-12)


def test_the_published_gradients_come_out() -> None:
    fake = torch.tensor([-1.0, -2.0, -5.0, -10.0, -20.0], dtype=torch.float64, requires_grad=True)

    (saturating,) = torch.autograd.grad(saturating_terms(fake, None)["g_loss"] * 5, fake)
    (non_saturating,) = torch.autograd.grad(non_saturating_terms(fake, None)["g_loss"] * 5, fake)

    assert saturating.tolist() == pytest.approx([-0.268941, -0.119203, -6.6929e-3, -4.5398e-5, -2.0612e-9], rel=1e-5)
    assert non_saturating.tolist() == pytest.approx([-0.731059, -0.880797, -0.993307, -0.999955, -1.0], rel=1e-6)


def test_the_discriminators_gradients_are_those_of_cross_entropy() -> None:
    real, fake = (logits.requires_grad_() for logits in some_logits())

    at_real, at_fake = torch.autograd.grad(discriminator_terms(real, fake, 1.0)["d_loss"], [real, fake])

    assert torch.allclose(at_real * len(real), real.sigmoid() - 1, atol=EXACT)
    assert torch.allclose(at_fake * len(fake), fake.sigmoid(), atol=EXACT)


@pytest.mark.parametrize("logit", [-30.0, -95.0, -200.0, -1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_sure_discriminator_leaves_the_generator_its_whole_gradient(logit: float, dtype: torch.dtype) -> None:
    fake = torch.tensor([logit], dtype=dtype, requires_grad=True)

    loss = non_saturating_terms(fake, None)["g_loss"]

    (gradient,) = torch.autograd.grad(loss, fake)
    assert loss.item() == pytest.approx(-logit)
    assert gradient.item() == pytest.approx(-1.0)


def test_a_wrong_discriminator_is_punished_without_overflow() -> None:
    real, fake = torch.tensor([-200.0], requires_grad=True), torch.tensor([20.0], requires_grad=True)

    terms = discriminator_terms(real, fake, 1.0)

    at_real, at_fake = torch.autograd.grad(terms["d_loss"], [real, fake])
    assert terms["d_loss_real"].item() == 200
    assert terms["value"].item() == pytest.approx(-220)
    assert (at_real.item(), at_fake.item()) == pytest.approx((-1, 1))


def test_softplus_is_exact_where_that_of_torch_turns_linear() -> None:
    logits = torch.tensor([20.5], dtype=torch.float64)

    error = softplus(logits).item() - (20.5 + exp(-20.5))

    assert abs(error) < 1e-14
    assert abs(torch.nn.functional.softplus(logits).item() - (20.5 + exp(-20.5))) > 1e-9


def test_softplus_of_t_and_of_minus_t_differ_by_t() -> None:
    logits, _ = some_logits()

    assert torch.allclose(softplus(logits) - softplus(-logits), logits, rtol=EXACT, atol=EXACT)


@pytest.mark.parametrize(
    ("mean", "value"), [(0, -1.386294361), (0.3, -1.364043791), (1, -1.163451397), (3, -0.332739748)]
)
def test_an_optimal_discriminator_measures_the_divergence_of_two_normals(mean: float, value: float) -> None:
    samples, step = torch.linspace(-12, 15, 200_001, dtype=torch.float64), 27 / 200_000
    optimal_logits = mean * mean / 2 - mean * samples
    density = torch.exp(-samples.square() / 2) / sqrt(2 * pi)
    shifted_density = torch.exp(-(samples - mean).square() / 2) / sqrt(2 * pi)

    # As expectations by quadrature rather than over a batch.
    log_d = -(density * softplus(-optimal_logits)).sum() * step
    log_complement = -(shifted_density * softplus(optimal_logits)).sum() * step

    assert (log_d + log_complement).item() == pytest.approx(value, abs=1e-9)


def test_smoothing_touches_the_real_half_of_the_cross_entropy_alone() -> None:
    real, fake = some_logits()

    plain, smooth = all_terms(real, fake), all_terms(real, fake, real_label=0.9)

    expected = (0.9 * softplus(-real) + 0.1 * softplus(real)).mean()
    assert smooth["d_loss_real"].item() == pytest.approx(expected.item(), rel=EXACT)
    changed = {name for name in plain if plain[name] != smooth[name]}
    assert changed == {"d_loss_real", "d_loss"}


def test_means_are_those_of_cross_entropy_with_logits() -> None:
    _, logits = some_logits()
    reference = torch.nn.functional.binary_cross_entropy_with_logits

    assert minus_log(logits).item() == pytest.approx(reference(logits, torch.ones_like(logits)).item(), rel=EXACT)
    assert minus_log_complement(logits).item() == pytest.approx(
        reference(logits, torch.zeros_like(logits)).item(), rel=EXACT
    )


def test_the_mean_probability_is_not_the_probability_of_the_mean() -> None:
    assert mean_probability(logits_of(0.5, 0.9)).item() == pytest.approx(0.7)


def test_half_precision_logits_are_widened_and_wider_ones_kept() -> None:
    narrow = torch.zeros(2, dtype=torch.bfloat16)

    assert at_least_float32(narrow).dtype == torch.float32
    assert at_least_float32(narrow.double()).dtype == torch.float64


def test_the_equilibrium_of_the_game_is_minus_log_four() -> None:
    terms = all_terms(logits_of(0.5, 0.5), logits_of(0.5, 0.5))

    assert terms["value"].item() == pytest.approx(-log(4), rel=EXACT)
    assert terms["total_loss"].item() == pytest.approx(3 * log(2), rel=EXACT)
