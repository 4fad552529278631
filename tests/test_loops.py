"""The three loops: who is called how often, which fakes and which discriminator each gradient sees, what it costs."""

from collections import Counter
from math import log
from typing import Any

import numpy as np
import pytest
import torch
from small_training import CPU, rows_of, small_spec, small_training, weights_of
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.quality.dirac import dirac_training, point_data
from service.spec.objectives import references
from worker.gan.data.training_data import TrainingData
from worker.gan.loops import LOOPS
from worker.gan.networks.players import Discriminator, Generator
from worker.gan.objectives.objective import Objective
from worker.gan.objectives.registry import OBJECTIVES
from worker.gan.penalties.registry import PENALTIES
from worker.gan.training import Training

every_loop = pytest.mark.parametrize("variant", LOOPS)


def count_calls(training: Training) -> Counter[str]:
    calls: Counter[str] = Counter()
    training.generator.network.register_forward_hook(lambda *_: calls.update("G"))
    training.discriminator.network.register_forward_hook(lambda *_: calls.update("D"))
    return calls


@pytest.mark.parametrize("penalty", [0, 1])
@pytest.mark.parametrize(
    ("variant", "calls_of_g", "calls_of_d"), [("original", 2, 3), ("reuse", 1, 3), ("fused", 1, 2)]
)
def test_each_loop_calls_the_networks_as_often_as_it_says(
    variant: str, calls_of_g: int, calls_of_d: int, penalty: float
) -> None:
    training = small_training(small_spec(loop={"variant": variant}, objective={"r1": penalty, "r2": penalty}))
    calls = count_calls(training)

    training.step()

    assert calls == {"G": calls_of_g, "D": calls_of_d}


@pytest.mark.parametrize(
    ("variant", "calls_of_g", "calls_of_d"), [("original", 4, 7), ("reuse", 3, 7), ("fused", 3, 6)]
)
def test_further_discriminator_steps_cost_one_call_of_g_and_two_of_d(
    variant: str, calls_of_g: int, calls_of_d: int
) -> None:
    training = small_training(small_spec(loop={"variant": variant, "discriminator_steps": 3}))
    calls = count_calls(training)

    training.step()

    assert calls == {"G": calls_of_g, "D": calls_of_d}


def scored_samples(training: Training) -> list[Tensor]:
    scored: list[Tensor] = []
    training.discriminator.network.register_forward_pre_hook(
        lambda _, inputs: scored.append(inputs[0].detach().clone())
    )
    return scored


def test_the_original_loop_scores_new_fakes_and_the_reusing_one_the_same() -> None:
    scored = {}
    for variant in LOOPS:
        training = small_training(small_spec(loop={"variant": variant}))
        scored[variant] = scored_samples(training)
        training.step()

    assert not torch.equal(scored["original"][1], scored["original"][2])
    assert torch.equal(scored["reuse"][1], scored["reuse"][2])
    assert torch.equal(scored["fused"][1], scored["reuse"][1])
    assert torch.equal(scored["fused"][1], scored["original"][1])


@every_loop
def test_every_inner_step_sees_fresh_reals_and_fresh_fakes(variant: str) -> None:
    training = small_training(small_spec(loop={"variant": variant, "discriminator_steps": 2}))
    scored = scored_samples(training)

    training.step()

    reals, fakes, next_reals, next_fakes = scored[:4]
    assert not torch.equal(reals, next_reals)
    assert not torch.equal(fakes, next_fakes)


def final_weights(**parts: Any) -> tuple[Tensor, Tensor]:
    training = small_training(small_spec(**parts), dtype=torch.float64)
    for _ in range(5):
        training.step()
    return weights_of(training.generator.network), weights_of(training.discriminator.network)


@pytest.mark.parametrize("loss", OBJECTIVES)
def test_with_a_frozen_discriminator_reuse_and_fused_train_the_generator_alike(loss: str) -> None:
    frozen = {"discriminator": {"lr": 0}}

    reused, _ = final_weights(loop={"variant": "reuse"}, objective={"loss": loss}, optimizer=frozen)
    fused, _ = final_weights(loop={"variant": "fused"}, objective={"loss": loss}, optimizer=frozen)

    assert torch.equal(reused, fused)


def test_with_a_moving_discriminator_the_loops_part() -> None:
    ends = [final_weights(loop={"variant": variant})[0] for variant in LOOPS]

    assert not any(torch.equal(ends[one], ends[other]) for one, other in ((0, 1), (0, 2), (1, 2)))


def test_fused_takes_both_gradients_before_either_player_moves() -> None:
    plain = {"name": "sgd", "lr": 0.2}
    spec = small_spec(
        objective={"loss": "saturating"},
        loop={"variant": "fused"},
        optimizer={"generator": plain, "discriminator": plain},
    )
    training = dirac_training(spec, psi=1.0, theta=1.0)

    training.step()

    pull = 0.2 / (1 + np.exp(-1.0))  # both gradients at (1, 1): sigmoid(psi theta) times the other's place
    assert training.discriminator.network.psi.item() == pytest.approx(1 - pull, rel=1e-12)
    assert training.generator.network.theta.item() == pytest.approx(1 + pull, rel=1e-12)


@pytest.mark.parametrize("dataset", ["ring", "digits"])
@pytest.mark.parametrize("reduction", ["sum_of_means", "mean", "sum"])
@pytest.mark.parametrize("r1", [0, 1])
def test_the_turned_gradient_equals_that_of_a_backward_pass_of_its_own(
    dataset: str, reduction: str, r1: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: dict[str, Any] = {
        "dataset": dataset,
        # A batch norm in D ties the samples of a batch together.
        "model": {"architecture": "dcgan" if dataset == "digits" else "mlp"},
        "loop": {"variant": "fused"},
        "objective": {"loss": "saturating", "reduction": reduction, "r1": r1},
        "optimizer": {"generator": {"name": "sgd"}, "discriminator": {"name": "sgd"}},
    }

    turned = final_weights(**parts)
    own_pass = Objective(**{**vars(OBJECTIVES["saturating"]), "zero_sum": False})
    monkeypatch.setitem(OBJECTIVES, "saturating", own_pass)
    separate = final_weights(**parts)

    for one, other in zip(turned, separate, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("key", [*PENALTIES, "instance_noise", "top_k"])
def test_the_turned_gradient_of_wasserstein_is_exact_with_every_regularizer(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = {"generator": {"name": "sgd"}, "discriminator": {"name": "sgd"}}
    parts: dict[str, Any] = {"loop": {"variant": "fused"}, "optimizer": plain}
    parts["objective"] = {"loss": "wasserstein", key: 0.5}
    if key == "reconstruction":
        parts |= {"dataset": "digits", "model": {"architecture": "lite"}}

    turned = final_weights(**parts)
    own_pass = Objective(**{**vars(OBJECTIVES["wasserstein"]), "zero_sum": False})
    monkeypatch.setitem(OBJECTIVES, "wasserstein", own_pass)
    separate = final_weights(**parts)

    for one, other in zip(turned, separate, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("key", ["gradient_penalty", "dragan"])
def test_a_penalty_elsewhere_costs_one_more_call_of_d(key: str) -> None:
    training = small_training(small_spec(objective={key: 1}))
    calls = count_calls(training)

    training.step()

    assert calls == {"G": 2, "D": 4}


def test_a_penalty_on_fakes_does_not_reach_the_generator_through_the_turned_gradient() -> None:
    def generator_gradient(r2: float) -> float:
        spec = small_spec(loop={"variant": "fused"}, objective={"loss": "saturating", "r2": r2})
        return float(rows_of(small_training(spec, dtype=torch.float64), 1)["g_grad_norm"][0])

    assert generator_gradient(0.0) == generator_gradient(10.0)


@pytest.mark.parametrize("r1", [0, 2])
def test_fused_rows_keep_the_sum_of_both_losses_and_the_others_do_not(r1: float) -> None:
    for variant in LOOPS:
        rows = rows_of(small_training(small_spec(loop={"variant": variant}, objective={"r1": r1})), 20)

        gap = np.abs(rows["d_loss"] + rows["g_loss_saturating"] - rows["d_loss_real"])
        assert (gap < 1e-5 * np.maximum(1, np.abs(rows["d_loss"]))).all() == (variant == "fused")


@every_loop
@pytest.mark.parametrize("reduction", ["sum_of_means", "mean", "sum"])
def test_total_loss_is_minus_value_plus_the_unscaled_non_saturating_loss(variant: str, reduction: str) -> None:
    spec = small_spec(loop={"variant": variant}, objective={"reduction": reduction, "label_smoothing": 0.1})

    rows = rows_of(small_training(spec), 10)

    unscaled = rows["g_loss_non_saturating"] / (8 if reduction == "sum" else 1)
    assert rows["total_loss"] == pytest.approx(unscaled - rows["value"], rel=1e-5)


@pytest.mark.parametrize(("variant", "calls_of_d"), [("original", 4), ("reuse", 4), ("fused", 2)])
def test_an_objective_that_pairs_fakes_with_reals_has_the_reals_scored_again(variant: str, calls_of_d: int) -> None:
    training = small_training(small_spec(loop={"variant": variant}, objective={"loss": "rpgan"}))
    calls = count_calls(training)

    training.step()

    assert calls["D"] == calls_of_d


def test_columns_that_an_objective_does_not_define_are_absent() -> None:
    spec = small_spec(objective={"loss": "rpgan"})

    rows = rows_of(small_training(spec), 3)

    assert {"d_loss", "g_loss", "d_penalty", "g_grad_norm"} <= set(rows)
    assert not {"value", "d_loss_real", "d_loss_fake", "g_loss_saturating", "total_loss", "d_real"} & set(rows)
    assert references(spec) == {"d_loss": log(2), "g_loss": log(2)}


LAYERS, WIDTH, BATCH = 4, 32, 16


class DeepGenerator(Generator):
    """Equal layers, so that work can be counted in layers."""

    def __init__(self) -> None:
        super().__init__(latent_dim=WIDTH, latent_codes=0)
        self.layers = nn.Sequential(*(nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(LAYERS)))

    def forward(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        samples: Tensor = self.layers(latents)
        return samples


class DeepDiscriminator(Discriminator):
    """Equal layers, then their mean."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(LAYERS)))

    def forward(self, samples: Tensor, labels: Tensor | None) -> Tensor:
        logits: Tensor = self.layers(samples).mean(dim=1)
        return logits


class CountProducts(TorchDispatchMode):
    """Counts matrix products, forwards and backwards."""

    count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.count += func is torch.ops.aten.mm.default
        return func(*args, **(kwargs or {}))


def deep_data() -> TrainingData:
    data = point_data(BATCH)
    return TrainingData(data.facts, torch.randn(BATCH, WIDTH), None, data.encoding)


@pytest.mark.parametrize(
    ("variant", "loss", "passes", "first_layers_spared"),
    [
        ("original", "non_saturating", 12, 3),
        ("reuse", "non_saturating", 11, 3),
        ("fused", "non_saturating", 10, 3),
        ("fused", "saturating", 9, 2),
    ],
)
def test_an_iteration_does_no_more_work_than_its_loop_needs(
    variant: str, loss: str, passes: int, first_layers_spared: int
) -> None:
    spec = small_spec(loop={"variant": variant, "batch_size": BATCH}, objective={"loss": loss})
    networks = DeepGenerator(), DeepDiscriminator()
    training = Training(spec, deep_data(), device=CPU, dtype=torch.float32, networks=networks)

    with CountProducts() as products:
        training.step()

    # A pass is one product per layer; nobody asks for the gradient in latents, and in samples only where G needs it.
    assert products.count == passes * LAYERS - first_layers_spared
