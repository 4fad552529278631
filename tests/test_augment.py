"""Changes of pictures against their definitions, and the probability that adapts to what D knows of reals."""

import numpy as np
import pytest
import torch
from small_training import rows_of, small_spec, small_training
from torch import Tensor

from service.spec.parts.objective import AugmentSpec
from worker.gan.views.augment import CHANGES, Augment, change_colour, cut_out, move

COUNT = 40


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(channels: int = 3, height: int = 8, width: int = 16) -> Tensor:
    return torch.randn(COUNT, channels, height, width, generator=seeded(9), dtype=torch.float64)


def test_colour_moves_the_middle_and_scales_what_is_around_it() -> None:
    before = pictures(channels=1)

    after = change_colour(before, seeded())

    brightness, _, contrast = torch.rand(3, COUNT, 1, 1, 1, generator=seeded()).double()
    middle = before.mean(dim=(1, 2, 3), keepdim=True)
    torch.testing.assert_close(after, middle + brightness - 0.5 + (contrast + 0.5) * (before - middle))


def test_saturation_scales_the_distance_from_grey() -> None:
    before = pictures()

    after = change_colour(before, seeded())

    _, saturation, contrast = torch.rand(3, COUNT, 1, 1, 1, generator=seeded()).double()
    apart_before, apart_after = (each[:, 0] - each[:, 1] for each in (before, after))
    torch.testing.assert_close(apart_after, ((contrast + 0.5) * 2 * saturation)[:, 0] * apart_before)


def test_a_moved_picture_is_the_old_one_elsewhere_and_nothing_beyond_it() -> None:
    before = pictures()

    after = move(before, seeded())

    shifts = set()
    for old, new in zip(before, after, strict=True):
        around = torch.nn.functional.pad(old, (2, 2, 1, 1))
        matches = [(y, x) for y in range(3) for x in range(5) if torch.equal(around[:, y : y + 8, x : x + 16], new)]
        assert len(matches) == 1
        shifts |= set(matches)
    assert {y for y, _ in shifts} == {0, 1, 2}
    assert {x for _, x in shifts} == {0, 1, 2, 3, 4}


def test_a_rectangle_of_half_the_sides_is_cut_out_of_every_channel() -> None:
    after = cut_out(torch.ones(COUNT, 2, 8, 16), seeded())

    holes = (after == 0).all(dim=1)
    rows, columns = holes.any(dim=2).sum(dim=1), holes.any(dim=1).sum(dim=1)
    assert torch.equal(holes.sum(dim=(1, 2)), rows * columns)
    assert (rows.max(), columns.max()) == (4, 8)
    assert rows.min() >= 2
    assert columns.min() >= 4
    assert ((after == 0) | (after == 1)).all()


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_has_a_gradient_that_can_be_taken_again(name: str) -> None:
    few = pictures(height=4, width=4)[:2].requires_grad_()

    assert torch.autograd.gradcheck(lambda shown: CHANGES[name](shown, seeded()), few)
    assert torch.autograd.gradgradcheck(lambda shown: CHANGES[name](shown, seeded()).square(), few)


def test_a_policy_draws_only_its_own_changes_and_a_share_of_pictures_is_left() -> None:
    before = torch.ones(2_000, 1, 4, 4)

    after = Augment(AugmentSpec(policy=("cutout",), probability=0.3))(before, seeded())

    changed = (after != before).flatten(1).any(dim=1)
    assert changed.double().mean().item() == pytest.approx(0.3, abs=0.03)
    assert ((after == 0) | (after == 1)).all()


def test_an_adaptive_probability_rises_while_d_is_too_sure_and_falls_after_within_0_and_1() -> None:
    augment = Augment(AugmentSpec(probability="adaptive", target=0.5, rise_samples=10)).double()
    sure, unsure = torch.tensor([1.0, 2, 3, 4]), torch.tensor([1.0, 2, 3, -4])  # the unsure mean is the target itself
    heights = []

    for logits in (-sure, sure, sure, unsure, sure, sure, -sure):
        augment.adapt(logits, 4)
        heights.append(augment.probability.item())

    assert heights == pytest.approx([0, 0.4, 0.8, 0.8, 1, 1, 0.6], abs=1e-6)


def test_an_adaptive_probability_counts_the_samples_of_packs() -> None:
    spec = small_spec(
        dataset="digits",
        model={"discriminator": {"packing": 4}},
        objective={"loss": "hinge", "augment": {"probability": "adaptive", "target": 0.01, "rise_samples": 80}},
    )

    rows = rows_of(small_training(spec), 4)

    moves = np.abs(np.diff(rows["augment_p"]))
    assert moves[moves > 0] == pytest.approx(0.1, abs=1e-6)  # 8 of 80 samples a step, not 2 packs
    assert moves.max() > 0


def test_a_given_probability_stays() -> None:
    augment = Augment(AugmentSpec(probability=0.25))

    augment.adapt(torch.ones(4), 4)

    assert augment.probability.item() == 0.25


def test_the_probability_is_recorded_and_moves_once_for_each_update_of_d() -> None:
    spec = small_spec(
        dataset="digits",
        objective={"loss": "hinge", "augment": {"probability": "adaptive", "target": 0.01, "rise_samples": 80}},
        loop={"discriminator_steps": 2},
    )
    training = small_training(spec)
    scored: list[float] = []
    training.discriminator.network.register_forward_hook(lambda _, __, logits: scored.append(logits.sign().mean()))

    rows = rows_of(training, 3)

    expected, probability = [], 0.0
    for step in range(3):
        for of_reals in (scored[5 * step], scored[5 * step + 2]):  # D's turn twice, reals before fakes, and G's
            probability = min(1.0, max(0.0, probability + (0.1 if of_reals > 0.01 else -0.1)))  # 8 of 80 samples
        expected.append(probability)
    assert rows["augment_p"] == pytest.approx(expected, abs=1e-6)
    assert max(expected) > 0
    assert "augment_p" not in rows_of(small_training(small_spec(dataset="digits")), 1)
