"""One process under supervision: started so that it dies with its parent, restarted with back-off, stopped politely."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

BACK_OFF_S = 0.5
BACK_OFF_MAX_S = 30.0
STEADY_S = 60.0  # a part that lived so long starts its back-off anew
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def start(
    argv: Sequence[str], env: Mapping[str, str], *, output: BinaryIO | None = None, directory: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a process in a group of its own that is killed when the calling thread ends.

    Call it from the main thread: Linux sends the signal when the *thread* that forked ends. Its standard output and
    error go to `output`, or where those of this process go.
    """
    follow = partial(_die_with_parent, os.getpid())
    return subprocess.Popen(  # noqa: S603 - the command lines are our own
        argv,
        env=env,
        cwd=directory,
        process_group=0,
        preexec_fn=follow,  # noqa: PLW1509 - unsafe beside threads only, and neither caller has any
        stdout=output,
        stderr=output,
    )


def _die_with_parent(parent_id: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_id:  # it died before the line above
            os._exit(1)


@dataclass
class Part:
    """A process that should run. `deaths` counts those since it was last steady."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    grace_s: float
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    started_s: float = 0.0
    retry_s: float = 0.0

    def run(self) -> int:
        """Start the process and return its id."""
        self.process = start(self.argv, self.env)
        self.started_s = time.monotonic()
        return self.process.pid

    def notice_death(self) -> int | None:
        """Return the exit code of a process that has ended since the last look, and set the time of its return."""
        if self.process is None or not self._has_ended(self.process):
            return None
        code = self._clear(self.process)
        self.deaths = 1 if time.monotonic() - self.started_s > STEADY_S else self.deaths + 1
        self.retry_s = time.monotonic() + self.pause_s
        return code

    @property
    def pause_s(self) -> float:
        """How long the part rests before it is started again."""
        return min(BACK_OFF_MAX_S, BACK_OFF_S * 2.0 ** (self.deaths - 1))

    def is_due(self) -> bool:
        """Tell whether the process is gone and its back-off is over."""
        return self.process is None and time.monotonic() >= self.retry_s

    def stop(self) -> None:
        """Ask the process to end, wait for its grace, then kill what is left of its group."""
        if self.process is None:
            return
        self.process.terminate()
        deadline_s = time.monotonic() + self.grace_s
        while not self._has_ended(self.process) and time.monotonic() < deadline_s:
            time.sleep(0.02)
        self._clear(self.process)

    def _has_ended(self, process: subprocess.Popen[bytes]) -> bool:
        """Tell so without collecting the exit code: until that is done nobody else can get the group's number."""
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _clear(self, process: subprocess.Popen[bytes]) -> int:
        """Kill what is left of the group and return the exit code."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        self.process = None
        return process.wait()
