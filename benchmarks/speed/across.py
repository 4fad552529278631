"""Rows P4 and P5: trainings that take turns across processes."""

import os
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import torch

from benchmarks.speed.figures import Effort, Figure, Runner, interleave, ratio
from benchmarks.speed.models import data_of, training_of
from benchmarks.speed.running import peer_python
from benchmarks.speed.steps import recorded
from benchmarks.speed.turns import TurnTaker

LIGHTNING = Path(__file__).with_name("train_lightning.py")
JOBS = 4


def against_lightning(effort: Effort) -> dict[str, Figure]:
    """P4."""
    torch.set_num_threads(1)
    return {model: _faster_than_lightning(model, effort) for model in ("ring", "digits")}


def _faster_than_lightning(model: str, effort: Effort) -> Figure:
    command = [str(peer_python()), str(LIGHTNING), model, str(len(data_of(model).samples))]
    with TurnTaker(command, OMP_NUM_THREADS="1") as lightning:
        taken = interleave({"lightning": lightning, "ours": recorded(training_of(model, "fused"))}, effort)
    return ratio(taken["lightning"], taken["ours"])


def jobs_of_one_shape(effort: Effort) -> dict[str, Figure]:
    """P5."""
    command = [sys.executable, "-m", "benchmarks.speed.take_steps", "ring64"]
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with ExitStack() as stack:
        baseline = stack.enter_context(TurnTaker([*command, "baseline"], **one_thread))
        jobs = [stack.enter_context(TurnTaker([*command, "fused"], **one_thread)) for _ in range(JOBS)]
        for job in jobs:
            job(1)  # compiles, or finds what the first has compiled
        runners: dict[str, Runner] = {"baseline": baseline, "jobs": partial(_all_at_once, jobs)}
        taken = interleave(runners, effort)
    cores = len(os.sched_getaffinity(0))
    each = ratio(taken["baseline"], taken["jobs"])
    in_all = JOBS / cores
    return {"": Figure(each.value * in_all, each.low * in_all, each.high * in_all, each.rounds)}


def _all_at_once(jobs: list[TurnTaker], steps: int) -> float:
    """Let all take so many steps and return the seconds until the last has."""
    for job in jobs:
        job.begin(steps)
    return max([job.end() for job in jobs])
