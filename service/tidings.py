"""Tidings of samples that are settled: workers send them through the broker, and a request that waits hears them.

They are a courtesy. Any may be lost, and whoever waits also looks by itself.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from service.broker import redis_url
from service.clock import monotonic_s
from service.settings import Settings

CHANNEL = "ganymede.settled"
AGAIN_S = 1.0  # until the broker is tried again after it was away
_SEND_S = 0.1  # a frozen broker holds a worker up for no longer, once in AGAIN_S
_HEAR_S = 1.0  # between two looks of the listener at whether it should stop
_CONNECT_S = 2.0


class Teller:
    """Sends tidings, from any thread."""

    def __init__(self, settings: Settings) -> None:
        self._client = connect(settings, _SEND_S)
        self._silent_until_s = 0.0

    def tell(self, order_id: str) -> None:
        """Say that an order has changed. Never raises; while the broker is away nothing is said."""
        if monotonic_s() < self._silent_until_s:
            return
        try:
            self._client.publish(CHANNEL, order_id)
        except RedisError:
            self._silent_until_s = monotonic_s() + AGAIN_S


class Listener:
    """Hears tidings in a thread of its own, and wakes who waits for them."""

    def __init__(self, settings: Settings) -> None:
        self._client = connect(settings, _CONNECT_S)
        self._waiting: dict[threading.Event, str] = {}  # for which order
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._log = structlog.get_logger()

    def start(self) -> None:
        """Begin to listen."""
        threading.Thread(target=self._run, name="tidings", daemon=True).start()

    def stop(self) -> None:
        """End the thread soon."""
        self._stopping.set()

    @contextmanager
    def expecting(self, order_id: str) -> Iterator[threading.Event]:
        """Yield what is set by each tiding of an order; never, where none comes through."""
        told = threading.Event()
        with self._lock:
            self._waiting[told] = order_id
        try:
            yield told
        finally:
            with self._lock:
                del self._waiting[told]

    def wake(self, order_id: str) -> None:
        """Wake who waits for an order."""
        with self._lock:
            for told, expected in self._waiting.items():
                if expected == order_id:
                    told.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except (RedisError, OSError) as error:
                self._log.debug("no tidings", error=str(error))
                self._stopping.wait(AGAIN_S)

    def _listen(self) -> None:
        with self._client.pubsub(ignore_subscribe_messages=True) as heard:  # type: ignore[no-untyped-call]
            heard.subscribe(CHANNEL)
            while not self._stopping.is_set():
                message = heard.get_message(timeout=_HEAR_S)
                if message is not None:
                    self.wake(message["data"].decode(errors="replace"))


def connect(settings: Settings, timeout_s: float) -> Redis:
    """Return a client that tries once; nothing connects yet."""
    return Redis.from_url(
        redis_url(settings),
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        health_check_interval=25,
        retry=Retry(NoBackoff(), 0),
    )
