"""Turns to write: one thread of one process at a time, those of a process in the order in which they came."""

import fcntl
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import TimeoutError as PoolTimeout

_LOOK_AGAIN_S = 0.001


class Turns:
    """A queue of threads, the first of which has to get hold of a file that all processes know.

    Between threads a plain lock would let in whoever asks at the right moment. Between processes it is whoever looks
    first, but all look as often; SQLite lets whoever has found it busy look ever more seldom, up to ten times a second.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._queue: deque[threading.Event] = deque()  # the first has its turn, and its event is set

    @contextmanager
    def take(self, timeout_s: float) -> Iterator[None]:
        """Wait for a turn and keep it within the block; raise PoolTimeout, as for connections, when none comes."""
        ends_at = time.monotonic() + timeout_s
        mine = threading.Event()
        with self._lock:
            self._queue.append(mine)
            self._queue[0].set()
        try:
            if not mine.wait(timeout_s):
                raise PoolTimeout(f"no turn to write within {timeout_s:g} s")
            with self._held(timeout_s, ends_at):
                yield
        finally:
            with self._lock:
                self._queue.remove(mine)
                if self._queue:
                    self._queue[0].set()

    @contextmanager
    def _held(self, timeout_s: float, ends_at: float) -> Iterator[None]:
        """Hold the file within the block. Who dies lets go of it."""
        try:
            file = os.open(self._file, os.O_RDONLY | os.O_CREAT, 0o666)
        except OSError as error:
            raise PoolTimeout(f"no turn to write: {error}") from error
        try:
            while not _is_locked(file):
                if time.monotonic() > ends_at:
                    raise PoolTimeout(f"no turn to write within {timeout_s:g} s: another process holds {self._file}")
                time.sleep(_LOOK_AGAIN_S)
            try:
                yield
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)  # also for a process that was forked meanwhile and has the file, too
        finally:
            os.close(file)


def _is_locked(file: int) -> bool:
    """Lock a file and tell whether that could be done."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise PoolTimeout(f"no turn to write, for the file system of the database has no locks: {error}") from error
    return True
