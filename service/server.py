"""The web process: gunicorn around the application, with the processes that answer and what works beside them."""

import ctypes
import gc
import os
import signal
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker
from setproctitle import setproctitle

from service.app import create_app
from service.auth import refuse_open_bind
from service.blobs import make_blobs
from service.broker import Wakeups
from service.courier import Courier
from service.db import make_engine
from service.logs import configure_logs
from service.metrics import count_together
from service.outgoing import Poster
from service.reconcile import Reconciler
from service.scratch import held_directory, remove_left
from service.settings import Settings
from service.web import Web

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
TITLE = "ganymede: web"
COUNTS = "ganymede-web-"
POOL_TIMEOUT_S = 1.0
GRACE_S = 10  # for requests in flight when the process is asked to stop
COLLECT_AFTER = 10_000  # new objects that have not gone by themselves; Python's own is 700


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Exits with a message for a bind that would let everybody in."""
    try:
        refuse_open_bind(settings)
    except ValueError as error:
        sys.exit(str(error))
    configure_logs(settings)
    WebProcess(settings).run()


@dataclass(frozen=True)
class Running:
    """What works beside the requests."""

    web: Web
    wakeups: Wakeups
    reconciler: Reconciler
    courier: Courier

    def start(self) -> None:
        """Begin all work."""
        self.web.probe.start()
        self.web.tidings.start()
        self.wakeups.start()
        self.reconciler.start()
        self.courier.start()

    def stop(self) -> None:
        """End all work, in reverse."""
        self.courier.stop()
        self.reconciler.stop()
        self.wakeups.stop()
        self.web.tidings.stop()
        self.web.probe.stop()
        self.web.engine.dispose()


class WebProcess(BaseApplication):  # type: ignore[misc]
    """Gunicorn workers with threads. What has threads or connections is made after gunicorn's fork, by load().

    Python computes in one thread at a time: two hundred clients that poll keep a process at the limit of its core.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ending = ExitStack()
        remove_left(_in_memory(), COUNTS)
        self._counts = self._ending.enter_context(held_directory(_in_memory(), COUNTS))
        self._running: Running | None = None
        super().__init__()

    def load_config(self) -> None:
        settings = self._settings
        chosen: dict[str, Any] = {
            "bind": settings.bind,
            "worker_class": "service.gateway.Gateway",
            "workers": settings.web_processes,
            "threads": settings.web_threads,
            "graceful_timeout": GRACE_S,
            "timeout": 60,  # the worker's own heart-beat; a long poll does not count
            "keepalive": 15,
            "control_socket_disable": True,
            "logger_class": ProjectLogger,
            "pre_fork": lambda _arbiter, _worker: setproctitle(TITLE),  # later than gunicorn sets its own
            "post_worker_init": self._begin,
            "worker_exit": self._end,
            "on_exit": lambda _arbiter: self._ending.close(),
        }
        for name, value in chosen.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        settings = self._settings
        count_together(self._counts)
        engine = make_engine(settings.database, pool_size=settings.web_threads, pool_timeout_s=POOL_TIMEOUT_S)
        blobs, wakeups = make_blobs(settings.blobs), Wakeups(settings)
        app = create_app(settings, engine, blobs, wakeups)
        reconciler = Reconciler(engine, blobs, settings, wakeups)
        courier = Courier(engine, settings, Poster(settings.inner_hosts))
        self._running = Running(app.extensions["web"], wakeups, reconciler, courier)
        return app

    def _begin(self, worker: ThreadWorker) -> None:
        setproctitle(TITLE)
        if (running := self._running) is None:
            return

        def stop_politely(number: int, frame: FrameType | None) -> None:
            # Once is enough, and a second signal would wait for ever for the lock that the first one's handler holds.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            running.web.long_polls.stop()
            running.web.streams.stop()
            worker.handle_exit(number, frame)

        signal.signal(signal.SIGTERM, stop_politely)
        _stop_with_parent(worker.ppid)
        running.start()
        look_for_garbage_seldom()

    def _end(self, _arbiter: object, _worker: object) -> None:
        if self._running is not None:
            self._running.stop()


def _in_memory() -> Path:
    """Return a directory that no full disk can spoil, if there is one: a count that is mapped would end its process."""
    memory = Path("/dev/shm")  # noqa: S108 (a name is made in it that nobody can guess)
    return memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())


def _stop_with_parent(parent_id: int) -> None:
    """Have this process told to stop when gunicorn's first one is killed, else it would serve on until it looks."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent_id:  # it died before the line above
            signal.raise_signal(signal.SIGTERM)


def look_for_garbage_seldom() -> None:
    """Look for unreachable objects among new ones alone, and seldom: each look stops all threads of the process.

    With Python's own settings 99 in 100 polls of two hundred clients took several times as long (docs/performance.md).
    The price is that up to COLLECT_AFTER unreachable objects wait for a look, with whatever memory they hold.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])


class ProjectLogger(Logger):  # type: ignore[misc]
    """Gunicorn's messages through our own logs; requests are logged by the application."""

    def setup(self, cfg: Any) -> None:
        self.cfg = cfg
        self.error_log.propagate = True
