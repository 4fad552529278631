"""The fork server, which has loaded torch once, and the processes that it forks. This side never loads torch."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from types import ModuleType
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")


class ForkedProcess:
    """A process that was forked warm. It can say why it broke off."""

    def __init__(self, process: ForkServerProcess, words: Connection, reaping: threading.Lock) -> None:
        self._process, self._words, self._reaping = process, words, reaping
        self.pid: int = process.pid or 0

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end of the process; tell whether it has ended."""
        return bool(wait([self._process.sentinel], timeout_s))

    def ask_to_stop(self) -> None:
        """Ask the process to save what it has and leave."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process; what it had started ends with `end`."""
        self._signal(signal.SIGKILL)

    def end(self) -> tuple[int, bytes | None]:
        """Wait for the end; return the exit code (minus the signal, if one ended it) and the last words, if any.

        What is left of the group that the process had made for itself, such as a compiler, is killed.
        """
        wait([self._process.sentinel])
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        with self._reaping:
            self._process.join()
        with self._words:
            return self._process.exitcode or 0, _receive(self._words)

    def _signal(self, number: int) -> None:
        if self.wait(0):
            return
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return


def _receive(channel: Connection) -> bytes | None:
    try:
        return channel.recv_bytes() if channel.poll() else None
    except EOFError:
        return None


class ForkServer:
    """One per worker. Starts again by itself when it has died."""

    def __init__(self) -> None:
        self._warm_pid: int | None = None
        self._warming = threading.Lock()
        # multiprocessing polls all children whenever one starts; two threads that reap one child at once would read
        # half of its exit code each.
        self._reaping = threading.Lock()

    def start(self) -> None:
        """Start loading. Call from the main thread before any other thread exists."""
        # Trainers would otherwise import the program that started the worker.
        sys.modules["__main__"] = ModuleType("__main__")
        # A second helper process would look for leaked semaphores, of which there are none.
        tracker: Any = resource_tracker._resource_tracker  # noqa: SLF001
        tracker._fd = os.open(os.devnull, os.O_WRONLY)  # noqa: SLF001
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy would start threads at its import
        os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")  # as would pyarrow's allocator
        # Threads that wait for work by spinning starve each other as soon as there are more of them than free cores:
        # on two busy cores 300 small steps took 18 s with two spinning threads and 1.1 s with two that sleep.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        # Whoever asks torch whether there is a GPU would start CUDA, after which no fork could use one.
        os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
        _CONTEXT.set_forkserver_preload(["worker.preload"])
        forkserver.ensure_running()

    def get_warm(self) -> None:
        """Wait until the fork server is ready, having started it again if it has died.

        Called before a claim: nothing beats for an attempt while the fork server loads.
        """
        with self._warming:
            forkserver.ensure_running()
            server: Any = forkserver._forkserver  # noqa: SLF001
            if server._forkserver_pid != self._warm_pid:  # noqa: SLF001
                self.fork(_do_nothing).end()
                self._warm_pid = server._forkserver_pid  # noqa: SLF001

    def fork(self, target: Callable[..., None], *arguments: Any, **options: Any) -> ForkedProcess:
        """Run a function in a new process; it gets a connection named `words` besides. Raises OSError or EOFError."""
        receiver, sender = _CONTEXT.Pipe(duplex=False)
        process = _CONTEXT.Process(target=target, args=arguments, kwargs={**options, "words": sender})
        with sender, self._reaping:
            process.start()
        return ForkedProcess(process, receiver, self._reaping)


def make_channel() -> tuple[Connection, Connection]:
    """Return the two ends of a connection, one of which a forked process may be given; the other is closed here."""
    return _CONTEXT.Pipe()


def _do_nothing(*, words: Connection) -> None:
    """Prove by its end that the fork server can fork."""
