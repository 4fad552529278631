"""Knowing at once that the database is away: a frozen or cut-off server never times out by itself.

One thread asks it each second on a connection of its own. Another looks at the answers' age: past two seconds requests
are refused at once, and the sockets of open connections are shut, so that threads that wait on them come back.
"""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog
from sqlalchemy import Dialect, Engine, event, text
from sqlalchemy.exc import DBAPIError

from service.clock import monotonic_s
from service.db import DATABASE_AWAY, make_engine

EVERY_S = 1.0
AWAY_AFTER_S = 2.0


class DatabaseProbe:
    """Watches the database behind an engine."""

    def __init__(self, engine: Engine, *, every_s: float = EVERY_S, away_after_s: float = AWAY_AFTER_S) -> None:
        self._engine = engine
        self._own = make_engine(engine.url.render_as_string(hide_password=False), pool_size=1)
        self._every_s, self._away_after_s = every_s, away_after_s
        self._answered_at = float("inf")  # until the start nothing is silent
        # Of each of the driver's connections, one may hang in the pool's own ping, too. A second descriptor: the first
        # is closed by whoever finds the connection broken, and its number may be a stranger's the next moment.
        self._open: dict[Any, socket.socket] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._log = structlog.get_logger()

    def start(self) -> None:
        """Begin to ask and to look."""
        event.listen(self._engine, "connect", self._note_open)
        event.listen(self._engine, "close", self._note_closed)
        event.listen(self._engine, "do_connect", self._refuse_while_away)
        self._answered_at = monotonic_s()
        for task, every_s in ((self._ask, self._every_s), (self._look, self._every_s / 4)):
            threading.Thread(target=self._repeat, args=(task, every_s), name="database probe", daemon=True).start()

    def stop(self) -> None:
        """End both threads soon; one that waits for a frozen server ends with the process."""
        self._stopping.set()
        self._own.dispose()

    def is_away(self) -> bool:
        """Tell whether the database has been silent for too long."""
        return monotonic_s() - self._answered_at > self._away_after_s

    def _repeat(self, task: Callable[[], None], every_s: float) -> None:
        while not self._stopping.wait(every_s):
            try:
                task()
            except Exception:  # noqa: BLE001 (the rim of this thread: without it, all that follows would be 503, or hang)
                self._log.exception("probe failed")

    def _ask(self) -> None:
        try:
            with self._own.connect() as connection:
                connection.execute(text("SELECT 1"))
            self._answered_at = monotonic_s()
        except (*DATABASE_AWAY, DBAPIError) as error:
            self._log.warning("database does not answer", error=str(error.args[0]))

    def _look(self) -> None:
        if self.is_away():
            with self._lock:
                for shared in self._open.values():
                    with suppress(OSError):  # it was shut before
                        shared.shutdown(socket.SHUT_RDWR)

    def _refuse_while_away(self, dialect: Dialect, *_: object) -> None:
        """Spare whose connection was just shut the time-out of a new one: the kernel still takes it for the server."""
        if self.is_away():
            raise dialect.loaded_dbapi.OperationalError("the database has been silent for too long")

    def _note_open(self, connection: Any, _record: object) -> None:
        if hasattr(connection, "pgconn"):  # SQLite has no socket
            with self._lock:
                self._open[connection] = socket.socket(fileno=socket.dup(connection.fileno()))

    def _note_closed(self, connection: Any, _record: object) -> None:
        with self._lock:
            shared = self._open.pop(connection, None)
        if shared is not None:
            shared.close()
