"""Scheduled values over the steps of a job."""

import pytest

from service.spec.parts.schedules import Schedule, ScheduledDecay, ScheduledValue
from worker.gan.schedules import decay_at, fraction_at, weight_at


def schedule(name: str, **values: float) -> Schedule:
    return Schedule.model_validate({"name": name, "horizon_steps": 100, **values})


@pytest.mark.parametrize(
    ("name", "start", "middle", "end"),
    [("constant", 1, 1, 1), ("linear", 1, 0.52, 0.04), ("cosine", 1, 0.52, 0.04), ("geometric", 1, 0.2, 0.04)],
)
def test_each_shape_falls_from_one_to_its_final_ratio(name: str, start: float, middle: float, end: float) -> None:
    falling = schedule(name, final_ratio=0.04)

    assert [fraction_at(falling, step) for step in (0, 50, 100)] == pytest.approx([start, middle, end])


@pytest.mark.parametrize("name", ["constant", "linear", "cosine", "geometric"])
def test_past_the_horizon_the_last_value_holds(name: str) -> None:
    falling = schedule(name, final_ratio=0.25)

    assert fraction_at(falling, 100_000) == fraction_at(falling, 100)


def test_a_cosine_is_flat_at_both_ends() -> None:
    falling = schedule("cosine")

    assert fraction_at(falling, 25) == pytest.approx(0.853553, abs=1e-6)
    assert fraction_at(falling, 75) == pytest.approx(0.146447, abs=1e-6)


def test_warm_up_rises_linearly_from_the_first_step_and_the_descent_follows_it() -> None:
    rising = schedule("linear", warmup_steps=4)

    assert [fraction_at(rising, step) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert fraction_at(rising, 4) == 1.0
    assert fraction_at(rising, 52) == pytest.approx(0.5)
    assert fraction_at(rising, 100) == 0


def test_a_warm_up_longer_than_the_horizon_still_rises() -> None:
    rising = schedule("cosine", warmup_steps=200)

    assert fraction_at(rising, 149) == 0.75
    assert fraction_at(rising, 200) == 1.0
    assert fraction_at(rising, 201) == 0


def test_a_constant_needs_no_horizon_and_nothing_else_goes_without() -> None:
    assert fraction_at(Schedule(name="constant"), 10) == 1
    with pytest.raises(ValueError, match="horizon"):
        fraction_at(Schedule(name="linear"), 10)


def test_a_weight_is_a_number_or_a_schedule() -> None:
    fading = ScheduledValue(name="geometric", initial=0.3, final_ratio=0.01, horizon_steps=100)

    assert weight_at(0.3, 50) == 0.3
    assert weight_at(fading, 50) == pytest.approx(0.03)


@pytest.mark.parametrize(("name", "middle"), [("linear", 0.945), ("cosine", 0.945), ("geometric", 1 - 0.1**1.5)])
def test_a_decay_rate_moves_up_or_down_to_its_final_value_and_holds_it(name: str, middle: float) -> None:
    up = ScheduledDecay.model_validate({"name": name, "initial": 0.9, "final": 0.99, "horizon_steps": 100})
    down = ScheduledDecay.model_validate({"name": name, "initial": 0.99, "final": 0.9, "horizon_steps": 100})

    assert [decay_at(up, step) for step in (0, 50, 100, 900)] == pytest.approx([0.9, middle, 0.99, 0.99])
    assert [decay_at(down, step) for step in (0, 50, 100, 900)] == pytest.approx([0.99, middle, 0.9, 0.9])


def test_a_decay_rate_may_be_a_number_and_a_schedule_of_it_needs_a_horizon() -> None:
    assert decay_at(0.999, 50) == 0.999
    with pytest.raises(ValueError, match="horizon"):
        decay_at(ScheduledDecay(initial=0.5, final=0.9), 1)
