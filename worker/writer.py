"""The thread that stores what the loop hands over, so that the loop waits for no disk."""

import threading
from collections.abc import Callable
from queue import Queue
from threading import Event

from worker.isolation import step_back


class Writer:
    """Carries out pieces of work in their order: one is under way and one may wait, for a third its giver waits.

    What fails is raised to whoever comes next, and nothing is carried out after it: what follows may build on it.
    """

    def __init__(self) -> None:
        self._work: Queue[tuple[Callable[[], None], Event]] = Queue(maxsize=1)
        self._failure: Exception | None = None
        threading.Thread(target=self._run, name="writer", daemon=True).start()

    def hand_over(self, work: Callable[[], None]) -> Event:
        """Have work done, and return what is set once nothing that it holds is needed any more."""
        self.raise_failure()
        over = Event()
        self._work.put((work, over))
        return over

    def finish(self) -> None:
        """Wait until all work is done."""
        self._work.join()
        self.raise_failure()

    def raise_failure(self) -> None:
        """Raise what has failed, if anything has."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        step_back()
        while True:
            work, over = self._work.get()
            if self._failure is None:
                self._carry_out(work)
            over.set()
            self._work.task_done()

    def _carry_out(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 (the rim of this thread: the loop is told)
            self._failure = error
