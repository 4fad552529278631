"""Taking turns with another process: it takes as many steps as it is told on a line, and answers with the seconds.

The side of the process that takes steps knows nothing of this project, so that a peer's Python can import it.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Self

from benchmarks.speed.places import ROOT


class TurnTaker:
    """A process that takes steps when it is told to. Its standard error is ours."""

    def __init__(self, command: Sequence[str], **environment: str) -> None:
        inherited: Mapping[str, str] = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=inherited, cwd=ROOT
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self.process:
            self.process.kill()

    def __call__(self, steps: int) -> float:
        """Let it take so many steps and return the seconds that they took."""
        self.begin(steps)
        return self.end()

    def begin(self, steps: int) -> None:
        """Tell it to take so many steps."""
        if self.process.stdin is None:
            raise TypeError("the process has no input")
        self.process.stdin.write(f"{steps}\n")

    def end(self) -> float:
        """Wait until it has and return the seconds that it took; raises ChildProcessError when it died."""
        line = "" if self.process.stdout is None else self.process.stdout.readline()
        if not line:
            raise ChildProcessError("what was to take steps has ended")
        return float(line)


class Turns:
    """For the process that takes the steps: it calls before_step before each."""

    def __init__(self) -> None:
        self._answers = os.dup(1)
        os.dup2(2, 1)  # whatever libraries print is no answer
        self._left, self._began = 0, 0.0

    def before_preparation(self) -> None:
        """Wait for the first turn, which lasts until the first step whatever its number."""
        self._wait()
        self._left = 0

    def before_step(self) -> None:
        """Go on, or answer and wait until there is more to do; the process ends when there will be no more."""
        if self._left == 0:
            self._wait()
        self._left -= 1

    def _wait(self) -> None:
        if self._began:
            os.write(self._answers, f"{time.perf_counter() - self._began}\n".encode())
        line = sys.stdin.readline()
        if not line:
            os._exit(0)
        self._left, self._began = int(line), time.perf_counter()
