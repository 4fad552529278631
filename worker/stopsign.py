"""A wish to stop that a signal handler may set."""

import time

from service.clock import monotonic_s

_LOOK_S = 0.05


class StopSign:
    """Like threading.Event, without its lock: a handler runs in the midst of whatever its thread does.

    A second signal inside the first one's `set`, or one while this very thread waits, would wait for itself for ever.
    """

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        """Wish to stop."""
        self._is_set = True

    def is_set(self) -> bool:
        """Tell whether somebody wishes so."""
        return self._is_set

    def wait(self, timeout_s: float) -> bool:
        """Wait until somebody does, at most so long; tell whether."""
        until = monotonic_s() + timeout_s
        while not self._is_set and monotonic_s() < until:
            time.sleep(_LOOK_S)
        return self._is_set
