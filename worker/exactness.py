"""What an exact continuation depends on besides the state: the same build, threads and device give the same bits."""

from typing import Any

import numpy as np
import torch


def machine_facts(*, device: torch.device, threads: int) -> dict[str, Any]:
    """Return what is stored with each checkpoint (https://github.com/pytorch/pytorch/issues/88718)."""
    return {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "threads": threads,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
    }


def difference(before: dict[str, Any], now: dict[str, Any]) -> str | None:
    """Return in words why a continuation may not be identical to the last bit; None when it will be."""
    changed = [f"{key} {before.get(key)} became {now[key]}" for key in now if before.get(key) != now[key]]
    return f"Equivalent, not identical: {', '.join(changed)}." if changed else None
