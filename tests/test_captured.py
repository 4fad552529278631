"""A captured step is the eager one, but for the last bits, and resumes exactly."""

from typing import Any

import numpy as np
import pytest
import torch
from small_training import CPU, small_spec, weights_of
from torch import Tensor
from whole_steps import WAYS, take_steps

from service.spec.compilation import obstacle_to_capture
from service.spec.job import JobSpec
from service.spec.plan import Plan, layout_for
from worker.exactness import compute_exactly
from worker.gan.captured import CaptureFailed
from worker.gan.data.registry import open_dataset
from worker.gan.files import read_state, write_state
from worker.gan.training import Training
from worker.gan.whole_step import Due

STEPS = 4
RISING = {"schedule": {"name": "cosine", "warmup_steps": 100}}
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
CAPTURABLE = {name: parts for name, parts in WAYS.items() if obstacle_to_capture(small_spec(**parts)) is None}

NETWORKS: dict[str, dict[str, Any]] = {
    "convolutions": {"dataset": "digits", "model": {"architecture": "dcgan"}},
    "convolutions with labels": {"dataset": "digits", "model": {"architecture": "dcgan", "conditional": True}},
    "residual blocks": {"dataset": "digits", "model": {"architecture": "resnet"}},
    "grouped convolutions": {"dataset": "digits", "model": {"architecture": "r3"}, "objective": {"r1": 1.0, "r2": 1.0}},
    "spectral norms": {"model": {"discriminator": {"spectral_norm": True}}},
    "tables": {"dataset": "survey", "model": {"architecture": "tabular"}},
}


def training(spec: JobSpec, device: str, *, captured: bool, dtype: torch.dtype = torch.float32) -> Training:
    compute_exactly(torch.device(device))
    data = open_dataset(spec.dataset)  # type: ignore[arg-type]  # a resolved spec holds a reference
    plan = Plan("captured" if captured else "eager", 1, "tested", layout_for(spec))
    return Training(spec, data, device=torch.device(device), dtype=dtype, plan=plan)


def losses_of(training: Training, steps: int) -> np.ndarray:
    """Take steps and return their losses (steps, 8), which rounding moves less than it does the norms of gradients."""
    return take_steps(training, steps)[:, :8]


def assert_equal_weights(one: Training, other: Training, *, rtol: float, atol: float) -> None:
    for network, its in (
        (one.generator.network, other.generator.network),
        (one.discriminator.network, other.discriminator.network),
    ):
        assert torch.allclose(weights_of(network).cpu(), weights_of(its).cpu(), rtol=rtol, atol=atol)


class Played:
    """Carries out a step by playing it."""

    def __init__(self, _changing: object) -> None:
        pass

    def carry_out(self, due: Due) -> Tensor:
        return due.play(due.inputs)


@pytest.mark.parametrize("way", CAPTURABLE)
def test_the_step_that_is_captured_equals_the_eager_one(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.gan.training.Captured", Played)
    spec = small_spec(**CAPTURABLE[way])
    eager, whole = (training(spec, "cpu", captured=captured, dtype=torch.float64) for captured in (False, True))

    rows, whole_rows = take_steps(eager, STEPS), take_steps(whole, STEPS)

    # the rate itself is in float32
    assert np.allclose(whole_rows, rows, rtol=1e-5, atol=1e-6)
    assert_equal_weights(whole, eager, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("parts", [WAYS["codes"], NETWORKS["convolutions"]], ids=["points", "pictures"])
def test_without_a_gpu_capturing_fails_with_the_reason_and_leaves_no_trace(parts: dict[str, Any]) -> None:
    whole, untouched = (training(small_spec(**parts), "cpu", captured=True) for _ in range(2))
    with pytest.raises(CaptureFailed, match="CUDA"):
        whole.step()

    before, after = untouched.state().tensors, whole.state().tensors
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    moments = after.keys() - before.keys()
    assert moments
    assert not any(after[name].any() for name in moments)


@needs_gpu
@pytest.mark.parametrize("way", CAPTURABLE)
def test_a_captured_step_equals_the_eager_one_of_a_cpu(way: str) -> None:
    spec = small_spec(**CAPTURABLE[way])
    eager = training(spec, "cpu", captured=False, dtype=torch.float64)
    captured = training(spec, "cuda", captured=True, dtype=torch.float64)

    rows, captured_rows = take_steps(eager, STEPS), take_steps(captured, STEPS)

    assert np.allclose(captured_rows, rows, rtol=1e-4, atol=1e-5)
    assert_equal_weights(captured, eager, rtol=1e-4, atol=1e-5)


@needs_gpu
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_can_be_captured(name: str) -> None:
    spec = small_spec(**NETWORKS[name])
    eager, captured = training(spec, "cuda", captured=False), training(spec, "cuda", captured=True)

    rows, captured_rows = take_steps(eager, STEPS), take_steps(captured, STEPS)

    assert np.allclose(captured_rows, rows, rtol=1e-3, atol=1e-4)


@needs_gpu
@pytest.mark.parametrize(
    "parts",
    [
        WAYS["labels"],
        WAYS["several updates"] | {"optimizer": {}},
        NETWORKS["convolutions"],
        WAYS["penalties that fall"],
        WAYS["codes"],
        {"optimizer": {"generator": RISING, "discriminator": RISING}},
    ],
    ids=["labels", "updates", "convolutions", "penalties", "codes", "rates"],
)
def test_a_captured_training_resumes_bit_for_bit(parts: dict[str, Any]) -> None:
    spec = small_spec(**parts)
    unbroken, broken, resumed = (training(spec, "cuda", captured=True) for _ in range(3))
    take_steps(unbroken, 2 * STEPS)
    take_steps(broken, STEPS)
    take_steps(resumed, 1)

    resumed.restore(read_state(write_state(broken.state())))
    take_steps(resumed, STEPS)

    assert write_state(resumed.state()) == write_state(unbroken.state())


@needs_gpu
def test_a_captured_step_in_bfloat16_stays_near_float32() -> None:
    exact, rounded = (
        training(small_spec(**NETWORKS["convolutions"], resources={"precision": precision}), "cuda", captured=True)
        for precision in ("float32", "bfloat16")
    )

    rows, rounded_rows = losses_of(exact, STEPS), losses_of(rounded, STEPS)

    assert np.allclose(rounded_rows, rows, rtol=0.02, atol=0.02)
    assert not np.array_equal(rounded_rows, rows)


@pytest.mark.parametrize("parts", [{}, NETWORKS["convolutions"]], ids=["points", "pictures"])
def test_networks_compute_in_bfloat16_from_weights_in_float32(parts: dict[str, Any]) -> None:
    exact, rounded = (
        training(small_spec(**parts, resources={"precision": precision}), "cpu", captured=False)
        for precision in ("float32", "bfloat16")
    )

    rows, rounded_rows = losses_of(exact, 3), losses_of(rounded, 3)

    assert np.allclose(rounded_rows, rows, rtol=0.02, atol=0.02)
    assert not np.array_equal(rounded_rows, rows)
    assert {parameter.dtype for parameter in rounded.generator.parameters} == {torch.float32}


def test_what_is_multiplied_is_rounded_to_tf32_only_where_asked_for() -> None:
    compute_exactly(CPU, tf32=True)
    assert torch.backends.cudnn.allow_tf32

    compute_exactly(CPU)
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
