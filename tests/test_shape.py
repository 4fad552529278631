"""Which jobs are of one shape."""

from typing import Any

import pytest
from small_training import small_spec

from service.spec.shape import shape_of

FALLS = {"name": "cosine", "warmup_steps": 2}


@pytest.mark.parametrize(
    "parts",
    [
        {"seed": 8, "name": "another", "priority": 3, "labels": {"sweep": "a"}},
        {"loop": {"max_steps": 40}, "checkpoints": {"every_steps": 5}, "quality": {"every_steps": 0}},
        {"optimizer": {"generator": {"lr": 2e-3, "betas": [0.0, 0.9]}}},
        {"optimizer": {"generator": {"schedule": {**FALLS, "final_ratio": 0.1}}}},
    ],
    ids=["names and seeds", "lengths and cadences", "rates", "schedules"],
)
def test_jobs_that_differ_in_numbers_are_of_one_shape(parts: dict[str, Any]) -> None:
    assert shape_of(small_spec(**parts)) == shape_of(small_spec())


@pytest.mark.parametrize(
    "parts",
    [
        {"dataset": "grid"},
        {"loop": {"batch_size": 16}},
        {"loop": {"variant": "fused"}},
        {"model": {"generator": {"width": 32}}},
        {"model": {"ema": {"half_life_samples": 500}}},
        {"objective": {"r1": 1.0}},
        {"optimizer": {"generator": {"eps": 1e-6}}},
        {"optimizer": {"discriminator": {"lr": 0}}},
        {"optimizer": {"discriminator": {"schedule": FALLS}}},
        {"resources": {"threads": 2}},
    ],
    ids=str,
)
def test_jobs_whose_steps_differ_are_not(parts: dict[str, Any]) -> None:
    assert shape_of(small_spec(**parts)) != shape_of(small_spec())


def test_weights_of_a_penalty_may_differ_but_not_whether_it_is_there() -> None:
    weak, strong, none = (small_spec(objective={"r1": weight}) for weight in (0.1, 1.0, 0.0))

    assert shape_of(weak) == shape_of(strong) != shape_of(none)


def test_a_warm_up_past_the_horizon_moves_the_end_of_a_penalty() -> None:
    falls = {"name": "linear", "initial": 1.0, "final_ratio": 0.0, "horizon_steps": 10}
    soon, late = (small_spec(objective={"r1": {**falls, "warmup_steps": steps}}) for steps in (0, 40))

    assert shape_of(soon) != shape_of(late)


def test_half_lives_of_an_average_may_differ() -> None:
    short, long = (small_spec(model={"ema": {"half_life_samples": samples}}) for samples in (500, 1_000))

    assert shape_of(short) == shape_of(long)


def test_jobs_whose_steps_cannot_be_compiled_have_no_shape() -> None:
    assert shape_of(small_spec(objective={"dragan": 1.0})) is None
