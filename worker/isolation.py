"""How a trainer process is set apart: title, process group, limits, and a death that follows that of its parents."""

import ctypes
import multiprocessing
import os
import resource
import signal
import sys
import threading
from multiprocessing.connection import wait
from pathlib import Path

import setproctitle

_PR_SET_PDEATHSIG = 1
_KIB = 1024
_NICENESS = 10  # training takes every core there is, and must leave who answers people and watches over it a share
_MOST_FILES = 1024  # open at once; a trainer needs a few dozen


def isolate(title: str, *, niceness: int = _NICENESS) -> None:
    """Put this process into a group of its own and tie its life to those of the fork server and the supervisor."""
    os.setpgid(0, 0)
    os.nice(niceness)
    setproctitle.setproctitle(title)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    files = min(_MOST_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    _die_with_the_fork_server()
    threading.Thread(target=_die_with_the_supervisor, name="supervisor watch", daemon=True).start()


def step_back() -> None:
    """Let others have the processor before this thread and those that it will start (on Linux each has a niceness)."""
    os.nice(_NICENESS)


def limit_memory(job_bytes: int) -> None:
    """Refuse allocations beyond what this process holds now plus a job's share.

    Counts private writable memory alone (RLIMIT_DATA): a limit of the address space would refuse CUDA its reservations.
    """
    if sys.platform != "linux":
        return
    limit = _data_bytes() + job_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _data_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * _KIB
    raise LookupError("the kernel does not tell VmData")


def _die_with_the_fork_server() -> None:
    # The kernel kills this process when the one that forked it ends, whatever either is doing. Only Linux can.
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _die_with_the_supervisor() -> None:
    # The supervisor is not the process that forked this one, and the fork server outlives it as long as any trainer
    # lives; so its end is seen by the pipe that only it holds open.
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        wait([supervisor.sentinel])
        os.killpg(0, signal.SIGKILL)  # with what this process has started, such as a compiler
