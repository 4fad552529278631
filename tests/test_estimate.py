"""Estimates: compared with files that were written and memory that was really used."""

import json
import subprocess
import sys
from typing import Any

import pytest
import torch

from service.spec.datasets import DATASETS
from service.spec.estimate import TRAINER_BYTES, estimate
from service.spec.resolve import Resolved, parse_spec, resolve
from worker.gan.data.registry import open_dataset
from worker.gan.files import write_state
from worker.gan.training import Training

GIB = 2**30
WIDE = {"width": 1024, "depth": 4}
WIDE_NETWORKS = {"dataset": "ring", "model": {"generator": WIDE, "discriminator": WIDE}, "loop": {"batch_size": 64}}
LARGE_BATCH = {"dataset": "ring", "loop": {"batch_size": 16_384}, "quality": {"held_out": 0}}

MEASURE_PEAK = """
import json, re, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from tests.test_estimate import resolved, trained
from worker.gan.files import write_state

def peak_after(body):
    write_state(trained(resolved(body), steps=3).state())
    # Not getrusage: its peak begins with that of the process this one was forked from.
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

print(json.dumps([peak_after(json.loads(body)) for body in sys.argv[1:]]))
"""


def resolved(body: dict[str, Any]) -> Resolved:
    return resolve(parse_spec({"seed": 1, **body}), memory_limit_bytes=64 * GIB)


def trained(job: Resolved, steps: int) -> Training:
    dtype = torch.float64 if job.spec.resources.precision == "float64" else torch.float32
    training = Training(job.spec, open_dataset(job.spec.dataset), device=torch.device("cpu"), dtype=dtype)
    for _ in range(steps):
        training.step()
    return training


@pytest.mark.parametrize("name", DATASETS)
def test_a_checkpoint_is_as_large_as_estimated(name: str) -> None:
    job = resolved({"dataset": name})

    written = write_state(trained(job, steps=1).state())

    assert job.estimate.checkpoint_bytes == pytest.approx(len(written), rel=0.05)


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"architecture": "dcgan"}},
        {"model": {"architecture": "lite"}},
        {"model": {"discriminator": {"packing": 2, "minibatch_std": 4}}},
        {"model": {"architecture": "dcgan", "discriminator": {"spectral_norm": True}}},
        {"resources": {"precision": "float64", "step": "eager"}},
        {"model": {"ema": {"half_life_samples": 0}}},
        {"optimizer": {"generator": {"name": "sgd"}}},
    ],
)
def test_a_checkpoint_is_as_large_as_estimated_whatever_it_holds(change: dict[str, Any]) -> None:
    job = resolved({"dataset": "digits", **change})

    written = write_state(trained(job, steps=1).state())

    assert job.estimate.checkpoint_bytes == pytest.approx(len(written), rel=0.05)


def test_a_checkpoint_of_timbres_is_as_large_as_estimated() -> None:
    job = resolved({"dataset": "tones", "model": {"architecture": "timbre"}})

    written = write_state(trained(job, steps=1).state())

    assert job.estimate.checkpoint_bytes == pytest.approx(len(written), rel=0.02)


def test_parameters_are_those_of_the_networks() -> None:
    job = resolved({"dataset": "digits"})

    training = trained(job, steps=0)

    assert job.estimate.generator_parameters == sum(p.numel() for p in training.generator.parameters)
    assert job.estimate.discriminator_parameters == sum(p.numel() for p in training.discriminator.parameters)


@pytest.mark.parametrize("large_job", [WIDE_NETWORKS, LARGE_BATCH], ids=["wide networks", "large batch"])
def test_peak_memory_over_that_of_a_small_job_is_near_the_estimate(large_job: dict[str, Any]) -> None:
    small_job = {"dataset": "ring"}
    command = [sys.executable, "-c", MEASURE_PEAK, json.dumps(small_job), json.dumps(large_job)]

    small, large = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    estimated = resolved(large_job).estimate.memory_bytes - resolved(small_job).estimate.memory_bytes
    assert large - small > 100 * 2**20
    assert 0.8 * (large - small) <= estimated <= 1.5 * (large - small)


def test_penalties_batches_and_precision_each_need_memory() -> None:
    eager = {"step": "eager"}
    plain = {"dataset": "digits", "objective": {"r1": 0, "r2": 0}, "loop": {"batch_size": 64}, "resources": eager}
    changes: list[dict[str, Any]] = [
        {"objective": {"r1": 1, "r2": 0}},
        {"loop": {"batch_size": 1024}},
        {"resources": {**eager, "precision": "float64"}},
        {"model": {"generator": {"width": 512}}},
        {"model": {"discriminator": {"spectral_norm": True}}},
        {"objective": {"r1": 0, "r2": 0, "augment": {}}},
    ]

    needed = resolved(plain).estimate.memory_bytes

    assert needed > TRAINER_BYTES
    for change in changes:
        assert resolved({**plain, **change}).estimate.memory_bytes > needed, change


def test_drawing_the_reals_again_needs_memory() -> None:
    lite = {"dataset": "digits", "model": {"architecture": "lite", "generator": {"width": 4}}}

    resting = resolved({**lite, "objective": {"reconstruction": 0}}).estimate

    assert resolved(lite).estimate.memory_bytes > resting.memory_bytes


def test_the_estimate_of_a_resolved_job_is_that_of_its_spec() -> None:
    job = resolved({"dataset": "wine"})

    assert job.estimate == estimate(job.spec, job.facts)
