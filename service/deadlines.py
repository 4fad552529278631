"""How long a client may keep a thread waiting: for its request line and headers, and for each piece of its body."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from socket import SHUT_RD, socket
from typing import Any

from werkzeug.exceptions import RequestTimeout

from service.clock import monotonic_s

HEAD_S = 20.0
PIECE_S = 20.0  # and the time that its bytes take at the slowest pace
SLOWEST_BYTES_PER_S = 8 * 1024
_EVERY_S = 1.0


@dataclass(eq=False)
class Wait:
    """A thread that waits for bytes of a connection. Once it `is_over`, there are no more of them."""

    connection: socket
    until_s: float
    is_over: bool = False


@dataclass
class Deadlines:
    """One thread looks after all threads that wait; a time-out of the socket would begin anew with each byte."""

    _waits: set[Wait] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._run, name="deadlines", daemon=True).start()

    @contextmanager
    def within(self, connection: socket, seconds: float) -> Iterator[Wait]:
        """Let a block read from a connection for so long, or until the wait is ended."""
        wait = Wait(connection, monotonic_s() + seconds)
        with self._lock:
            self._waits.add(wait)
        try:
            yield wait
        finally:
            self.end(wait)

    def end(self, wait: Wait) -> None:
        """Take it that everything has come."""
        with self._lock:  # so that nobody ends what is read next
            self._waits.discard(wait)

    def look(self) -> None:
        """End what has taken too long: whoever reads is told that there is no more, and can still answer."""
        with self._lock:
            for wait in [wait for wait in self._waits if monotonic_s() > wait.until_s]:
                self._waits.discard(wait)
                wait.is_over = True
                with suppress(OSError):  # it is closed already
                    wait.connection.shutdown(SHUT_RD)

    def _run(self) -> None:
        pause = threading.Event()
        while not pause.wait(_EVERY_S):
            self.look()


class Body:
    """The body of a request, each piece of which comes in time. Raises RequestTimeout."""

    def __init__(self, deadlines: Deadlines, connection: socket, body: Any) -> None:
        self._deadlines, self._connection, self._body = deadlines, connection, body

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes of the body, or all that are left."""
        with self._deadlines.within(self._connection, PIECE_S + max(size, 0) / SLOWEST_BYTES_PER_S) as wait:
            try:
                data: bytes = self._body.read(size) if size >= 0 else self._body.read()
            except Exception as error:
                if wait.is_over:  # what was cut off is no chunk, and no end of a body
                    raise RequestTimeout from error
                raise
        if wait.is_over:
            raise RequestTimeout
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)
