"""Takes errands while a sampler is idle, so that whoever is busy leaves them to others."""

import threading

import structlog
from redis.exceptions import RedisError

from service.db import DATABASE_AWAY
from service.errands import Errands
from service.tidings import AGAIN_S
from worker.sampler import Sampler

_BUSY_S = 0.01  # between two looks at a sampler that is busy


class ErrandRunner:
    """A thread that waits for errands, for one sampler."""

    def __init__(self, errands: Errands, sampler: Sampler) -> None:
        self._errands, self._sampler = errands, sampler
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="errands", daemon=True)
        self._log = structlog.get_logger()

    def start(self) -> None:
        """Begin to take errands."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread soon; what has been taken is told to be left to others."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            if self._sampler.is_busy:
                self._stopping.wait(_BUSY_S)
                continue
            try:
                errand = self._errands.take()
                if errand is not None:
                    self._sampler.run(errand, self._errands.answer)
            except (RedisError, *DATABASE_AWAY) as error:
                self._log.debug("no errands", error=str(error))
                self._stopping.wait(AGAIN_S)
            except Exception:  # noqa: BLE001 (the rim of this thread, which must outlive every fault)
                self._log.exception("an errand failed")
                self._stopping.wait(AGAIN_S)
