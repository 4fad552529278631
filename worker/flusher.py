"""The thread that writes down what the loop does and reads what the owner wants, so that the loop never waits."""

import math
import threading
import time
from collections.abc import Callable

import structlog
from sqlalchemy import Engine

from service.crashpoints import crash_point
from service.db import DATABASE_AWAY, writing
from service.errors import AttemptOver
from service.models import Desired, Job
from service.settings import Settings
from service.store import transitions
from service.store.transitions import Orders
from worker.attempt import Attempt, LastWords
from worker.endings import Ending, conclude
from worker.outbox import Outbox
from worker.vigil import Vigil

_LAST_STEP_S = 5.0  # for the loop to leave by itself once the attempt has ended under it


class Flusher:
    """Flushes the outbox of one attempt in fenced transactions, each with the beat, and follows the owner's orders.

    `leave` ends the process at once; it is given what the supervisor should hear, or None when the attempt has ended
    and nothing of it may be touched: then it may let the process go on with others.
    """

    def __init__(
        self,
        engine: Engine,
        outbox: Outbox,
        vigil: Vigil,
        *,
        attempt: Attempt,
        settings: Settings,
        leave: Callable[[LastWords | None], None],
    ) -> None:
        self.orders = Orders(Desired.RUN, attempt.max_steps)
        self.ended = False
        self._engine, self._outbox, self._vigil = engine, outbox, vigil
        self._attempt, self._settings, self._leave = attempt, settings, leave
        self._one_at_a_time = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="flush", daemon=True)
        self._log = structlog.get_logger().bind(job=attempt.job_id, attempt=attempt.number)

    def start(self) -> None:
        """Begin to flush and beat."""
        self._thread.start()

    def end(self, ending: Ending) -> bool:
        """Write everything and end the attempt, however long the database takes; False: it goes on as ordered."""
        with self._vigil.phase("reach the database", math.inf):
            while True:
                try:
                    self._flush(ending)
                except DATABASE_AWAY as error:
                    self._log.warning("database away at the end of the attempt", error=str(error))
                    time.sleep(self._settings.flush_s)
                else:
                    return self.ended

    def _run(self) -> None:
        while not self.ended:
            time.sleep(self._settings.flush_s)
            overrun = self._vigil.overrun()
            if overrun is not None:
                self._leave(LastWords("crashed", overrun))
            try:
                self._flush(None)
            except DATABASE_AWAY as error:
                self._log.warning("database away, training goes on", error=str(error))
            except AttemptOver:
                self.ended = True
                self._leave(None)
                return
            except Exception as error:  # noqa: BLE001 (the rim of this thread: nobody else would see it)
                self._log.exception("flush failed")
                self._leave(LastWords("crashed", f"The history could not be written: {error}"))
        time.sleep(_LAST_STEP_S)
        self._leave(None)

    def _flush(self, ending: Ending | None) -> None:
        with self._one_at_a_time:
            if self.ended:
                return
            batch = self._outbox.batch()
            ending = batch.verdict or ending
            with writing(self._engine) as session:
                orders = transitions.flush(session, self._attempt.job_id, self._attempt.number, batch.progress)
                job = session.get_one(Job, self._attempt.job_id)
                batch.write(session, job)
                ended = conclude(session, self._attempt, orders, batch.progress.step, ending)
                crash_point("end.before" if ended else "flush.before")
            crash_point("end.committed" if ended else "flush.committed")
            self._outbox.forget(batch)
            self.orders, self.ended = orders, ended
