"""Starts processes that die with this one, whatever thread starts them.

It runs a second time as the program in between: it ties itself to its parent and becomes the part. Nothing of ours runs
between fork and exec, which would not be safe beside other threads.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_NOBODY_ELSE = "-"


@cache
def _starter() -> ThreadPoolExecutor:
    """Return the one thread that starts all: Linux sends the signal when the *thread* that forked ends."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")


def start(
    argv: Sequence[str], env: Mapping[str, str], *, output: Path, directory: Path, user: str | None = None
) -> subprocess.Popen[bytes]:
    """Start a process in a group of its own that is killed when this process ends; its output is appended to a file."""
    leashed = [sys.executable, "-I", "-S", __file__, str(os.getpid()), user or _NOBODY_ELSE, *argv]

    def run() -> subprocess.Popen[bytes]:
        with output.open("ab") as sink:
            return subprocess.Popen(
                leashed, env=env, cwd=directory, process_group=0, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
            )

    return _starter().submit(run).result()


def _become(parent: int, user: str, argv: list[str]) -> None:
    if user != _NOBODY_ELSE:
        _take_identity(user)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # after the change of user, which would clear it
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)
    os.execv(argv[0], argv)  # noqa: S606 - no shell is wanted


def _take_identity(user: str) -> None:
    import pwd

    entry = pwd.getpwnam(user)
    os.initgroups(user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
