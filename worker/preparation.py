"""One preparation of an upload, in a process that is thrown away. Both sides import this: it loads no torch."""

import os
import resource
import sys
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

from pydantic import TypeAdapter

from service.blobs import NO_SPACE
from worker.attempt import LastWords
from worker.ingest.upload import BadUpload, Limits, Prepared, Upload
from worker.isolation import isolate, limit_memory

ANSWER = "answer.json"
_MOST_ANSWER_BYTES = 8 * 2**20
_SPARE_BYTES = 2**20  # beyond the rows: headers
_ANSWERS = TypeAdapter(Prepared)


@dataclass(frozen=True)
class Bounds:
    """What the process may use: bytes of memory beyond those it is born with, seconds of CPU, bytes of one file."""

    memory_bytes: int
    cpu_s: int
    file_bytes: int


def prepare_apart(upload: Upload, target: Path, limits: Limits, bounds: Bounds, *, words: Connection) -> None:
    """Prepare an upload into an empty directory, in this process, which belongs to it alone, and leave.

    A data set that is ready is told by a file in the directory; a refusal or a failure by the words.
    """
    isolate(f"ganymede: preparing {upload.name}")
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # the others reserve memory that they do not use
    os.environ["GANYMEDE_CRASH_POINTS"] = ""
    _limit(bounds)
    try:
        from worker.ingest.prepare import prepare

        prepared = prepare(upload, target, limits)
        (target / ANSWER).write_bytes(_write(prepared))
    except Exception as error:  # noqa: BLE001 (the rim of the process: the supervisor hears what no one else can tell)
        _leave(words, describe(error))


def _write(prepared: Prepared) -> bytes:
    answer = _ANSWERS.dump_json(prepared)
    if len(answer) > _MOST_ANSWER_BYTES:  # every request about the data set reads it
        raise BadUpload("too_many_columns", "The names of its columns and categories are too much to keep.")
    return answer


def describe(error: Exception) -> LastWords:
    """Return what the supervisor should hear of an exception that ends a preparation."""
    if isinstance(error, BadUpload):
        return LastWords(error.code, str(error))
    if isinstance(error, MemoryError):
        return LastWords("out_of_memory", "The file needs more memory to be read than a preparation may use.")
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        return LastWords("no_space", f"There was no room for the prepared data: {error.strerror}.")
    return LastWords("crashed", f"The preparation broke off with {type(error).__name__}.")


def read_answer(target: Path) -> Prepared:
    """Return what a preparation has written; raises pydantic.ValidationError or OSError."""
    return _ANSWERS.validate_json((target / ANSWER).read_bytes())


def _limit(bounds: Bounds) -> None:
    limit_memory(bounds.memory_bytes)
    resource.setrlimit(resource.RLIMIT_CPU, (bounds.cpu_s, bounds.cpu_s + 1))
    file_bytes = bounds.file_bytes + _SPARE_BYTES
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))


def _leave(words: Connection, last_words: LastWords) -> NoReturn:
    last_words.send(words)
    sys.stdout.flush()
    os._exit(1)


def as_warnings(prepared: Prepared) -> list[dict[str, str]]:
    """Return the remarks of a preparation as a row holds them."""
    return [asdict(remark) for remark in prepared.remarks]
