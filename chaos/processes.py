"""Processes as the chaos sees them: whole families, stopped, continued and ended by id."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import psutil

LOOK_EVERY_S = 0.02
_DIES_WITHIN_S = 10.0


def wait_until(condition: Callable[[], object], what: str, *, within_s: float) -> None:
    """Wait for a condition to hold; raise TimeoutError when it does not."""
    if not holds_within(within_s, condition):
        raise TimeoutError(f"not within {within_s:g} s: {what}")


def holds_within(seconds: float, condition: Callable[[], object]) -> bool:
    """Wait for a condition to hold, at most so long; tell whether it does."""
    deadline_s = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(LOOK_EVERY_S)
    return True


def family(pid: int) -> list[psutil.Process]:
    """Return a process and all its descendants; nobody when it is gone."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def signal_all(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    """Send a signal to those that are still there."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def freeze_family(pid: int) -> None:
    """Stop a process and all its descendants, those too that are born meanwhile."""
    stopped: set[psutil.Process] = set()
    while new := [process for process in family(pid) if process not in stopped]:
        signal_all(new, signal.SIGSTOP)
        stopped.update(new)


def kill_family(root: subprocess.Popen[bytes]) -> int:
    """Kill a process of ours and all its descendants, wait until they are gone, and return its exit code."""
    freeze_family(root.pid)  # so that nobody is born while the others die
    descendants = family(root.pid)[1:]
    root.kill()
    signal_all(descendants, signal.SIGKILL)
    psutil.wait_procs(descendants, timeout=_DIES_WITHIN_S)
    return root.wait()


def living_in(directory: Path) -> list[psutil.Process]:
    """Return the processes that work in a directory or below it, whoever their parents are by now."""
    return [process for process in psutil.process_iter() if _works_in(process, directory)]


def title_of(process: psutil.Process) -> str:
    """Return the title that a process gives itself; nothing when it is gone."""
    try:
        return " ".join(process.cmdline()).strip()
    except psutil.Error:
        return ""


def _works_in(process: psutil.Process, directory: Path) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(directory)
    except psutil.Error:
        return False
