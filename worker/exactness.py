"""What an exact continuation depends on besides the state: the same build, threads and device give the same bits."""

import os
from typing import Any

import numpy as np
import torch

from service.spec.plan import Plan, Route
from worker.gan.routes import take_route


def compute_exactly(device: torch.device, *, tf32: bool = False, route: Route = "default") -> None:
    """Let torch use only algorithms that give the same bits each time; on a GPU it warns where it has none.

    A GPU multiplies float32 as it is, unless it may round to TF32, which torch lets it do in convolutions by default.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    take_route(route)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # costs a fill each


def machine_facts(*, device: torch.device, plan: Plan) -> dict[str, Any]:
    """Return what is stored with each checkpoint (https://github.com/pytorch/pytorch/issues/88718)."""
    return {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "step": plan.step,
        "threads": plan.threads,
        "layout": plan.layout,
        "route": plan.route,
        "cohort": "alone" if plan.cohort is None else str(plan.cohort),
        "tf32": device.type == "cuda" and torch.backends.cudnn.allow_tf32,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
    }


def difference(before: dict[str, Any], now: dict[str, Any]) -> str | None:
    """Return in words why a continuation may not be identical to the last bit; None when it will be."""
    # As all were before there were plans; torch lets GPUs round by default.
    usual = {"step": "eager", "layout": "contiguous", "route": "default", "cohort": "alone"}
    before = usual | {"tf32": before.get("device", "cpu") != "cpu"} | before
    changed = [f"{key} {before.get(key)} became {now[key]}" for key in now if before.get(key) != now[key]]
    return f"Equivalent, not identical: {', '.join(changed)}." if changed else None
