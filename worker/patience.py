"""Storing the files of an attempt whatever the storage does: where it is full or away, storing waits for it."""

from collections.abc import Sequence
from typing import Any

import structlog

from service.blobs import NO_SPACE, BlobStore, Piece, compare, store_file
from service.errors import StorageAway
from worker.attempt import Attempt
from worker.outbox import Outbox
from worker.stopsign import StopSign
from worker.vigil import Vigil

_FOR_EVER = float("inf")
_LOOK_AGAIN_S = 1.0


class GivenUp(Exception):
    """There was no space, and the attempt is to stop before there is."""


class PatientStore:
    """Stores for one attempt, in one thread, whose vigil it has. A full disk is a pause unless `stopping` is set."""

    def __init__(self, blobs: BlobStore, outbox: Outbox, vigil: Vigil, *, attempt: Attempt, stopping: StopSign) -> None:
        self._blobs, self._outbox, self._vigil = blobs, outbox, vigil
        self._attempt, self._stopping = attempt, stopping
        self._is_waiting = False  # and the owner knows
        self._log = structlog.get_logger().bind(job=attempt.job_id, attempt=attempt.number)

    def store(self, name: str, pieces: Sequence[Piece]) -> dict[str, Any]:
        """Store a file durably, however long it takes; return what a row records of it."""
        file = self._try(name, pieces)
        if file is not None:
            return file
        with self._vigil.phase("wait for the storage", _FOR_EVER):  # a try may take long, too, before it fails
            while file is None:
                if self._stopping.wait(_LOOK_AGAIN_S):
                    raise GivenUp
                file = self._try(name, pieces)
        self._outbox.note("The file is stored.")
        return file

    def compare(self, file: dict[str, Any], pieces: Sequence[Piece]) -> None:
        """Raise BlobMissing or BlobDamaged unless what was stored is read back as it is."""
        compare(self._blobs, file["key"], pieces)

    def _try(self, name: str, pieces: Sequence[Piece]) -> dict[str, Any] | None:
        """Store a file; return None where the storage is full or away."""
        job_id, attempt = self._attempt.job_id, self._attempt.number
        try:
            file = store_file(self._blobs, job_id=job_id, attempt=attempt, name=name, pieces=pieces)
        except OSError as error:
            if error.errno not in NO_SPACE and not isinstance(error, StorageAway):
                raise
            self._tell(name, error)
            return None
        self._is_waiting = False
        return file

    def _tell(self, name: str, error: OSError) -> None:
        self._log.error("storage full or away, waiting", file=name, error=str(error))
        if not self._is_waiting:
            self._is_waiting = True
            reason = error.strerror or error
            self._outbox.note(f"A file cannot be stored: {reason}. When the next one is due, training waits for it.")
