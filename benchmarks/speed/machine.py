"""The machine that a row was measured on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

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
    return f"{cpu} ({family}), {cores} cores, {vectors}, {', '.join(units)}, {memory:.0f} GiB; {built}"


def fastest_precision() -> str:
    """Say which precision rows are measured in that would like bf16, and why."""
    # The service trains in float32 or float64: there is nothing to choose yet where there are units.
    if BF16_FLAGS & set(_cpu_facts().get("flags", "").split()):
        return "float32 (the service has no bf16)"
    return "float32 (no bf16 units here)"


def _cpu_facts() -> dict[str, str]:
    """Return what Linux tells of its first core; nothing elsewhere."""
    file = Path("/proc/cpuinfo")
    first = file.read_text().split("\n\n")[0] if file.exists() else ""
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}
