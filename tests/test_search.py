"""The points of a sweep: every combination, or draws that a seed repeats."""

from typing import Any

import pytest
from pydantic import ValidationError

from service.errors import InvalidInput
from service.search import Point, choose_points
from service.spec.sweep import SweepSpec

RATE = "optimizer.generator.lr"


def points(seed: int = 1, **method: Any) -> list[Point]:
    return choose_points(SweepSpec(spec={"dataset": "ring"}, **method), seed)


def drawn(path: str, seed: int = 1, **choice: Any) -> list[Any]:
    return [point[path] for point in points(seed, random={"parameters": {path: choice}, "count": 60})]


def test_a_grid_is_every_combination_in_order() -> None:
    chosen = points(grid={RATE: [1e-4, 2e-4], "objective.loss": ["saturating", "hinge"]})

    assert [tuple(point.values()) for point in chosen] == [
        (1e-4, "saturating"),
        (1e-4, "hinge"),
        (2e-4, "saturating"),
        (2e-4, "hinge"),
    ]


def test_a_grid_of_too_many_members_is_refused() -> None:
    with pytest.raises(InvalidInput, match="289 combinations"):
        points(grid={RATE: [*range(1, 18)], "loop.max_steps": [*range(1, 18)]})


def test_draws_follow_from_the_seed() -> None:
    bounds = {"low": 1e-5, "high": 1e-2, "log": True}

    assert drawn(RATE, 1, **bounds) == drawn(RATE, 1, **bounds) != drawn(RATE, 2, **bounds)


def test_logarithmic_draws_are_even_in_magnitude() -> None:
    rates = drawn(RATE, low=1e-5, high=1e-1, log=True)

    assert all(1e-5 <= rate <= 1e-1 for rate in rates)
    assert 20 < sum(rate < 1e-3 for rate in rates) < 40


def test_steps_count_from_the_lower_bound_and_stop_before_the_upper_one() -> None:
    assert set(drawn("objective.r1", low=0.1, high=0.75, step=0.3)) == {0.1, 0.4, 0.7}


def test_whole_bounds_draw_whole_numbers_only_where_the_spec_takes_no_others() -> None:
    widths, weights = drawn("model.generator.width", low=8, high=64), drawn("objective.r1", low=0, high=1)

    assert all(type(width) is int for width in widths)
    assert len(set(weights)) > 2


def test_any_values_can_be_chosen_from() -> None:
    betas: list[Any] = [[0.0, 0.9], [0.5, 0.999]]

    chosen = drawn("optimizer.generator.betas", choices=betas)

    assert all(each in chosen for each in betas)


@pytest.mark.parametrize(
    "method",
    [
        {},
        {"grid": {RATE: [1]}, "random": {"parameters": {RATE: {"choices": [1]}}, "count": 1}},
        {"grid": {}},
        {"grid": {RATE: []}},
        {"grid": {"../lr": [1]}},
        {"random": {"parameters": {RATE: {"low": 2, "high": 1}}, "count": 1}},
        {"random": {"parameters": {RATE: {"low": 0, "high": 1, "log": True}}, "count": 1}},
        {"random": {"parameters": {RATE: {"low": 0, "high": 1, "step": 1e-300}}, "count": 1}},
        {"random": {"parameters": {RATE: {"low": 1, "high": 2, "log": True, "step": 1}}, "count": 1}},
        {"asha": {"parameters": {RATE: {"choices": [1]}}, "count": 3}},
    ],
    ids=str,
)
def test_what_cannot_be_searched_is_refused(method: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        points(**method)
