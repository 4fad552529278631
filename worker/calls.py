"""Calls to work that any thread may make: one at a time is followed, and none is lost."""

import threading
from collections.abc import Callable


class Calls:
    """Whoever holds `working` works; all others only leave word."""

    def __init__(self) -> None:
        self.working = threading.Lock()
        self._wanted = threading.Event()

    @property
    def are_left(self) -> bool:
        """Whether somebody has called since the last look for work began."""
        return self._wanted.is_set()

    def follow(self, work_off: Callable[[], None]) -> None:
        """Work off what there is; return at once when that goes on."""
        self._wanted.set()
        # Whoever holds the lock looks once more after letting it go, so that no call is lost between its last look and
        # that.
        while self._wanted.is_set() and self.working.acquire(blocking=False):
            self._wanted.clear()
            try:
                work_off()
            finally:
                self.working.release()
