"""Trainings that take their steps together compute what each would alone; of native code, test_compiled_jobs tells."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
import pytest
import torch
from small_training import CPU, small_spec
from torch.fx import GraphModule
from whole_steps import WAYS, take_steps

from service.spec.compilation import obstacle
from service.spec.job import JobSpec
from service.spec.plan import Plan
from service.spec.resolve import merge
from worker.gan.cohort import Cohort
from worker.gan.compiled import Native
from worker.gan.data.registry import open_dataset
from worker.gan.files import read_state, write_state
from worker.gan.training import Training

STEPS = 4


def ways(*names: str, **changes: Any) -> dict[str, Any]:
    """Merge some of the ways to train and more: what does not interfere costs one cohort instead of many."""
    return reduce(merge, [*(WAYS[name] for name in names), changes])


GROUPS = {
    "fused with one backward pass": ("original", "fused with one backward pass"),
    "fused with two": ("fused with two",),
    "several updates": ("several updates",),
    "penalties and averages": ("penalties that fall",),
    "labels": ("labels",),
    "reuse of codes, packs and groups": ("reuse", "codes", "packs", "groups and octaves"),
    "decays, clipping and norms": ("weight decay and clipping",),
    "the best of the fakes for a frozen discriminator": ("a frozen discriminator", "the best of the fakes"),
    "relativistic, without an average": ("relativistic, without an average",),
}
BESIDE: dict[str, dict[str, Any]] = {
    "penalties and averages": {"model": {"ema": {"half_life_samples": 500}}, "objective": {"lecam": 0.3}},
    "decays, clipping and norms": {"model": {"discriminator": {"spectral_norm": True}}},
}
COMPILABLE = {name: ways(*group, **BESIDE.get(name, {})) for name, group in GROUPS.items()} | {
    "tables": {"dataset": "survey", "model": {"architecture": "tabular"}},
}
QUICK = ("several updates", "penalties and averages")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own parts


def as_traced(graph: GraphModule, _tensors: object) -> Native:
    """Carry out the traced operations one after the other."""
    return graph


def training(spec: JobSpec, *, alone: bool = False, dtype: torch.dtype = torch.float64) -> Training:
    data = open_dataset(spec.dataset)  # type: ignore[arg-type]  # a resolved spec holds a reference
    plan = None if alone else Plan("compiled", 1, "tested")
    return Training(spec, data, device=CPU, dtype=dtype, plan=plan, compiler=as_traced)


def sweep(**parts: Any) -> list[JobSpec]:
    """Three specs of one shape: other seeds, and another rate of each."""
    rates = [{"optimizer": {"generator": {"lr": rate}}} for rate in (1e-3, 2e-3, 5e-4)]
    return [small_spec(**merge(parts, {**rate, "seed": seed})) for seed, rate in enumerate(rates)]


def take_together(cohort: Cohort, trainings: Sequence[Training], steps: int) -> list[np.ndarray]:
    """Take steps and return what each has recorded (steps, columns), without the clock."""
    for _ in range(steps):
        cohort.step()
    return [each.recorder.take()[1][:, :-1] for each in trainings]


def assert_equal_states(one: Training, other: Training) -> None:
    tensors, others = one.state().tensors, other.state().tensors
    assert tensors.keys() == others.keys()
    for name, tensor in tensors.items():
        assert torch.allclose(tensor, others[name], rtol=1e-9, atol=1e-12), name


def test_every_way_that_can_be_compiled_is_in_a_cohort() -> None:
    compilable = {name for name, parts in WAYS.items() if obstacle(small_spec(**parts)) is None}

    assert {name for group in GROUPS.values() for name in group} == compilable


@pytest.mark.parametrize(
    "way", [way if way in QUICK else pytest.param(way, marks=pytest.mark.slow) for way in COMPILABLE]
)
def test_trainings_in_a_cohort_equal_those_alone(way: str) -> None:
    specs = sweep(**COMPILABLE[way])
    alone, together = [training(spec, alone=True) for spec in specs], [training(spec) for spec in specs]
    cohort = Cohort(together, compiler=as_traced)

    rows = take_together(cohort, together, STEPS)

    for one, other, row in zip(alone, together, rows, strict=True):
        assert np.allclose(row, take_steps(one, STEPS), rtol=1e-6, atol=1e-7)
        assert_equal_states(one, other)


def test_trainings_that_have_been_restored_go_on_together() -> None:
    specs = sweep(**WAYS["several updates"])
    alone, together = [training(spec, alone=True) for spec in specs], [training(spec) for spec in specs]
    for one, other in zip(alone, together, strict=True):
        take_steps(one, 3)
        other.restore(read_state(write_state(one.state())))

    rows = take_together(Cohort(together, compiler=as_traced), together, STEPS)

    for one, other, row in zip(alone, together, rows, strict=True):
        assert np.allclose(row, take_steps(one, STEPS), rtol=1e-6, atol=1e-7)
        assert_equal_states(one, other)


@pytest.mark.parametrize("place", [0, 2])
def test_a_training_that_leaves_changes_no_bit_of_the_others(place: int) -> None:
    specs = sweep()
    undisturbed, together = ([training(spec, dtype=torch.float32) for spec in specs] for _ in range(2))
    take_together(Cohort(undisturbed, compiler=as_traced), undisturbed, 2 * STEPS)
    cohort = Cohort(together, compiler=as_traced)
    take_together(cohort, together, STEPS)
    undisturbed.pop(place)

    cohort.leave(together.pop(place))
    take_together(cohort, together, STEPS)

    assert [write_state(each.state()) for each in together] == [write_state(each.state()) for each in undisturbed]


def test_trainings_of_two_shapes_form_no_cohort() -> None:
    with pytest.raises(ValueError, match="one shape"):
        Cohort([training(small_spec()), training(small_spec(loop={"batch_size": 16}))])


def test_a_training_in_a_cohort_neither_takes_a_step_by_itself_nor_is_restored() -> None:
    together = [training(spec) for spec in sweep()]
    Cohort(together, compiler=as_traced)

    with pytest.raises(TypeError, match="with the others"):
        together[0].step()
    with pytest.raises(TypeError, match="not restored"):
        together[1].restore(together[1].state())


def test_numbers_that_are_no_longer_finite_stay_in_the_training_that_they_are_of() -> None:
    undisturbed, together = ([training(spec, dtype=torch.float32) for spec in sweep()] for _ in range(2))
    take_together(Cohort(undisturbed, compiler=as_traced), undisturbed, STEPS)
    with torch.no_grad():
        next(together[1].generator.network.parameters()).fill_(torch.nan)

    rows = take_together(Cohort(together, compiler=as_traced), together, STEPS)

    assert np.isnan(rows[1]).any()
    for place in (0, 2):
        assert write_state(together[place].state()) == write_state(undisturbed[place].state())
