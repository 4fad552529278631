"""`ganymede worker`: one Celery process that supervises trainers. It holds no torch and never forks."""

import logging
import os
import secrets
import signal
import socket
import warnings
from collections.abc import Sequence
from typing import Any, Protocol

import setproctitle
from celery import Celery, signals
from celery.apps.worker import Worker
from celery.exceptions import SecurityWarning
from sqlalchemy import not_

from service.blobs import make_blobs
from service.broker import TASKS, Wakeups
from service.db import make_engine
from service.errands import Errands
from service.logs import configure_logs
from service.reconcile import Reconciler
from service.settings import Settings
from service.store.orders import is_small
from service.tidings import Teller
from worker.app import make_app
from worker.errands import ErrandRunner
from worker.forkserver import ForkServer
from worker.machine import look_at_machine
from worker.preparer import Preparer
from worker.presence import Presence
from worker.sampler import QUICK_S, Sampler
from worker.supervisor import Supervisor

_TITLE = "ganymede: worker"
_SPARE_THREADS = 6  # so that wake-ups are answered while every slot trains, an upload is prepared, samples are drawn


def run(settings: Settings) -> int:
    """Work until a signal says stop; return the exit code. Raises UnfitMachine."""
    setproctitle.setproctitle(_TITLE)
    configure_logs(settings)
    fork_server = ForkServer()
    fork_server.start()  # before there is any other thread
    machine = look_at_machine(fork_server, settings)
    worker_id = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    engine, blobs, wakeups = make_engine(settings.database), make_blobs(settings.blobs), Wakeups(settings)
    supervisor = Supervisor(
        engine, blobs, wakeups, fork_server, settings=settings, worker_id=worker_id, machine=machine
    )
    preparer = Preparer(engine, blobs, fork_server, settings=settings, worker_id=worker_id)
    tell = Teller(settings).tell
    samplers = [
        Sampler(engine, blobs, fork_server, tell, settings=settings, worker_id=worker_id, takes=takes, quick_s=quick_s)
        for takes, quick_s in ((is_small(), QUICK_S), (not_(is_small()), 0.0))
    ]
    places: Sequence[Place] = (*samplers, preparer, supervisor)
    runner = ErrandRunner(Errands(settings, engine), samplers[0])
    reconciler = Reconciler(engine, blobs, settings, wakeups)
    looks = (*(sampler.work for sampler in samplers), preparer.work)
    presence = Presence(engine, supervisor, looks, settings=settings, worker_id=worker_id, machine=machine)

    wakeups.start()
    reconciler.start()
    presence.start()
    runner.start()
    try:
        return _consume(make_app(settings, supervisor, preparer, samplers), places, settings)
    finally:
        for place in places:
            place.drain()
        runner.stop()
        for place in reversed(places):
            place.join()
        presence.stop()
        reconciler.stop()
        wakeups.stop()
        engine.dispose()


class Place(Protocol):
    """Where work of one kind is done."""

    def drain(self) -> None:
        """Begin nothing more and give back what goes on."""

    def join(self) -> None:
        """Wait until nothing goes on."""


class _CeleryWorker(Worker):  # type: ignore[misc]
    """Celery's worker under our title, which takes a hang-up as a polite stop."""

    def set_process_status(self, info: str) -> None:
        setproctitle.setproctitle(_TITLE)

    def install_platform_tweaks(self, worker: Worker) -> None:
        is_ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN  # as nohup has it
        super().install_platform_tweaks(worker)
        # Celery would start itself again in this process, and so end the trainers that watch it.
        signal.signal(signal.SIGHUP, signal.SIG_IGN if is_ignored else signal.getsignal(signal.SIGTERM))


def _consume(celery: Celery, places: Sequence[Place], settings: Settings) -> int:
    """Run Celery's consumer until it is told to stop and every task has ended."""

    # Celery keeps only weak references to receivers, which live as long as this function runs.
    def drain(**_: Any) -> None:
        for place in places:  # the pool of threads waits for its tasks for ever, so they must be told
            place.drain()

    def keep_our_logs(**_: Any) -> None:
        """Celery leaves logging alone when this signal has a receiver."""

    signals.worker_shutting_down.connect(drain)
    signals.setup_logging.connect(keep_our_logs)
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)  # a line for each wake-up says nothing
    warnings.simplefilter("ignore", SecurityWarning)  # about root: messages are JSON and carry nothing to execute
    worker = _CeleryWorker(
        app=celery,
        pool_cls="threads",
        queues=[*TASKS],
        concurrency=settings.slots + _SPARE_THREADS,
        loglevel=settings.log_level.upper(),
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    return int(worker.exitcode or 0)
