"""Errands: samples that a request waits for, drawn by an idle worker before anything of them is written down.

What a worker draws in ten milliseconds would otherwise wait longer than that until it is stored that it is wanted, and
until a worker has found that out. An errand is a courtesy: any may be lost, and the request goes on without it. The
broker is not trusted, so all that is said is sealed with a name that the broker never hears.
"""

import hashlib
import hmac
import json
from dataclasses import asdict, dataclass
from typing import Any

import structlog
from redis.exceptions import RedisError
from sqlalchemy import Engine, select

from service.clock import monotonic_s
from service.db import DATABASE_AWAY, reading
from service.models import Installation
from service.settings import Settings
from service.tidings import AGAIN_S, connect

QUEUE = "ganymede.errands"
AT_ONCE_S = 0.08  # for which an errand is waited for; who draws for longer finds the order written down
_ANSWERS = "ganymede.errand"  # before the id of an order
_KEPT_MS = 60_000  # an answer that nobody has fetched
_UNWANTED_MS = 2_000  # errands of requests that are gone
_SEND_S = 0.3  # a frozen broker holds a request up for no longer, once in AGAIN_S
_TAKE_S = 1.0  # between two looks of a worker at whether it should stop
_SEAL_BYTES = 64


@dataclass(frozen=True)
class Errand:
    """Samples to draw: of which generator (the record of its file) and which, under the id of an order to be."""

    order_id: str
    generator: dict[str, Any]
    drawing: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What came of an errand: the record of a stored file, or none, and then perhaps somebody is still at it."""

    file: dict[str, Any] | None = None
    is_pending: bool = False


class Errands:
    """Hands errands over and takes them, from any thread. While the broker or the database is away there are none."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._engine = engine
        self._client = connect(settings, _SEND_S)
        self._taker = connect(settings, _TAKE_S + AGAIN_S)
        self._name: bytes | None = None
        self._silent_until_s = 0.0
        self._log = structlog.get_logger()

    # What the web does

    def hand_over(self, errand: Errand, *, within_s: float) -> Outcome:
        """Let an idle worker run an errand and return what came of it within so many seconds. Never raises."""
        if monotonic_s() < self._silent_until_s:
            return Outcome()
        try:
            message = self._sealed("errand", asdict(errand))
            with self._client.pipeline(transaction=False) as pipeline:
                pipeline.rpush(QUEUE, message)
                pipeline.pexpire(QUEUE, _UNWANTED_MS)
                pipeline.execute()
            outcome = self._await_answer(errand.order_id, within_s)
            if outcome is not None:
                return outcome
            return Outcome(is_pending=not self._client.lrem(QUEUE, 1, message.decode()))
        except (RedisError, *DATABASE_AWAY) as error:
            self._fall_silent(error)
            return Outcome()

    def late_file(self, order_id: str) -> dict[str, Any] | None:
        """Return the file of an errand that was answered too late, once. Never raises."""
        if monotonic_s() < self._silent_until_s:
            return None
        try:
            return self._read_answer(order_id, self._client.lpop(f"{_ANSWERS}.{order_id}")).file
        except (RedisError, *DATABASE_AWAY) as error:
            self._fall_silent(error)
            return None

    def _await_answer(self, order_id: str, within_s: float) -> Outcome | None:
        answered: Any = self._client.blpop([f"{_ANSWERS}.{order_id}"], timeout=within_s)
        return None if answered is None else self._read_answer(order_id, answered[1])

    def _read_answer(self, order_id: str, message: Any) -> Outcome:
        told = self._opened("answer", message)
        return Outcome() if told is None or told["order_id"] != order_id else Outcome(told["file"])

    def _fall_silent(self, error: Exception) -> None:
        self._silent_until_s = monotonic_s() + AGAIN_S
        self._log.debug("no errands", error=str(error))

    # What a worker does

    def take(self) -> Errand | None:
        """Return an errand as soon as there is one, None when there has been none for a while.

        Raises RedisError, and DATABASE_AWAY until the name is known.
        """
        taken: Any = self._taker.blpop([QUEUE], timeout=_TAKE_S)
        told = None if taken is None else self._opened("errand", taken[1])
        return None if told is None else Errand(**told)

    def answer(self, order_id: str, file: dict[str, Any] | None) -> None:
        """Tell what came of an errand. Never raises."""
        try:
            message, queue = self._sealed("answer", {"order_id": order_id, "file": file}), f"{_ANSWERS}.{order_id}"
            with self._client.pipeline(transaction=False) as pipeline:
                pipeline.rpush(queue, message)
                pipeline.pexpire(queue, _KEPT_MS)
                pipeline.execute()
        except (RedisError, *DATABASE_AWAY) as error:
            self._log.debug("an errand not answered", order=order_id, error=str(error))

    # Seals

    def _sealed(self, kind: str, told: dict[str, Any]) -> bytes:
        words = json.dumps({"kind": kind, "told": told}).encode()
        return self._seal(words) + words

    def _opened(self, kind: str, message: bytes | None) -> dict[str, Any] | None:
        """Return what a message says; None when it is of somebody else."""
        seal, words = (message or b"")[:_SEAL_BYTES], (message or b"")[_SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._seal(words)):
            return None
        said = json.loads(words)
        told: dict[str, Any] | None = said["told"] if said["kind"] == kind else None
        return told

    def _seal(self, words: bytes) -> bytes:
        if self._name is None:
            with reading(self._engine) as session:
                self._name = session.scalars(select(Installation.id)).one().encode()
        return hmac.new(self._name, words, hashlib.sha256).hexdigest().encode()
