"""A training follows from its spec to the last bit, however often it is interrupted, and records what it did."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from small_training import CPU, rows_of, small_spec, small_training, smaller, weights_of

from benchmarks.quality.dirac import dirac_training
from chaos.oracle import is_clock
from service.spec import objectives as described
from service.spec.architectures import ARCHITECTURES
from service.spec.columns import recorded_columns
from service.spec.datasets import DATASETS
from service.spec.job import JobSpec
from service.spec.parts.model import EmaSpec
from service.spec.parts.schedules import Schedule
from service.spec.regularizers import SCHEDULED
from service.spec.resolve import merge
from worker.gan.data.registry import open_dataset
from worker.gan.ema import half_life
from worker.gan.files import generator_file, read_state, write_state
from worker.gan.loops import LOOPS
from worker.gan.objectives.registry import OBJECTIVES
from worker.gan.optimizers import OPTIMIZERS
from worker.gan.training import Training

BEFORE, AFTER = 3, 3
EVERYTHING_THAT_MOVES: dict[str, Any] = {
    "model": {"ema": {"half_life_samples": 100, "schedule": {"name": "linear", "warmup_steps": 4}}},
    "objective": {
        "loss": "non_saturating",
        "r1": {"name": "cosine", "initial": 1.0},
        "r2": 0.5,
        "label_smoothing": 0.1,
    },
    "loop": {"discriminator_steps": 2},
}


def without_clocks(training: Training) -> tuple[int, np.ndarray]:
    first_step, rows = training.recorder.take()
    kept = [not is_clock(column) for column in training.recorder.columns]
    return first_step, rows[:, kept]


def take_steps(training: Training, count: int) -> None:
    for _ in range(count):
        training.step()


def assert_resumes_exactly(spec: JobSpec) -> None:
    unbroken, broken, resumed = (small_training(spec) for _ in range(3))
    take_steps(unbroken, BEFORE + AFTER)
    take_steps(broken, BEFORE)

    resumed.restore(read_state(write_state(broken.state())))
    take_steps(resumed, AFTER)

    assert write_state(resumed.state()) == write_state(unbroken.state())
    _, unbroken_rows = without_clocks(unbroken)
    first_step, resumed_rows = without_clocks(resumed)
    assert first_step == BEFORE + 1
    assert np.array_equal(resumed_rows, unbroken_rows[BEFORE:])


def dataset_for(architecture: str) -> list[str]:
    """One data set of each modality that an architecture takes."""
    by_modality = {dataset.modality: name for name, dataset in DATASETS.items()}
    return [by_modality[modality] for modality in ARCHITECTURES[architecture].modalities if modality in by_modality]


@pytest.mark.parametrize(
    ("architecture", "dataset"), [(name, dataset) for name in ARCHITECTURES for dataset in dataset_for(name)]
)
def test_every_architecture_resumes_bit_for_bit(architecture: str, dataset: str) -> None:
    model = EVERYTHING_THAT_MOVES["model"] | {"architecture": architecture}

    assert_resumes_exactly(small_spec(**EVERYTHING_THAT_MOVES | {"dataset": dataset, "model": model}))


@pytest.mark.parametrize("conditional", [True, False])
def test_labelled_data_resumes_bit_for_bit(conditional: bool) -> None:
    assert_resumes_exactly(small_spec(dataset="digits", model={"conditional": conditional}))


def test_a_codebook_resumes_bit_for_bit() -> None:
    assert_resumes_exactly(small_spec(model={"latent_codes": 32}))


@pytest.mark.parametrize(("loss", "variant", "optimizer"), list(product(OBJECTIVES, LOOPS, OPTIMIZERS)))
def test_every_objective_loop_and_optimizer_resumes_bit_for_bit(loss: str, variant: str, optimizer: str) -> None:
    falling = {
        "name": optimizer,
        "schedule": {"name": "cosine", "warmup_steps": 4},
        "betas": [{"name": "linear", "initial": 0.5, "final": 0.0}, {"initial": 0.9, "final": 0.99}],
    }

    assert_resumes_exactly(
        small_spec(
            model=EVERYTHING_THAT_MOVES["model"],
            objective=EVERYTHING_THAT_MOVES["objective"]
            | {"loss": loss, "label_smoothing": 0.1 * described.OBJECTIVES[loss].smoothed},
            loop={"variant": variant, "discriminator_steps": 2},
            optimizer={"generator": falling, "discriminator": falling},
        )
    )


EVERY_REGULARIZER: dict[str, dict[str, Any]] = {
    **{key: {"objective": {key: {"name": "linear", "initial": 0.5, "final_ratio": 0.5}}} for key in SCHEDULED},
    "spectral_norm": {"model": {"discriminator": {"spectral_norm": True}}},
    "minibatch_std": {"model": {"discriminator": {"minibatch_std": 4}}},
    "packing": {"model": {"discriminator": {"packing": 2}}},
    "augment": {"objective": {"augment": {"probability": "adaptive", "rise_samples": 20}}},
    "clip_gradient": {"optimizer": {"generator": {"clip_gradient": 0.01}, "discriminator": {"clip_gradient": 0.01}}},
    "clip_weights": {"optimizer": {"discriminator": {"clip_weights": 0.1}}},
}
BESIDE: dict[str, dict[str, Any]] = {
    "augment": {"dataset": "digits", "objective": {"loss": "non_saturating"}},
    "reconstruction": {
        "dataset": "digits",
        "model": {"architecture": "lite"},
        "objective": {"loss": "non_saturating", "reconstruction": 0},
    },
}


@pytest.mark.parametrize(("key", "variant"), list(product(EVERY_REGULARIZER, LOOPS)))
def test_every_regularizer_resumes_bit_for_bit_under_every_loop(key: str, variant: str) -> None:
    assert_resumes_exactly(
        small_spec(
            **merge(
                merge(EVERYTHING_THAT_MOVES, BESIDE.get(key, {})),
                {"loop": {"variant": variant}, **EVERY_REGULARIZER[key]},
            )
        )
    )


@pytest.mark.parametrize("penalty", ["r2", "gradient_penalty", "dragan", "lecam"])
def test_packs_of_labelled_samples_resume_bit_for_bit_under_every_penalty(penalty: str) -> None:
    together = {"packing": 2, "minibatch_std": 2}
    labelled = {"conditional": True, "discriminator": together}

    assert_resumes_exactly(small_spec(dataset="digits", model=labelled, objective={penalty: 0.5}))


@pytest.mark.parametrize("key", EVERY_REGULARIZER)
def test_every_regularizer_takes_part(key: str) -> None:
    beside = BESIDE.get(key, {})
    plain = small_training(small_spec(**beside))
    regularized = small_training(small_spec(**merge(beside, EVERY_REGULARIZER[key])))

    take_steps(plain, 2)
    take_steps(regularized, 2)

    assert not torch.equal(*(weights_of(training.generator.network) for training in (plain, regularized)))


def test_equal_seeds_give_equal_bytes_and_another_seed_gives_others() -> None:
    ends = []
    for seed in (1, 1, 2):
        training = small_training(small_spec(seed=seed, model={"ema": {"half_life_samples": 100}}))
        take_steps(training, 5)
        ends.append((without_clocks(training)[1].tobytes(), generator_file(training.state(), "ema")))

    assert ends[0] == ends[1]
    assert ends[0][0] != ends[2][0]
    assert ends[0][1] != ends[2][1]


def test_a_fork_takes_over_what_its_penalties_and_batches_share_with_its_parent() -> None:
    parent = small_training(small_spec(objective={"r1": 1.0}, loop={"batch_size": 8}))
    take_steps(parent, BEFORE)
    forked = small_training(small_spec(objective={"lecam": 0.1, "loss": "hinge"}, loop={"batch_size": 4}))

    forked.restore(read_state(write_state(parent.state())))
    before = weights_of(forked.generator.network).clone()
    take_steps(forked, AFTER)
    again = small_training(forked.spec)
    again.restore(read_state(write_state(forked.state())))

    assert torch.equal(before, weights_of(parent.generator.network))
    assert (forked.step_number, forked.samples_seen) == (BEFORE + AFTER, BEFORE * 8 + AFTER * 4)
    assert again.samples_seen == forked.samples_seen
    assert not torch.equal(weights_of(forked.generator.network), before)


def test_a_probability_that_a_fork_names_is_its_own_and_one_that_adapts_goes_on() -> None:
    def digits(probability: float | str) -> Training:
        return small_training(small_spec(dataset="digits", objective={"augment": {"probability": probability}}))

    def probability_after(parent: Training, forked: Training) -> float:
        forked.restore(read_state(write_state(parent.state())))
        return float(forked.state().tensors["memory.augment.probability"])

    adaptive = digits("adaptive")
    take_steps(adaptive, BEFORE)
    reached = float(adaptive.state().tensors["memory.augment.probability"])

    assert probability_after(digits(0.25), digits(0.5)) == 0.5
    assert probability_after(digits(0.25), digits("adaptive")) == 0.25
    assert probability_after(adaptive, digits("adaptive")) == reached


@pytest.mark.parametrize("spoiled", ["generator", "discriminator"])
def test_a_player_at_rate_0_is_frozen_to_the_bit_and_its_gradient_is_still_measured(spoiled: str) -> None:
    training = small_training(small_spec(optimizer={spoiled: {"lr": 0}}))
    frozen = getattr(training, spoiled).network
    moving = (training.discriminator if spoiled == "generator" else training.generator).network
    before_frozen, before_moving = weights_of(frozen), weights_of(moving)

    rows = rows_of(training, 5)

    assert torch.equal(weights_of(frozen), before_frozen)
    assert not torch.equal(weights_of(moving), before_moving)
    assert (rows[f"{spoiled[0]}_grad_norm"] > 0).all()
    assert (rows[f"{spoiled[0]}_lr"] == 0).all()


def test_the_history_has_exactly_the_columns_that_the_spec_promises() -> None:
    spec = small_spec()

    assert small_training(spec).recorder.columns == recorded_columns(spec)


def test_rates_and_weights_are_recorded_as_scheduled() -> None:
    falling = {"lr": 0.01, "schedule": {"name": "linear", "warmup_steps": 2}}
    spec = small_spec(
        objective={"r1": {"name": "geometric", "initial": 1.0, "final_ratio": 0.01}, "r2": 3},
        loop={"max_steps": 10},
        optimizer={"generator": falling},
    )

    rows = rows_of(small_training(spec), 10)

    assert rows["g_lr"] == pytest.approx([0.005, *(0.01 * (1 - done / 8) for done in (0, *range(8)))])
    assert rows["d_lr"] == pytest.approx([1e-3] * 10)
    assert rows["r1_gamma"] == pytest.approx([0.01 ** (done / 10) for done in range(10)])
    assert (rows["r2_gamma"] == 3).all()


@pytest.mark.parametrize(("reduction", "d_factor", "g_factor"), [("mean", 0.5, 1), ("sum", 8, 8)])
@pytest.mark.parametrize("variant", LOOPS)
def test_the_reduction_scales_losses_and_gradients_and_no_more(
    variant: str, reduction: str, d_factor: float, g_factor: float
) -> None:
    def first_row(reduction: str) -> dict[str, Any]:
        frozen = {"generator": {"lr": 0}, "discriminator": {"lr": 0}}
        spec = small_spec(objective={"reduction": reduction}, loop={"variant": variant}, optimizer=frozen)
        return rows_of(small_training(spec, dtype=torch.float64), 1)

    plain, reduced = first_row("sum_of_means"), first_row(reduction)

    for column in ("d_loss", "d_loss_real", "d_loss_fake", "d_grad_norm"):
        assert reduced[column] == pytest.approx(d_factor * plain[column], rel=1e-6)
    for column in ("g_loss", "g_loss_saturating", "g_loss_non_saturating", "g_grad_norm"):
        assert reduced[column] == pytest.approx(g_factor * plain[column], rel=1e-6)
    for column in ("value", "total_loss", "d_real", "d_fake", "d_penalty"):
        assert reduced[column] == pytest.approx(plain[column], rel=1e-6)


@pytest.mark.parametrize("variant", LOOPS)
def test_the_sum_of_losses_is_over_packs(variant: str) -> None:
    def first_row(reduction: str) -> dict[str, Any]:
        frozen = {"generator": {"lr": 0}, "discriminator": {"lr": 0}}
        packs = {"discriminator": {"packing": 4}}
        spec = small_spec(model=packs, objective={"reduction": reduction}, loop={"variant": variant}, optimizer=frozen)
        return rows_of(small_training(spec), 1)

    plain, reduced = first_row("sum_of_means"), first_row("sum")

    assert reduced["d_loss"] == pytest.approx(2 * plain["d_loss"], rel=1e-6)  # 8 samples are 2 packs
    assert reduced["g_grad_norm"] == pytest.approx(2 * plain["g_grad_norm"], rel=1e-5)


def test_a_decoder_rests_while_no_reconstruction_is_asked_for() -> None:
    lite = {"dataset": "digits", "model": {"architecture": "lite"}}
    training = small_training(small_spec(**lite, objective={"reconstruction": 0}, loop={"variant": "fused"}))
    decoder = training.discriminator.network.get_submodule("whole")
    before = weights_of(decoder)

    rows = rows_of(training, 2)

    assert torch.equal(weights_of(decoder), before)
    assert (rows["d_penalty"] == 0).all()


def test_a_discriminator_learns_to_draw_what_it_sees() -> None:
    lite = {"dataset": "digits", "model": {"architecture": "lite"}, "objective": {"reconstruction": 1}}
    training = small_training(small_spec(**lite, optimizer={"discriminator": {"lr": 5e-3}}))

    rows = rows_of(training, 25)

    assert rows["d_penalty"][-5:].mean() < 0.6 * rows["d_penalty"][:3].mean()


def test_the_dirac_game_records_its_closed_form() -> None:
    training = dirac_training(small_spec(objective={"r1": 0.6}), psi=2.0, theta=0.5)

    rows = rows_of(training, 1)

    sigmoid = 1 / (1 + np.exp(-1.0))  # D(G(z)) at the logit psi theta = 1; reals at 0 score 0
    assert rows["d_real"] == pytest.approx([0.5])
    assert rows["d_fake"] == pytest.approx([sigmoid])
    assert rows["value"] == pytest.approx([-np.log(2) + np.log(1 - sigmoid)], rel=1e-6)
    assert rows["d_penalty"] == pytest.approx([0.3 * 2.0**2])
    assert rows["d_grad_norm"] == pytest.approx([sigmoid * 0.5 + 0.6 * 2.0], rel=1e-6)


def test_a_penalty_stands_apart_from_the_loss() -> None:
    with_penalty = rows_of(small_training(small_spec(objective={"r1": 5, "r2": 5})), 1)
    without = rows_of(small_training(small_spec()), 1)

    assert with_penalty["d_penalty"][0] > 0
    assert without["d_penalty"][0] == 0
    assert with_penalty["d_loss"][0] == without["d_loss"][0]
    assert with_penalty["d_grad_norm"][0] != without["d_grad_norm"][0]


def test_more_discriminator_steps_count_as_more_samples_seen() -> None:
    training = small_training(small_spec(loop={"discriminator_steps": 3}))

    take_steps(training, 4)

    assert (training.step_number, training.samples_seen) == (4, 4 * 3 * 8)


def test_the_average_halves_its_distance_to_a_network_at_rest_in_a_half_life() -> None:
    ema = {"half_life_samples": 80, "ramp": 0}
    training = small_training(small_spec(model={"ema": ema}, optimizer={"generator": {"lr": 0}}))
    assert training.average is not None
    with torch.no_grad():
        for weight in training.average.network.parameters():
            weight.add_(1.0)

    take_steps(training, 10)

    distance = weights_of(training.average.network) - weights_of(training.generator.network)
    assert torch.allclose(distance, torch.tensor(0.5), atol=1e-5)


def test_the_half_life_grows_with_the_samples_seen_up_to_its_own_length() -> None:
    ramped = EmaSpec(half_life_samples=1_000, ramp=0.1)

    assert [half_life(ramped, samples_seen=seen, step=5) for seen in (640, 10_000, 50_000)] == [64, 1_000, 1_000]
    assert half_life(EmaSpec(half_life_samples=1_000, ramp=0), samples_seen=1, step=0) == 1_000


def test_the_half_life_follows_its_schedule_below_the_ramp() -> None:
    rising = EmaSpec(half_life_samples=1_000, ramp=0.5, schedule=Schedule(warmup_steps=4))

    assert [half_life(rising, samples_seen=10**6, step=step) for step in range(5)] == [250, 500, 750, 1_000, 1_000]
    assert half_life(rising, samples_seen=100, step=0) == 50


def test_an_average_whose_half_life_has_fallen_to_nothing_is_the_generator() -> None:
    gone = {"half_life_samples": 10**6, "ramp": 0, "schedule": {"name": "linear", "horizon_steps": 3}}
    training = small_training(small_spec(model={"ema": gone}))
    assert training.average is not None

    take_steps(training, 3)
    before = weights_of(training.average.network)
    take_steps(training, 1)

    assert not torch.equal(before, weights_of(training.generator.network))
    assert torch.equal(weights_of(training.average.network), weights_of(training.generator.network))


def test_the_average_copies_running_statistics() -> None:
    training = small_training(
        small_spec(dataset="digits", model={"architecture": "dcgan", "ema": {"half_life_samples": 10**6}})
    )

    take_steps(training, 3)

    assert training.average is not None
    followed = dict(training.generator.network.named_buffers())
    assert followed
    for name, buffer in training.average.network.named_buffers():
        assert torch.equal(buffer, followed[name])


def test_samples_come_from_the_average_and_leave_the_training_as_it_was() -> None:
    spec = small_spec(dataset="digits", model={"architecture": "dcgan", "ema": {"half_life_samples": 10**6, "ramp": 0}})
    training = small_training(spec)
    take_steps(training, 3)
    before = write_state(training.state())

    samples = training.sample(*training.fixed_latents())

    averaged = small_training(spec)
    averaged.restore(training.state())
    averaged.generator.network.load_state_dict(averaged.average.network.state_dict())  # type: ignore[union-attr]
    averaged.average = None
    assert torch.equal(samples, averaged.sample(*averaged.fixed_latents()))
    assert samples.shape == (64, 1, 8, 8)
    assert write_state(training.state()) == before
    assert training.generator.network.training


def test_fixed_latents_never_change_and_show_every_class_alike() -> None:
    training = small_training(small_spec(dataset="digits", model={"conditional": True}, samples={"count": 40}))
    latents, labels = training.fixed_latents()

    take_steps(training, 2)

    latents_later, labels_later = training.fixed_latents()
    assert torch.equal(latents, latents_later)
    assert labels is not None
    assert labels_later is not None
    assert labels.bincount().tolist() == labels_later.bincount().tolist() == [4] * 10


def test_many_samples_are_made_in_the_same_bounded_batches() -> None:
    training = small_training(small_spec(samples={"count": 1_000}))

    latents, _ = training.fixed_latents()

    assert torch.equal(training.sample(latents, None)[:256], training.sample(latents[:256], None))
    assert len(training.sample(latents, None)) == 1_000


def test_fakes_carry_the_labels_of_the_reals_they_are_scored_beside() -> None:
    spec = small_spec(dataset="digits", model={"conditional": True})
    training = small_training(spec)
    given: dict[str, list[torch.Tensor]] = {"G": [], "D": []}
    training.generator.network.register_forward_pre_hook(lambda _, inputs: given["G"].append(inputs[1]))
    training.discriminator.network.register_forward_pre_hook(lambda _, inputs: given["D"].append(inputs[1]))

    training.step()

    assert all(torch.equal(labels, given["G"][0]) for labels in given["G"] + given["D"])
    assert len(given["G"][0].unique()) > 1


def test_a_float64_training_stays_close_to_the_float32_one() -> None:
    narrow = rows_of(small_training(small_spec()), 5)
    wide = rows_of(small_training(small_spec(), dtype=torch.float64), 5)

    assert narrow["d_loss"] == pytest.approx(wide["d_loss"], rel=1e-4)


def test_a_small_data_set_repeats_within_a_batch_rather_than_failing() -> None:
    spec = small_spec(loop={"batch_size": 8})
    data = smaller(open_dataset(spec.dataset), 3)  # type: ignore[arg-type]
    training = Training(spec, data, device=CPU, dtype=torch.float32)

    rows = rows_of(training, 2)

    assert np.isfinite(rows["d_loss"]).all()


def test_a_short_run_on_the_ring_moves_the_fakes_towards_the_data() -> None:
    fast = {"lr": 5e-3, "betas": (0.0, 0.9)}
    spec = small_spec(
        model={"generator": {"width": 64}, "discriminator": {"width": 64}},
        objective={"r1": 0.1, "r2": 0.1},
        loop={"batch_size": 64, "max_steps": 300},
        optimizer={"generator": fast, "discriminator": fast},
    )
    training = small_training(spec)
    radius_before = training.sample(*training.fixed_latents()).norm(dim=1).mean()

    take_steps(training, 300)

    radius_after = training.sample(*training.fixed_latents()).norm(dim=1).mean()
    radius_of_data = training.data.samples.norm(dim=1).mean()
    assert abs(radius_after - radius_of_data) < 0.35 * abs(radius_before - radius_of_data)
