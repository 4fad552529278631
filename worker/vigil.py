"""Whether an attempt still advances: the beat follows progress, not the mere life of the process."""

import math
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from service.clock import monotonic_s

_SLOW_STEPS = 10  # a step may take this many times the median
_REMEMBERED = 64


class Vigil:
    """The loop says when a step begins and in which phases it takes none; another thread asks what has overrun."""

    def __init__(self, step_deadline_s: float = math.inf) -> None:
        self._least_s = step_deadline_s
        self._beside: list[Vigil] = []
        self._step_s: deque[float] = deque([0.0], maxlen=_REMEMBERED)
        self._began_at: float | None = None
        self._phase: tuple[str, float] | None = None  # its name, and when it must be over

    def beside(self) -> "Vigil":
        """Return the vigil of one more thread, which takes no steps; this one tells what overruns there, too."""
        other = Vigil()
        self._beside.append(other)
        return other

    @contextmanager
    def phase(self, name: str, deadline_s: float) -> Iterator[None]:
        """Allow a named piece of work so many seconds; the steps' clock stands still."""
        outer, entered_at = self._phase, monotonic_s()
        self._phase, self._began_at = (name, entered_at + deadline_s), None
        try:
            yield
        finally:
            # A phase around this one gets its time back.
            self._phase = outer and (outer[0], outer[1] + monotonic_s() - entered_at)

    def step_begins(self) -> None:
        """Note that the step before, if there was one, has ended."""
        moment = monotonic_s()
        if self._began_at is not None:
            self._step_s.append(moment - self._began_at)
        self._began_at = moment

    def overrun(self) -> str | None:
        """Return in words what takes too long; None while all is well."""
        moment, phase, began_at = monotonic_s(), self._phase, self._began_at
        if phase is not None and moment > phase[1]:
            return f"The attempt could not {phase[0]} in time."
        allowed_s = max(self._least_s, _SLOW_STEPS * median(list(self._step_s)))
        if phase is None and began_at is not None and moment - began_at > allowed_s:
            return f"A step did not end within {allowed_s:.0f} s."
        return next((overrun for other in self._beside if (overrun := other.overrun())), None)
