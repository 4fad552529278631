"""Penalties, views, clipping and top-k against closed forms, finite differences and second implementations."""

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
import torch
from small_training import rows_of, small_spec, small_training, weights_of
from torch import Tensor, nn

from service.spec.job import JobSpec
from service.spec.parts.optimizer import OptimizerSpec
from service.spec.parts.schedules import ScheduledDecay
from service.spec.regularizers import PENALTIES as DESCRIBED_PENALTIES
from service.spec.regularizers import REGULARIZERS
from worker.gan.batches import Batch
from worker.gan.networks.groups import pack
from worker.gan.networks.packed import Packed
from worker.gan.networks.players import Discriminator
from worker.gan.objectives.registry import OBJECTIVES
from worker.gan.penalties.gradient import DRAGAN_SPREAD, SlopeBetween, half_squared_slope
from worker.gan.penalties.lecam import DECAY, LeCam
from worker.gan.penalties.registry import PENALTIES
from worker.gan.player import Player
from worker.gan.rounds import Penalty, Round, Rules, Scores
from worker.gan.turns import score_both
from worker.gan.views.noise import Noise

COUNT, SEED = 6, 5


class Scoring(Discriminator):
    """D(x) as a given function of rows (N, 3)."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.unused = nn.Parameter(torch.zeros(()))  # no optimiser without a weight

    def forward(self, samples: Tensor, labels: Tensor | None) -> Tensor:
        return self.function(samples)

    def reconstruction_loss(self, samples: Tensor, random: torch.Generator) -> Tensor:
        return self.function(samples).square().mean()


class Smooth(Discriminator):
    """A discriminator of few weights with derivatives of every order."""

    def __init__(self) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(1)
        self.first = nn.Parameter(torch.randn(3, 4, generator=random, dtype=torch.float64))
        self.last = nn.Parameter(torch.randn(4, generator=random, dtype=torch.float64))

    def forward(self, samples: Tensor, labels: Tensor | None) -> Tensor:
        return torch.tanh(samples @ self.first) @ self.last

    def reconstruction_loss(self, samples: Tensor, random: torch.Generator) -> Tensor:
        return (torch.tanh(samples @ self.first) @ self.first.T - samples).square().mean()


def a_round(discriminator: nn.Module) -> tuple[Round, Scores]:
    """Score three-dimensional reals and fakes, always the same, in float64."""
    random = torch.Generator().manual_seed(2)
    reals, fakes = torch.randn(2, COUNT, 3, generator=random, dtype=torch.float64)
    rules = Rules(OBJECTIVES["wasserstein"], 1.0, 1.0, 1.0, penalties=(), views=(), kept=1.0)
    player = Player(discriminator, OptimizerSpec(name="sgd"))
    play = Round(0, rules, player, player, Batch(reals, None), lambda _: fakes, torch.Generator().manual_seed(SEED))
    return play, score_both(play, fakes)


def measured(penalty: Penalty, discriminator: nn.Module) -> Tensor:
    value: Tensor = penalty.double()(*a_round(discriminator))
    return value


def test_every_penalty_is_described_under_its_key() -> None:
    assert tuple(PENALTIES) == DESCRIBED_PENALTIES
    assert {f"objective.{name}" for name in PENALTIES} <= set(REGULARIZERS)


@pytest.mark.parametrize("name", REGULARIZERS)
def test_every_regularizer_is_named_by_the_path_of_its_key(name: str) -> None:
    part: Any = JobSpec
    *way, key = name.split(".")
    for step in way:
        part = part.model_fields[step].annotation

    assert key in part.model_fields
    assert get_args(part.model_fields[key].annotation) or part.model_fields[key].annotation in (bool, int, float)


def test_a_zero_centred_penalty_is_half_the_mean_of_squared_norms_per_sample() -> None:
    samples = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    slope = torch.randn(2, 3, dtype=torch.float64)

    penalty = half_squared_slope(samples, (slope * samples.square()).sum(dim=(1, 2)))

    expected = (2 * slope * samples).square().sum(dim=(1, 2)).mean() / 2
    assert penalty.item() == pytest.approx(expected.item())


@pytest.mark.parametrize("name", ["gradient_penalty", "dragan"])
def test_a_linear_discriminator_pays_for_its_slope_wherever_it_is_asked(name: str) -> None:
    slope = torch.tensor([2.0, -3.0, 6.0], dtype=torch.float64)

    penalty = measured(PENALTIES[name](), Scoring(lambda rows: rows @ slope))

    assert penalty.item() == pytest.approx((7 - 1) ** 2)


@pytest.mark.parametrize("name", ["gradient_penalty", "dragan"])
def test_the_points_lie_where_the_papers_draw_them(name: str) -> None:
    bowl = Scoring(lambda rows: rows.square().sum(dim=1) / 2)  # its slope at x is x
    play, scores = a_round(bowl)
    random = torch.Generator().manual_seed(SEED)
    if name == "gradient_penalty":
        shares = torch.rand(COUNT, generator=random).double()[:, None]
        points = shares * scores.reals + (1 - shares) * scores.fakes
    else:
        points = scores.reals + DRAGAN_SPREAD * scores.reals.std() * torch.randn(COUNT, 3, generator=random)

    penalty = PENALTIES[name]()(play, scores)

    assert penalty.item() == pytest.approx((points.norm(dim=1) - 1).square().mean().item())


def test_packs_are_mixed_whole_and_have_one_slope_each() -> None:
    bowl = Packed(Scoring(lambda rows: rows.square().sum(dim=1) / 2), count=2, classes=0)
    play, scores = a_round(bowl)
    reals, fakes = (pack(samples.detach(), 2) for samples in (scores.reals, scores.fakes))

    between = SlopeBetween()(play, scores)
    on_reals = half_squared_slope(scores.reals, scores.real_logits)

    shares = torch.rand(COUNT // 2, generator=torch.Generator().manual_seed(SEED)).double()[:, None]
    points = shares * reals + (1 - shares) * fakes
    assert between.item() == pytest.approx((points.norm(dim=1) - 1).square().mean().item())
    assert on_reals.item() == pytest.approx((reals.norm(dim=1).square() / 2).mean().item())


@pytest.mark.parametrize("name", ["gradient_penalty", "dragan"])
def test_a_flat_discriminator_has_a_finite_gradient(name: str) -> None:
    height = torch.zeros(3, dtype=torch.float64, requires_grad=True)

    penalty = measured(PENALTIES[name](), Scoring(lambda rows: rows @ height))

    (gradient,) = torch.autograd.grad(penalty, height)
    assert penalty.item() == 1
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_has_the_gradient_of_finite_differences_in_the_weights(name: str) -> None:
    discriminator, step = Smooth(), 1e-6
    weight = discriminator.first

    (gradient,) = torch.autograd.grad(measured(PENALTIES[name](), discriminator), weight)

    numeric = torch.zeros_like(weight)
    for place in np.ndindex(*weight.shape):
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[place] += sign * step
            ends.append(measured(PENALTIES[name](), discriminator).item())
            with torch.no_grad():
                weight[place] -= sign * step
        numeric[place] = (ends[0] - ends[1]) / (2 * step)
    assert gradient.abs().max() > 0.01
    assert torch.allclose(gradient, numeric, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_says_whether_it_reaches_the_fakes(name: str) -> None:
    penalty = PENALTIES[name]().double()
    play, scores = a_round(Smooth())

    (gradient,) = torch.autograd.grad(penalty(play, scores), scores.fakes, allow_unused=True)

    assert (gradient is not None) == penalty.reaches_fakes


def test_lecam_measures_from_the_averages_so_far_and_then_moves_them() -> None:
    penalty = LeCam().double()
    play, scores = a_round(Scoring(lambda rows: rows.sum(dim=1)))
    real, fake = scores.real_logits, scores.fake_logits

    first, second = penalty(play, scores), penalty(play, scores)

    assert first.item() == pytest.approx((real.square().mean() + fake.square().mean()).item())
    a_real, a_fake = (1 - DECAY) * real.mean(), (1 - DECAY) * fake.mean()
    assert second.item() == pytest.approx(((real - a_fake).square().mean() + (fake - a_real).square().mean()).item())
    assert penalty.real_average.item() == pytest.approx((1 - DECAY**2) * real.mean().item())


def test_instance_noise_has_its_deviation_and_lets_gradients_through() -> None:
    samples = torch.zeros(2_000, 3, requires_grad=True)

    noisy = Noise(0.3)(samples, torch.Generator().manual_seed(1))

    assert noisy.std().item() == pytest.approx(0.3, rel=0.03)
    (gradient,) = torch.autograd.grad(noisy.sum(), samples)
    assert (gradient == 1).all()


def test_every_score_of_a_round_has_noise_of_its_own_until_it_has_faded() -> None:
    fading = {"name": "linear", "initial": 0.5}
    training = small_training(
        small_spec(objective={"instance_noise": fading}, loop={"variant": "reuse", "max_steps": 4})
    )
    shown: list[Tensor] = []
    training.discriminator.network.register_forward_pre_hook(lambda _, inputs: shown.append(inputs[0].detach().clone()))

    for _ in range(5):
        training.step()

    reals, fakes, fakes_again = shown[:3]
    assert not torch.equal(fakes, fakes_again)
    assert not torch.equal(reals, fakes)
    assert torch.equal(*shown[-2:])  # past the horizon: the same fakes, without noise


def test_top_k_teaches_the_generator_by_its_best_samples_alone() -> None:
    frozen = {"generator": {"lr": 0}, "discriminator": {"lr": 0}}
    training = small_training(small_spec(objective={"top_k": 0.3}, loop={"variant": "reuse"}, optimizer=frozen))
    scored: list[Tensor] = []
    training.discriminator.network.register_forward_hook(lambda _, __, logits: scored.append(logits.detach()))

    rows = rows_of(training, 1)

    best = scored[-1].sort(descending=True).values[:3]  # 0.3 of 8, rounded up
    assert rows["g_loss"][0] == pytest.approx(nn.functional.softplus(-best).mean().item())
    assert rows["d_loss_fake"][0] == pytest.approx(nn.functional.softplus(scored[1]).mean().item())


def test_top_k_that_fades_to_nothing_keeps_the_best_sample() -> None:
    fading = {"name": "linear", "initial": 1.0, "horizon_steps": 2}
    training = small_training(small_spec(objective={"top_k": fading}))

    rows = rows_of(training, 4)

    assert np.isfinite(rows["g_loss"]).all()


def test_a_clipped_gradient_moves_the_weights_by_its_limit_and_is_recorded_whole() -> None:
    plain = {"name": "sgd", "lr": 1.0, "clip_gradient": 1e-3}
    training = small_training(small_spec(optimizer={"generator": plain}), dtype=torch.float64)
    before = weights_of(training.generator.network)

    rows = rows_of(training, 1)

    moved = weights_of(training.generator.network) - before
    assert rows["g_grad_norm"][0] > 1e-2
    assert moved.norm().item() == pytest.approx(1e-3)


def test_a_gradient_within_the_limit_is_left_as_it_is() -> None:
    ends = []
    for limit in (None, 1e6):
        training = small_training(small_spec(optimizer={"generator": {"clip_gradient": limit}}))
        training.step()
        ends.append(weights_of(training.generator.network))

    assert torch.equal(*ends)


def test_clipped_weights_stay_in_their_interval() -> None:
    training = small_training(small_spec(optimizer={"discriminator": {"clip_weights": 0.02}}))

    training.step()

    assert weights_of(training.discriminator.network).abs().max() == torch.tensor(0.02)
    assert weights_of(training.generator.network).abs().max() > 0.02


@pytest.mark.parametrize("name", ["adamw", "rmsprop"])
def test_two_updates_of_an_optimizer_follow_its_formula(name: str) -> None:
    spec = OptimizerSpec(name=name, lr=0.1, betas=(0.5, 0.9), eps=1e-8, weight_decay=0.2)
    network = nn.Linear(1, 1, bias=False).double()
    weight = network.weight.item()
    player, moment, square = Player(network, spec), 0.0, 0.0

    for update, gradient in enumerate((3.0, -1.0), start=1):
        player.update([torch.full((1, 1), gradient, dtype=torch.float64)], step=0)
        moment, square = 0.5 * moment + 0.5 * gradient, 0.9 * square + 0.1 * gradient**2
        if name == "adamw":
            ahead = moment / (1 - 0.5**update) / ((square / (1 - 0.9**update)) ** 0.5 + 1e-8)
            weight = weight * (1 - 0.1 * 0.2) - 0.1 * ahead
        else:
            weight -= 0.1 * gradient / (square**0.5 + 1e-8)

    assert network.weight.item() == pytest.approx(weight, rel=1e-9)


@pytest.mark.parametrize("name", ["adam", "rmsprop"])
def test_scheduled_betas_are_those_of_the_step(name: str) -> None:
    rising = ScheduledDecay(name="linear", initial=0.5, final=0.9, horizon_steps=2)
    spec = OptimizerSpec(name=name, lr=0.1, betas=(0.5, rising))
    network = nn.Linear(1, 1, bias=False).double()
    weight = network.weight.item()
    player, moment, square = Player(network, spec), 0.0, 0.0

    for step, (gradient, beta) in enumerate([(3.0, 0.5), (-1.0, 0.7), (2.0, 0.9)]):
        player.update([torch.full((1, 1), gradient, dtype=torch.float64)], step)
        moment, square = 0.5 * moment + 0.5 * gradient, beta * square + (1 - beta) * gradient**2
        if name == "adam":
            updates = step + 1
            weight -= 0.1 * moment / (1 - 0.5**updates) / ((square / (1 - beta**updates)) ** 0.5 + 1e-8)
        else:
            weight -= 0.1 * gradient / (square**0.5 + 1e-8)

    assert network.weight.item() == pytest.approx(weight, rel=1e-9)
