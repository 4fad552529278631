"""The process that carries out one attempt, or several together: it pulls steps until each is done or told to stop."""

import math
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import NoReturn

import structlog
import torch

from service.blobs import make_blobs
from service.logs import configure_logs
from service.settings import Settings
from worker.attempt import LastWords, Task
from worker.copies import Copies
from worker.exactness import compute_exactly
from worker.gan.cohort import Cohort
from worker.gan.compiled import remember_compiled
from worker.gan.whole_step import BuildFailed
from worker.isolation import isolate, limit_memory, step_back
from worker.member import Member, Surroundings
from worker.stopsign import StopSign
from worker.vigil import Vigil

_SWITCH_S = 0.0005  # after each statement a flush waits so long for the loop to let go, and all who write for the flush
_COMPILING_DEADLINE_S = 1_800.0
_MEMORY_SHARE = 1.5  # of the estimate that a job was accepted with, which may be this much too low


def train(tasks: Sequence[Task], settings: Settings, *, device: str, words: Connection) -> None:
    """Carry out attempts in this process, which belongs to them alone; several have one shape and take steps as one."""
    torch.set_num_threads(tasks[0].plan.threads)
    sys.setswitchinterval(_SWITCH_S)
    names = ", ".join(f"{task.attempt.job_id} #{task.attempt.number}" for task in tasks)
    isolate(f"ganymede: trainer {names}", niceness=0)
    configure_logs(settings)
    if device == "cpu":
        limit_memory(int(settings.job_memory_bytes * _MEMORY_SHARE))
    else:
        torch.cuda.set_device(device)  # graphs are captured, and seeds set, on the current one
    log = structlog.get_logger().bind(jobs=[task.attempt.job_id for task in tasks])
    try:
        _Trainer(tasks, settings, device=torch.device(device), words=words).run()
    except Exception as error:  # the rim of the process: the supervisor hears what no one else can tell
        log.exception("attempt broke off")
        _leave(words, _describe(error))


class _Trainer:
    def __init__(self, tasks: Sequence[Task], settings: Settings, *, device: torch.device, words: Connection) -> None:
        spec, plan = tasks[0].attempt.spec, tasks[0].plan
        compute_exactly(device, tf32=spec.resources.precision == "tf32", route=plan.route)
        if plan.step == "compiled":
            remember_compiled(settings.home.absolute() / "cache" / "compiled")
        draining = StopSign()
        signal.signal(signal.SIGTERM, lambda *_: draining.set())

        blobs, home = make_blobs(settings.blobs), settings.home.absolute()
        compiling_s = _COMPILING_DEADLINE_S if plan.step == "compiled" else 0.0  # any step may be one of a new kind
        vigil = Vigil(max(settings.step_deadline_s, compiling_s))
        copies = Copies(blobs, home / "cache", settings.cache_bytes)
        self._around = Surroundings(settings, device, blobs, copies, vigil, draining)
        self._words, self._is_cohort = words, plan.cohort is not None
        self._members = [Member(task, self._around, leave=self._leave_unless_others_go_on) for task in tasks]
        self._cohort: Cohort | None = None

    def run(self) -> None:
        """Train until all attempts have ended in the database."""
        vigil = self._around.vigil
        for member in self._members:
            member.start()
        step_back()  # not so the threads that flush: while one of them writes, all who want to write wait
        with self._around.copies:
            with vigil.phase("open the data and build the networks", sum(each.opening_s for each in self._members)):
                present = [member for member in self._members if member.open()]
            if present:
                self._train(present)

    def _train(self, present: Sequence[Member]) -> None:
        take_step = self._begin(present)
        while present := [member for member in present if not self._end_if_due(member)]:
            self._wait_for_room(present)
            self._around.vigil.step_begins()
            try:
                take_step()
            except BuildFailed as error:
                for member in present:
                    member.give_up_building(error)
                return
            for member in present:
                member.follow_step()

    def _begin(self, present: Sequence[Member]) -> Callable[[], None]:
        """Return what takes a step of every training."""
        if not self._is_cohort:
            return present[0].training.step
        self._cohort = Cohort([member.training for member in present])
        return self._cohort.step

    def _end_if_due(self, member: Member) -> bool:
        """End an attempt that has a reason to stop; False where it goes on. The others go on in any case."""
        why = member.reason_to_stop()
        if why is None or not member.end(why):
            return False
        if self._cohort is not None:
            self._cohort.leave(member.training)
        return True

    def _wait_for_room(self, present: Sequence[Member]) -> None:
        """Let the loop rest while the database has been away for so long that memory would run out."""
        while any(member.is_full for member in present) and not self._around.draining.is_set():
            with self._around.vigil.phase("reach the database", math.inf):
                time.sleep(self._around.settings.flush_s)

    def _leave_unless_others_go_on(self, last_words: LastWords | None) -> None:
        """End this process, at once where something has gone wrong, or else once no attempt is left."""
        if last_words is not None or all(member.has_ended for member in self._members):
            _leave(self._words, last_words)


def _describe(error: Exception) -> LastWords:
    """Return what the supervisor should hear of an exception that ends the attempt."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error):
        return LastWords("out_of_memory", f"The attempt ran out of memory: {error}")
    return LastWords("crashed", f"The attempt broke off with {type(error).__name__}: {error}")


def _leave(words: Connection, last_words: LastWords | None) -> NoReturn:
    """End this process at once, whatever its threads are doing."""
    if last_words is not None:
        last_words.send(words)
    sys.stdout.flush()
    os._exit(0 if last_words is None else 1)
