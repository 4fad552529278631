"""A clock that only a test moves."""

from dataclasses import dataclass


@dataclass
class Clock:
    """Tells the seconds that a test has set."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s
