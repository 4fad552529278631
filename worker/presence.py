"""The row that shows a worker, and its own look for work, with which it never depends on the broker."""

import threading
from collections.abc import Callable, Sequence

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from service.clock import monotonic_s
from service.db import DATABASE_AWAY, writing
from service.models import Worker
from service.settings import Settings
from service.store.workers import beat_worker, forget_worker, register_worker
from service.version import VERSION
from worker.machine import Machine
from worker.supervisor import Supervisor


class Presence:
    """Beats each scan, and each wake-up interval lets every free slot and who works beside them look for work."""

    def __init__(
        self,
        engine: Engine,
        supervisor: Supervisor,
        looks: Sequence[Callable[[], None]],
        *,
        settings: Settings,
        worker_id: str,
        machine: Machine,
    ) -> None:
        self._engine, self._supervisor, self._looks = engine, supervisor, looks
        self._settings, self._worker_id, self._machine = settings, worker_id, machine
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)
        self._log = structlog.get_logger().bind(worker=worker_id)

    def start(self) -> None:
        """Register the worker and begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """Stop beating and remove the row."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        looked_at = -float("inf")
        while not self._stopping.is_set():
            if monotonic_s() - looked_at >= self._settings.wake_again_s:
                looked_at = monotonic_s()
                for look in (*self._looks, *[self._supervisor.work] * self._supervisor.free):
                    threading.Thread(target=look, name="own look", daemon=True).start()
            self._try_write(self._beat)
            self._stopping.wait(self._settings.scan_s)
        self._try_write(self._forget)

    def _try_write(self, write: Callable[[Session], None]) -> None:
        try:
            with writing(self._engine) as session:
                write(session)
        except DATABASE_AWAY as error:
            self._log.warning("database away", error=str(error))
        except Exception:  # noqa: BLE001 (the rim of this thread, which must go on looking for work)
            self._log.exception("worker not shown")

    def _beat(self, session: Session) -> None:
        if session.get(Worker, self._worker_id) is None:  # the first time, or forgotten while this process was stopped
            register_worker(
                session,
                worker_id=self._worker_id,
                device=self._machine.device,
                slots=self._settings.slots,
                version=VERSION,
                facts=self._machine.facts,
            )
            session.flush()
        beat_worker(session, self._worker_id, busy=self._settings.slots - self._supervisor.free)

    def _forget(self, session: Session) -> None:
        forget_worker(session, self._worker_id)
