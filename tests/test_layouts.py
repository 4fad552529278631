"""How pictures lie in memory changes last bits alone, and a training resumes exactly in either way."""

from typing import Any

import numpy as np
import pytest
import torch
from small_training import CPU, small_spec, weights_of
from whole_steps import take_steps

from service.spec.plan import Layout, Plan
from worker.gan.data.registry import open_dataset
from worker.gan.files import read_state, write_state
from worker.gan.player import laid_out_as
from worker.gan.training import Training

STEPS = 3


def training(layout: Layout, dtype: torch.dtype = torch.float32, **parts: Any) -> Training:
    spec = small_spec(**{"dataset": "digits", **parts})
    data = open_dataset(spec.dataset)  # type: ignore[arg-type]  # a resolved spec holds a reference
    return Training(spec, data, device=CPU, dtype=dtype, plan=Plan("eager", 1, "tested", layout))


@pytest.mark.parametrize("architecture", ["dcgan", "resnet"])
def test_both_layouts_train_the_same(architecture: str) -> None:
    model = {"architecture": architecture}
    usual, other = (training(layout, torch.float64, model=model) for layout in ("contiguous", "channels_last"))

    rows, other_rows = take_steps(usual, STEPS), take_steps(other, STEPS)

    assert np.allclose(other_rows, rows, rtol=1e-6, atol=1e-7)
    for player, its in ((usual.generator, other.generator), (usual.discriminator, other.discriminator)):
        assert torch.allclose(weights_of(player.network), weights_of(its.network), rtol=1e-8, atol=1e-10)


def test_convolutions_keep_their_channels_side_by_side_through_a_resume() -> None:
    unbroken, broken, resumed = (training("channels_last", model={"architecture": "dcgan"}) for _ in range(3))
    take_steps(unbroken, 2 * STEPS)
    take_steps(broken, STEPS)

    resumed.restore(read_state(write_state(broken.state())))
    take_steps(resumed, STEPS)

    assert write_state(resumed.state()) == write_state(unbroken.state())
    for parameter in resumed.generator.parameters:
        for moment in ("exp_avg", "exp_avg_sq"):
            assert resumed.generator.optimizer.state[parameter][moment].stride() == parameter.stride()
    assert any(not parameter.is_contiguous() for parameter in resumed.generator.parameters)


def test_numbers_are_laid_out_as_the_parameter_they_belong_to() -> None:
    parameter = torch.zeros(2, 3, 4, 4).to(memory_format=torch.channels_last)
    numbers = torch.randn(2, 3, 4, 4)

    laid_out = laid_out_as(parameter, numbers)

    assert laid_out.stride() == parameter.stride()
    assert torch.equal(laid_out, numbers)
