"""Turns to write: one thread of a process at a time, in the order in which they came."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import TimeoutError as PoolTimeout


class Turns:
    """A queue of threads. A plain lock lets in whoever asks at the right moment, and keeps others waiting for long."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[threading.Event] = deque()  # the first has its turn, and its event is set

    @contextmanager
    def take(self, timeout_s: float) -> Iterator[None]:
        """Wait for a turn and keep it within the block; raise PoolTimeout, as for connections, when none comes."""
        mine = threading.Event()
        with self._lock:
            self._queue.append(mine)
            self._queue[0].set()
        try:
            if not mine.wait(timeout_s):
                raise PoolTimeout(f"no turn to write within {timeout_s:g} s")
            yield
        finally:
            with self._lock:
                self._queue.remove(mine)
                if self._queue:
                    self._queue[0].set()
