"""The clock of a process. Wall-clock times are for people; only monotonic seconds decide anything."""

import os
import time
from datetime import UTC, datetime, timedelta

_OFFSET_S = float(os.environ.get("GANYMEDE_CLOCK_OFFSET_S", "0"))  # lets a test give each process a wrong clock


def now() -> datetime:
    """Return the wall-clock time in UTC, cut to milliseconds."""
    shifted = datetime.now(UTC) + timedelta(seconds=_OFFSET_S)
    return shifted.replace(microsecond=shifted.microsecond // 1000 * 1000)


def monotonic_s() -> float:
    """Return seconds that never jump."""
    return time.monotonic()


def rfc3339(moment: datetime) -> str:
    """Return a time as RFC 3339 in UTC with milliseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
