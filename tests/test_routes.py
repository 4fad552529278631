"""Products of matrices go to the faster library, if it is as exact, and a training is the same by either."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from small_training import CPU, small_spec
from whole_steps import take_steps

from service.spec.plan import Plan, Route, choose_plan
from service.spec.resolve import find_dataset
from worker.exactness import compute_exactly, difference, machine_facts
from worker.gan.data.registry import open_dataset
from worker.gan.routes import SWITCH, find_route, judge
from worker.gan.training import Training


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    compute_exactly(CPU)


def rows_by(route: Route) -> np.ndarray:
    compute_exactly(CPU, route=route)
    spec = small_spec(dataset="digits")
    data = open_dataset(spec.dataset)  # type: ignore[arg-type]  # a resolved spec holds a reference
    return take_steps(Training(spec, data, device=CPU, dtype=torch.float32), 3)


def test_a_training_is_the_same_by_either_route_but_for_the_last_bits() -> None:
    usual, other = rows_by("default"), rows_by("onednn")

    assert np.allclose(other, usual, rtol=1e-4, atol=1e-5)
    assert np.array_equal(rows_by("onednn"), other)


@pytest.mark.parametrize(
    ("gain", "error", "route"), [(2.0, 3e-7, "onednn"), (1.1, 3e-7, "default"), (4.0, 2e-3, "default")]
)
def test_the_other_route_is_taken_where_it_is_much_faster_and_as_exact(gain: float, error: float, route: Route) -> None:
    assert judge(gain, error) == route


def test_who_looks_for_the_faster_route_leaves_the_usual_one() -> None:
    assert find_route() in SWITCH
    assert torch.backends.mkldnn.matmul.fp32_precision == SWITCH["default"]


@pytest.mark.parametrize(("device", "route"), [("cpu", "onednn"), ("cuda", "default")])
def test_the_route_of_the_processor_is_for_jobs_on_it(device: str, route: Route) -> None:
    spec = small_spec()
    facts = find_dataset(spec.dataset)[1]

    plan = choose_plan(spec, facts, device=device, can_compile=False, threads=1, share=1, route="onednn")

    assert plan.route == route


def test_another_route_is_told_where_a_training_goes_on() -> None:
    before, now = (machine_facts(device=CPU, plan=Plan("eager", 1, "short", route=route)) for route in SWITCH)
    of_an_older_version = {key: value for key, value in before.items() if key != "route"}

    assert difference(before, now) == "Equivalent, not identical: route default became onednn."
    assert difference(of_an_older_version, before) is None
