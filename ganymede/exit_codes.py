"""What the console script tells the shell."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Codes that a script can rely on."""

    SUCCESS = 0
    FAILED = 1
    REFUSED = 2
    UNREACHABLE = 3
    CANCELLED = 4
    INTERRUPTED = 130


MEANING = {
    ExitCode.SUCCESS: "Done. A job that was watched has succeeded.",
    ExitCode.FAILED: "What was watched or waited for has failed, a check found a fault, a file could not be written.",
    ExitCode.REFUSED: "Wrong usage, or the service refused what was asked.",
    ExitCode.UNREACHABLE: "The service cannot be reached, or is failing.",
    ExitCode.CANCELLED: "The job that was watched was cancelled.",
    ExitCode.INTERRUPTED: "Interrupted, as by Ctrl-C. What was watched goes on.",
}
