"""What a request may use: the parts of the web process, and who is asking. Passed to every route by name."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Engine

from service.answers.job_json import JobJson
from service.answers.kept import KeptAnswers
from service.blobs import BlobStore
from service.broker import TRAIN
from service.clock import monotonic_s
from service.errands import Errands
from service.history.meaning import Meaning
from service.metrics import Metrics
from service.probe import DatabaseProbe
from service.recent import Recent
from service.settings import Settings
from service.spec.headers import GeneratorHeader
from service.store.keys import Scope
from service.streams import Streams
from service.tidings import Listener

LOOK_S = 0.2  # between two looks of a request that waits


class Announcer(Protocol):
    """Tells workers that there is work. Never blocks, never raises: a request does not depend on the broker."""

    def announce(self, task: str = TRAIN) -> None:
        """Ask for a wake-up to be sent soon."""


class LongPolls:
    """Threads that wait for a change, at most half of all, so that waiting clients never starve the others."""

    def __init__(self, threads: int) -> None:
        self._free = threading.BoundedSemaphore(max(1, threads // 2))
        self._stopping = threading.Event()

    def poll(self, is_over: Callable[[], bool], *, timeout_s: float) -> None:
        """Ask again until it is over, the time is up or the process stops; return at once where no thread is free."""
        if not self._free.acquire(blocking=False):
            return
        until_s = monotonic_s() + timeout_s
        try:
            while not is_over() and (left_s := until_s - monotonic_s()) > 0:
                if self._stopping.wait(min(LOOK_S, left_s)):
                    return
        finally:
            self._free.release()

    def await_tidings(self, told: threading.Event, is_over: Callable[[], bool], *, timeout_s: float) -> None:
        """Do as `poll` does for who has just asked: ask once told, and now and then, as tidings may be lost."""
        if not self._free.acquire(blocking=False):
            return
        until_s = monotonic_s() + timeout_s
        try:
            while (left_s := until_s - monotonic_s()) > 0:
                told.wait(min(LOOK_S, left_s))
                told.clear()  # before asking: what is told meanwhile is asked about again
                if self._stopping.is_set() or is_over():
                    return
        finally:
            self._free.release()

    def stop(self) -> None:
        """Let every waiting request answer now."""
        self._stopping.set()


@dataclass(frozen=True)
class Web:
    """The parts of the web process."""

    settings: Settings
    engine: Engine
    blobs: BlobStore
    wakeups: Announcer
    long_polls: LongPolls
    tidings: Listener
    errands: Errands
    metrics: Metrics
    probe: DatabaseProbe
    uploads: threading.BoundedSemaphore  # so that slow uploads leave threads for everybody else
    pictures: threading.BoundedSemaphore  # so that those who look at timelines leave processor time
    job_json: JobJson
    kept: KeptAnswers
    meanings: Recent[str, Meaning]  # of the histories of jobs, by id
    headers: Recent[str, GeneratorHeader]  # of the files of generators, by their hash
    streams: Streams


@dataclass(frozen=True)
class Caller:
    """Who is asking, and what their key allows."""

    owner_id: str
    scope: Scope
    key_id: str | None = None  # None while keys are off
