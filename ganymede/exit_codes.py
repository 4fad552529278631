"""What the console script tells the shell."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Codes that a script can rely on."""

    SUCCESS = 0
    UNSUCCESSFUL = 1  # a watched job failed or was cancelled, a check found a fault
    REFUSED = 2  # wrong usage, or the service refused the input
    UNREACHABLE = 3  # the service is not there or is failing
    INTERRUPTED = 130
