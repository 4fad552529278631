"""What can go wrong in the domain, as exceptions that carry data. One table in service.problems maps them to HTTP."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fault:
    """One thing wrong with an input: where (a JSON pointer or a parameter's name), what, and what would be right."""

    pointer: str
    code: str
    message: str
    allowed: Any = None
    got: Any = None


class GanymedeError(Exception):
    """Any refusal of the domain; str() is a sentence for people."""


class InvalidInput(GanymedeError):
    """An input broke rules; all its faults are in `faults`."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(f"{fault.pointer}: {fault.message}" for fault in faults))
        self.faults = faults


class NotFound(GanymedeError):
    """There is no such thing, or it belongs to somebody else."""

    def __init__(self, kind: str, name: object, code: str = "not_found") -> None:
        super().__init__(f"There is no {kind} {name}.")
        self.kind, self.name, self.code = kind, name, code


class NotYet(GanymedeError):
    """There is no such thing yet, and there may be soon."""

    def __init__(self, message: str, code: str = "not_yet") -> None:
        super().__init__(message)
        self.code = code


class Conflict(GanymedeError):
    """The thing exists but its state does not allow the change."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class QuotaExceeded(GanymedeError):
    """An owner has reached a limit."""


class AttemptOver(GanymedeError):
    """The attempt that wrote is no longer the current one: stop at once and touch nothing."""


class StorageAway(GanymedeError, OSError):
    """The blob store does not answer. Also an OSError, as a directory's faults are."""


class BlobMissing(GanymedeError):
    """A blob is not in the store."""


class BlobDamaged(GanymedeError):
    """A blob's bytes do not have the recorded hash."""
