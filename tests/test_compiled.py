"""A compiled step is the eager one, but for the last bits, and resumes exactly."""

from typing import Any

import numpy as np
import pytest
import torch
from small_training import CPU, small_spec, weights_of
from torch.fx import GraphModule
from whole_steps import WAYS, take_steps

from service.spec.compilation import obstacle
from service.spec.job import JobSpec
from service.spec.plan import Plan
from service.spec.resolve import merge
from tests.building import a_resolved
from worker.gan.compiled import Compiler, Native, to_native_code
from worker.gan.data.registry import open_dataset
from worker.gan.files import read_state, write_state
from worker.gan.training import Training

STEPS = 4
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own parts


def as_traced(graph: GraphModule, _tensors: object) -> Native:
    """Carry out the traced operations one after the other."""
    return graph


def training(spec: JobSpec, compiler: Compiler | None, dtype: torch.dtype = torch.float32) -> Training:
    data = open_dataset(spec.dataset)  # type: ignore[arg-type]  # a resolved spec holds a reference
    if compiler is None:
        return Training(spec, data, device=CPU, dtype=dtype)
    return Training(spec, data, device=CPU, dtype=dtype, plan=Plan("compiled", 1, "tested"), compiler=compiler)


COMPILABLE = WAYS | {
    "averages": {"objective": {"lecam": 0.3}},
    "spectral norms": {"model": {"discriminator": {"spectral_norm": True}}},
    "tables": {"dataset": "survey", "model": {"architecture": "tabular"}},
}


@pytest.mark.parametrize("way", COMPILABLE)
def test_a_compiled_step_equals_the_eager_one(way: str) -> None:
    spec = small_spec(**COMPILABLE[way])
    eager, compiled = training(spec, None, torch.float64), training(spec, as_traced, torch.float64)

    rows, compiled_rows = take_steps(eager, STEPS), take_steps(compiled, STEPS)

    assert np.allclose(compiled_rows, rows, rtol=1e-6, atol=1e-7)
    for player, other in ((eager.generator, compiled.generator), (eager.discriminator, compiled.discriminator)):
        assert torch.allclose(weights_of(player.network), weights_of(other.network), rtol=1e-9, atol=1e-12)
    kept, compiled_kept = eager.state().tensors, compiled.state().tensors
    assert kept.keys() == compiled_kept.keys()
    for name, tensor in kept.items():
        assert torch.allclose(tensor, compiled_kept[name], rtol=1e-9, atol=1e-12), name


def test_a_compiled_training_resumes_bit_for_bit() -> None:
    spec = small_spec(**WAYS["several updates"])
    unbroken, broken, resumed = (training(spec, as_traced) for _ in range(3))
    take_steps(unbroken, 2 * STEPS)
    take_steps(broken, STEPS)

    resumed.restore(read_state(write_state(broken.state())))
    take_steps(resumed, STEPS)

    assert write_state(resumed.state()) == write_state(unbroken.state())


@pytest.mark.slow
@pytest.mark.parametrize(
    "parts",
    [
        merge(WAYS["labels"], merge(WAYS["penalties that fall"], COMPILABLE["averages"])),
        merge(COMPILABLE["tables"], {"model": {"discriminator": {"packing": 2}}}),
    ],
    ids=["digits with labels, penalties and averages", "packs of tables"],
)
def test_the_native_code_of_a_step_computes_what_the_eager_one_does(parts: dict[str, Any]) -> None:
    spec = small_spec(**parts)

    eager = take_steps(training(spec, None), STEPS)
    native = take_steps(training(spec, to_native_code), STEPS)

    assert np.allclose(native, eager, rtol=1e-4, atol=1e-5)


def test_default_recipes_of_points_and_digits_can_be_compiled() -> None:
    recipes = {name: a_resolved(dataset=name).spec for name in ("ring", "grid", "moons", "digits")}

    assert {name: obstacle(spec) for name, spec in recipes.items()} == dict.fromkeys(recipes)
