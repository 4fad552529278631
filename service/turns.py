"""Turns to write: one thread of one process at a time, those of a process in the order in which they came."""

import fcntl
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sqlalchemy.exc import TimeoutError as PoolTimeout

_LOOK_AGAIN_S = 0.001


class Turns:
    """A queue of threads, the first of which has to get hold of a file that all processes know.

    A plain lock lets in whoever asks at the right moment, and keeps others waiting for long. So does SQLite, between
    processes: it lets whoever finds it busy sleep ever longer, up to a tenth of a second.
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
            with self._open() as file:
                self._get_hold_of(file.fileno(), ends_at)
                yield
        finally:
            with self._lock:
                self._queue.remove(mine)
                if self._queue:
                    self._queue[0].set()

    def _open(self) -> BinaryIO:
        """Open the file anew: a process that is forked would share what is held."""
        try:
            return self._file.open("ab")
        except OSError as error:
            raise PoolTimeout(f"no turn to write, as beside the database no file can be opened: {error}") from error

    def _get_hold_of(self, file: int, ends_at: float) -> None:
        while True:
            try:
                return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go with the file, whatever becomes of us
            except BlockingIOError:
                if time.monotonic() > ends_at:
                    raise PoolTimeout(f"another process has kept {self._file} for too long") from None
                time.sleep(_LOOK_AGAIN_S)
