"""Rows G1 and G2: captured steps of the service's training against the baseline's, on a GPU, in one process."""

import torch

from benchmarks.speed.baseline import Baseline
from benchmarks.speed.figures import Effort, Figure, PeerAbsent, Runner, interleave, ratio, took_s
from benchmarks.speed.models import baseline_of, captured_training_of
from benchmarks.speed.steps import recorded, unbound

GPU = torch.device("cuda")
WARM_UP_STEPS = 10  # the first is captured


def small_networks(effort: Effort) -> dict[str, Figure]:
    """G1."""
    return {model: against_baseline(model, ["float32"], effort)["float32"] for model in ("ring", "digits")}


def convolutions(effort: Effort) -> dict[str, Figure]:
    """G2."""
    return against_baseline("dcgan64", ["bfloat16", "tf32"], effort)


def against_baseline(model: str, precisions: list[str], effort: Effort) -> dict[str, Figure]:
    """Return how many times faster than the baseline's the steps in each precision are."""
    if not torch.cuda.is_available():
        raise PeerAbsent("no GPU here")
    torch.set_num_threads(1)
    runners: dict[str, Runner] = {"baseline": unbound_on_gpu(baseline_of(model, "cuda"))}
    for precision in precisions:
        training = captured_training_of(model, "fused", resources={"precision": precision})
        runners[precision] = recorded(training, GPU, tf32=precision == "tf32")
    for run in runners.values():
        run(WARM_UP_STEPS)
    taken = interleave(runners, effort)
    return {precision: ratio(taken["baseline"], taken[precision]) for precision in precisions}


def unbound_on_gpu(baseline: Baseline) -> Runner:
    """Take steps as a person would, with what torch allows by default, until the GPU is done."""
    run_unbound = unbound(baseline)

    def run(steps: int) -> float:
        torch.backends.cudnn.allow_tf32 = True
        return run_unbound(steps) + took_s(torch.cuda.synchronize)

    return run
