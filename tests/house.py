"""A real worker with a real broker and database in a directory of its own, with the service's times scaled down."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from redis.exceptions import RedisError

from chaos.oracle import is_clock
from service.broker import Wakeups, embedded_broker, ping_broker
from service.db import make_engine, reading, writing
from service.models import Checkpoint, Event, Job, Sample
from service.settings import Settings
from service.spec.columns import recorded_columns
from service.spec.job import JobSpec
from service.store import history
from service.store.checkpoints import get_checkpoint
from service.store.doomed import list_doomed
from service.store.keys import LOCAL_OWNER
from service.store.transitions import request_cancel
from service.store.workers import list_workers
from tests.building import add_job

SCALED = {
    "flush_s": 0.1,
    "ttl_s": 2.5,  # beside two processes that load torch a trainer waits for its share of two cores
    "scan_s": 0.1,
    "wake_again_s": 0.5,
    "back_off_s": 0.1,
    "sweep_s": 1.0,
    "drain_s": 20.0,
    "threads": 1,
}
SMALL_NETWORK = {"width": 8, "depth": 1}
SMALL_JOB: dict[str, Any] = {
    "dataset": "ring",
    "seed": 7,
    "model": {"generator": SMALL_NETWORK, "discriminator": SMALL_NETWORK},
    "loop": {"batch_size": 16, "max_steps": 300},
    "quality": {"every_steps": 0},
}
ENDLESS: dict[str, Any] = {"loop": {"max_steps": 1_000_000}, "resources": {"step": "eager"}}
"""What a job needs to train until it is told to stop, from its first second on."""

_PATIENCE_S = 180.0  # a busy machine is no failure
_WORKER = "from service.settings import Settings; from worker.main import run; raise SystemExit(run(Settings()))"


def wait_until(condition: Callable[[], Any], what: str, *, within_s: float = _PATIENCE_S) -> Any:
    """Return the first true value of a condition; fail when it stays false.

    It is looked at the less often the longer it takes, for each look costs those who are waited for their time.
    """
    began = time.monotonic()
    while not (value := condition()):
        waited_s = time.monotonic() - began
        if waited_s > within_s:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        time.sleep(min(0.01 + waited_s / 50, 0.1))
    return value


class House:
    """The parts of one installation. Everything it starts, it ends."""

    def __init__(self, home: Path, database_url: str, **settings: Any) -> None:
        self.settings = Settings(_env_file=None, home=home, database_url=database_url, **{**SCALED, **settings})
        self.engine = make_engine(database_url)
        self.broker: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []
        self.wakeups = Wakeups(self.settings)
        self.wakeups.start()

    def start_broker(self) -> None:
        self.broker = subprocess.Popen(embedded_broker(self.settings), stdout=subprocess.DEVNULL)
        wait_until(self._broker_answers, "the broker answers")

    def kill_broker(self) -> None:
        assert self.broker is not None
        self.broker.kill()
        self.broker.wait()

    def start_worker(self) -> psutil.Process:
        """Start a worker and wait until it is registered."""
        before = self.worker_ids()
        environment = os.environ | {
            f"GANYMEDE_{name.upper()}": str(value)
            for name, value in self.settings.model_dump(exclude_defaults=True).items()
        }
        program = (
            "import sys; from service.settings import Settings; from worker.main import run; sys.exit(run(Settings()))"
        )
        worker = subprocess.Popen([sys.executable, "-W", "ignore", "-c", program], env=environment)
        self.workers.append(worker)
        wait_until(lambda: self.worker_ids() - before, "the worker is registered")
        return psutil.Process(worker.pid)

    def stop_worker(self) -> int:
        """Stop the newest worker politely; return its exit code."""
        self.workers[-1].terminate()
        return self.workers[-1].wait(_PATIENCE_S)

    def ensure_worker(self) -> psutil.Process:
        """Return the worker, started anew where a test has ended it."""
        if self.workers and self.workers[-1].poll() is None:
            return psutil.Process(self.workers[-1].pid)
        return self.start_worker()

    def worker_ids(self) -> set[str]:
        with reading(self.engine) as session:
            return {worker.id for worker in list_workers(session)}

    def submit(self, tamper: Callable[[Job], object] = lambda _: None, **changes: Any) -> str:
        """Store a small job, announce it and return its id; `loop` is merged into the small one's."""
        posted = {**SMALL_JOB, **changes, "loop": {**SMALL_JOB["loop"], **changes.get("loop", {})}}
        with writing(self.engine) as session:
            job = add_job(session, owner_id=LOCAL_OWNER, **posted)
            tamper(job)
        self.wakeups.announce()
        return job.id

    def change(self, job_id: str, change: Callable[[Any, Job], object]) -> None:
        """Apply a function of the store to a job in a transaction, as the web would."""
        with writing(self.engine) as session:
            change(session, session.get_one(Job, job_id))
        self.wakeups.announce()

    def end(self, job_id: str) -> Job:
        """Cancel a job and wait for its end."""
        self.change(job_id, request_cancel)
        return self.wait_for_end(job_id)

    def job(self, job_id: str) -> Job:
        with reading(self.engine) as session:
            return session.get_one(Job, job_id)

    def wait_for_step(self, job_id: str, step: int) -> Job:
        wait_until(lambda: self.job(job_id).step >= step or self.job(job_id).is_terminal, f"step {step}")
        job = self.job(job_id)
        assert not job.is_terminal, "the job was too quick to be interrupted"
        return job

    def wait_for_status(self, job_id: str, *statuses: str, within_s: float = _PATIENCE_S) -> Job:
        wait_until(lambda: self.job(job_id).status in statuses, f"{job_id} is {statuses}", within_s=within_s)
        return self.job(job_id)

    def wait_for_end(self, job_id: str, *, within_s: float = _PATIENCE_S) -> Job:
        return self.wait_for_status(job_id, "succeeded", "failed", "cancelled", within_s=within_s)

    def events(self, job_id: str) -> list[Event]:
        with reading(self.engine) as session:
            return list(session.query(Event).filter_by(job_id=job_id).order_by(Event.seq))

    def event_types(self, job_id: str) -> list[str]:
        return [event.type for event in self.events(job_id)]

    def losses(self, job_id: str) -> tuple[int, np.ndarray]:
        """Return the first step and all rows of a job without its clocks."""
        with reading(self.engine) as session:
            spec = JobSpec.model_validate(session.get_one(Job, job_id).resolved_spec, strict=False)
            columns = [column for column in recorded_columns(spec) if not is_clock(column)]
            block = history.read_rows(session, job_id, columns=columns, first=1, last=10**9)
            return block.first_step, block.values.T

    def generator_sha256(self, job_id: str) -> str:
        with reading(self.engine) as session:
            return str(get_checkpoint(session, job_id, "latest").files["generator"]["sha256"])

    def shown_keys(self) -> set[str]:
        with reading(self.engine) as session:
            rows = [*session.query(Checkpoint), *session.query(Sample)]
            return {file["key"] for row in rows for file in row.files.values()}

    def doomed_keys(self) -> list[str]:
        with reading(self.engine) as session:
            return [blob.key for blob in list_doomed(session)]

    def trainers(self) -> list[psutil.Process]:
        """Return the trainer processes of this house's workers."""
        return [process for process in self.processes() if _title(process).startswith("ganymede: trainer")]

    def processes(self) -> list[psutil.Process]:
        """Return the newest worker and all its descendants."""
        found = []
        for worker in self.workers[-1:]:
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(worker.pid)
                found = [process, *process.children(recursive=True)]
        return found

    def wait_for_trainer(self) -> psutil.Process:
        process: psutil.Process = wait_until(self.trainers, "a trainer runs")[0]
        return process

    def close(self) -> None:
        """End everything at once."""
        family = self.processes()
        for process in [*self.workers, *([self.broker] if self.broker else [])]:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
        psutil.wait_procs(family, timeout=10)
        self.wakeups.stop()
        self.engine.dispose()

    def _broker_answers(self) -> bool:
        try:
            ping_broker(self.settings)
        except RedisError:
            return False
        return True


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()).strip()
    except psutil.Error:
        return ""


@contextmanager
def a_house(home: Path, database_url: str, **settings: Any) -> Iterator[House]:
    """Yield a house with a broker and end all its processes afterwards."""
    house = House(home, database_url, **settings)
    try:
        house.start_broker()
        yield house
    finally:
        house.close()


def a_sqlite_house(home: Path, template: Path, **settings: Any) -> AbstractContextManager[House]:
    """Return a house with a copy of a migrated database in its directory."""
    shutil.copy(template, home / "ganymede.db")
    return a_house(home, f"sqlite:///{home / 'ganymede.db'}", **settings)
