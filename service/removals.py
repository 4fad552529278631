"""While a backup copies a data directory, nothing that it may have seen is removed from it."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from service.clock import monotonic_s

_FILE = "removals.lock"
_LOOK_S = 0.05


@contextmanager
def held_back(home: Path, *, within_s: float = 30.0) -> Iterator[None]:
    """Keep others from removing anything within the block; raise TimeoutError where those who are at it do not end."""
    deadline_s = monotonic_s() + within_s
    with (home / _FILE).open("w") as lock:
        while not _is_locked(lock, fcntl.LOCK_EX):
            if monotonic_s() > deadline_s:
                raise TimeoutError(f"somebody has held {home / _FILE} for {within_s:g} s")
            time.sleep(_LOOK_S)
        yield


@contextmanager
def allowed(home: Path) -> Iterator[bool]:
    """Tell whether blobs may be removed within the block; a backup waits for its end."""
    try:
        lock = (home / _FILE).open("w")
    except OSError:  # there is no data directory here, and no backup of it
        yield True
        return
    with lock:
        yield _is_locked(lock, fcntl.LOCK_SH)


def _is_locked(lock: IO[str], how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
