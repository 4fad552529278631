"""Rows P1, P2, P3, P6 and P7: steps of the service's training against the baseline's, in one process."""

import torch

from benchmarks.speed.baseline import Baseline
from benchmarks.speed.figures import Effort, Figure, Runner, interleave, ratio, timed, took_s
from benchmarks.speed.machine import fastest_precision
from benchmarks.speed.models import CPU, Variant, baseline_of, training_of
from worker.exactness import compute_exactly
from worker.gan.training import Training

REUSE: Variant = "reuse"


def ring_two_pass(effort: Effort) -> dict[str, Figure]:
    """P1."""
    return {"": against_baseline("ring", [REUSE], effort, threads=1)[REUSE]}


def ring_fused(effort: Effort) -> dict[str, Figure]:
    """P2."""
    return {"": against_baseline("ring", ["fused"], effort, threads=1)["fused"]}


def small_fused(effort: Effort) -> dict[str, Figure]:
    """P3."""
    return {model: against_baseline(model, ["fused"], effort, threads=1)["fused"] for model in ("ring", "digits")}


def small_pictures(effort: Effort) -> dict[str, Figure]:
    """P6."""
    precision = fastest_precision()
    faster = against_baseline("dcgan32", [REUSE, "fused"], effort.shared(2), threads=2, precision=precision)
    return {"two-pass": faster[REUSE], "fused": faster["fused"]}


def larger_pictures(effort: Effort) -> dict[str, Figure]:
    """P7."""
    precision, fewer = fastest_precision(), Effort(-(-effort.rounds // 2), effort.block_s)
    faster = against_baseline("dcgan64", [REUSE, "fused"], fewer, threads=2, precision=precision)
    exact = faster if precision == "float32" else against_baseline("dcgan64", [REUSE], fewer, threads=2)
    return {"two-pass": faster[REUSE], "fused": faster["fused"], "float32 two-pass": exact[REUSE]}


def against_baseline(
    model: str, variants: list[Variant], effort: Effort, *, threads: int, precision: str = "float32"
) -> dict[Variant, Figure]:
    """Return how many times faster than the baseline's the steps of each variant are."""
    torch.set_num_threads(threads)
    runners: dict[str, Runner] = {"baseline": unbound(baseline_of(model))}
    runners |= {
        variant: recorded(training_of(model, variant, resources={"precision": precision})) for variant in variants
    }
    taken = interleave(runners, effort)
    return {variant: ratio(taken["baseline"], taken[variant]) for variant in variants}


def recorded(training: Training, device: torch.device = CPU, *, tf32: bool = False) -> Runner:
    """Take steps and, as a flush does, their rows, which waits for a GPU."""

    def run(steps: int) -> float:
        compute_exactly(device, tf32=tf32)
        return timed(training.step)(steps) + took_s(training.recorder.take)

    return run


def unbound(baseline: Baseline) -> Runner:
    """Take steps as a person would, who does not ask torch for the same bits each time."""

    def run(steps: int) -> float:
        torch.use_deterministic_algorithms(False)
        return timed(baseline.step)(steps)

    return run
