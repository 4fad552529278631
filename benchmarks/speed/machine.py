"""The machine that a row was measured on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import torch

BF16_FLAGS = {"avx512_bf16", "amx_bf16"}


def describe_machine() -> str:
    """Say what figures of speed depend on, in a line."""
    facts = _cpu_facts()
    units = sorted(BF16_FLAGS & set(facts.get("flags", "").split())) or ["no bf16 units"]
    vectors = "AVX-512" if "avx512f" in facts.get("flags", "").split() else "AVX2 at most"
    cpu = facts.get("model name") or platform.machine()
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    family = f"family {facts.get('cpu family', '?')} model {facts.get('model', '?')}"
    built = f"torch {version('torch')}, Python {platform.python_version()}, {platform.system()}"
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{cpu} ({family}), {cores} cores, {vectors}, {', '.join(units)}, {memory:.0f} GiB{gpu}; {built}"


def fastest_precision() -> Literal["bfloat16", "float32"]:
    """Return bfloat16 where the CPU has units for it, for rows that are measured in the fastest."""
    return "bfloat16" if BF16_FLAGS & set(_cpu_facts().get("flags", "").split()) else "float32"


def _cpu_facts() -> dict[str, str]:
    """Return what Linux tells of its first core; nothing elsewhere."""
    file = Path("/proc/cpuinfo")
    first = file.read_text().split("\n\n")[0] if file.exists() else ""
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}
