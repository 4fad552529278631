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
from benchmarks.speed.take_steps import JOBS
from benchmarks.speed.turns import TurnTaker

LIGHTNING = Path(__file__).with_name("train_lightning.py")


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
    command, cores = [sys.executable, "-m", "benchmarks.speed.take_steps", "ring64"], len(os.sched_getaffinity(0))
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with ExitStack() as stack:
        baseline = stack.enter_context(TurnTaker([*command, "baseline"], **one_thread))
        cohorts = [stack.enter_context(TurnTaker([*command, "cohort"], **one_thread)) for _ in range(cores)]
        for cohort in cohorts:
            cohort(1)  # compiles, or finds what the first has compiled
        runners: dict[str, Runner] = {"baseline": baseline, "cohorts": partial(_all_at_once, cohorts)}
        taken = interleave(runners, effort)
    each = ratio(taken["baseline"], taken["cohorts"])
    return {"": Figure(each.value * JOBS, each.low * JOBS, each.high * JOBS, each.rounds)}


def _all_at_once(cohorts: list[TurnTaker], steps: int) -> float:
    """Let all take so many steps and return the seconds until the last has."""
    for cohort in cohorts:
        cohort.begin(steps)
    return max([cohort.end() for cohort in cohorts])
