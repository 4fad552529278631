"""Streams of jobs to whoever watches them: one thread looks for news of all watched jobs and sends them.

No watcher has a thread of its own, and none is waited for: who is slow gets what is new once the rest was taken.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from socket import socket, socketpair

import structlog
from sqlalchemy import Engine

from service.answers.stream import Form, messages_of
from service.clock import monotonic_s
from service.db import DATABASE_AWAY, reading
from service.outlets import Outlet, Outlets
from service.store.keys import valid_keys
from service.store.stream import Head, heads, read_batch

LOOK_S = 0.1  # between two looks for news
PULSE_S = 15.0  # without news, after which a sign of life is sent
PATIENCE_S = 60.0  # with a watcher that takes nothing


@dataclass(eq=False)
class Watcher(Outlet):
    """Who watches a job: in which form, under which key, and the number of the newest message on its way to them."""

    job_id: str
    after: int
    form: Form
    key_id: str | None

    @property
    def place(self) -> tuple[str, int]:
        """Where in which stream the watcher is."""
        return self.job_id, self.after


class Streams:
    """All streams of a process. Its thread lives as long as anybody watches."""

    def __init__(self, engine: Engine, *, most: int) -> None:
        self._engine, self._most = engine, most
        self._count = 0
        self._newcomers: list[Watcher] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._log = structlog.get_logger()

    @property
    def are_full(self) -> bool:
        """Tell whether no more can watch."""
        return self._count >= self._most

    def join(self, watcher: Watcher) -> None:
        """Send a watcher what follows, from now on."""
        with self._lock:
            self._newcomers.append(watcher)
            self._count += 1
            if self._count == 1:
                threading.Thread(target=self._run, name="streams", daemon=True).start()

    def stop(self) -> None:
        """End all streams soon; who watches comes back to where they were."""
        self._stopping.set()

    def _run(self) -> None:
        with Outlets[Watcher]() as outlets:
            look_at_s = monotonic_s()
            while self._welcome(outlets):
                outlets.serve(max(0.0, look_at_s - monotonic_s()))
                if self._stopping.is_set():
                    outlets.close_all()
                elif monotonic_s() >= look_at_s:
                    look_at_s = monotonic_s() + self._look(outlets)

    def _welcome(self, outlets: Outlets[Watcher]) -> bool:
        """Take in who has come; tell whether anybody is there, for else the thread ends and the next one is new."""
        with self._lock:
            outlets.open(self._newcomers)
            self._newcomers = []
            self._count = len(outlets)
            return self._count > 0

    def _look(self, outlets: Outlets[Watcher]) -> float:
        """Send what is new, and signs of life; return the seconds until the next look."""
        wait_s = LOOK_S
        try:
            if self._send_news(outlets):
                wait_s = 0.0
        except DATABASE_AWAY as error:
            self._log.debug("no news", error=str(error))
        except Exception:  # noqa: BLE001 (the rim of this thread: who watches comes back to where they were)
            self._log.exception("streams broke off")
            outlets.close_all()
        for watcher in outlets.quiet(PULSE_S):
            outlets.push(watcher, watcher.form.pulse)
        for watcher in outlets.stuck(PATIENCE_S):
            outlets.close(watcher)
        return wait_s

    def _send_news(self, outlets: Outlets[Watcher]) -> bool:
        """Send everybody what follows for them; tell whether there is more than is sent at once."""
        ready = outlets.ready()
        with reading(self._engine) as session:
            known = heads(session, {watcher.job_id for watcher in ready})
            keys = {watcher.key_id for watcher in outlets if watcher.key_id is not None}
            valid = {None, *valid_keys(session, keys)} if keys else {None}
        for watcher in [watcher for watcher in outlets if watcher.key_id not in valid]:
            outlets.close(watcher)
        is_behind = False
        news = _News(self._engine)
        for watcher in [watcher for watcher in ready if watcher.key_id in valid]:
            head = known.get(watcher.job_id)
            if head is not None and watcher.after < head.seq:
                last, written = news.of(watcher, head)
                watcher.after = last
                outlets.push(watcher, written)
                is_behind = is_behind or last < head.seq
            elif head is None or head.has_ended:
                outlets.close(watcher)
        return is_behind


class _News:
    """What one look has found: read and written once for all watchers who are at the same place."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[tuple[tuple[str, int], Form], tuple[int, bytes]] = {}

    def of(self, watcher: Watcher, head: Head) -> tuple[int, bytes]:
        """Return the number of the last message that follows for a watcher, and the messages up to it."""
        key = (watcher.place, watcher.form)
        if key not in self._known:
            with reading(self._engine) as session:
                batch = read_batch(session, *watcher.place)
            messages = messages_of(batch, after=watcher.after, state=head.state)
            last = batch.entries[-1].seq if batch.entries else head.seq  # none, where the job was just deleted
            self._known[key] = last, b"".join(map(watcher.form.write, messages))
        return self._known[key]


@dataclass(frozen=True)
class Stream:
    """The body of an answer. Its server gives it the connection, or else waits for its pieces in a thread."""

    streams: Streams
    job_id: str
    after: int
    form: Form
    key_id: str | None
    first: bytes  # sent before all that follows

    def flow_into(self, connection: socket) -> None:
        """Send everything into a connection from now on, and close it at the end."""
        try:
            connection.sendall(self.first)
        except OSError:  # the other end is gone
            connection.close()
            return
        connection.setblocking(False)
        self.streams.join(Watcher(connection, self.job_id, self.after, self.form, self.key_id))

    def __iter__(self) -> Iterator[bytes]:
        mine, theirs = socketpair()
        with mine:
            self.flow_into(theirs)
            while piece := mine.recv(65_536):
                yield piece
