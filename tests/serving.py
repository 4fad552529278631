"""The whole service as a user starts it, for tests that talk to it from outside."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from chaos.leash import start
from ganymede.up import free_port
from tests.house import wait_until

QUICK = {"GANYMEDE_FLUSH_S": "0.2", "GANYMEDE_SCAN_S": "0.8", "GANYMEDE_DRAIN_S": "10", "OMP_NUM_THREADS": "1"}
READY = "Ganymede is ready at"


@dataclass
class Service:
    """A running `ganymede up`."""

    url: str
    home: Path
    process: "subprocess.Popen[bytes]"
    log: Path

    def family(self) -> list[psutil.Process]:
        """Return the process and everything it started, however deep."""
        head = psutil.Process(self.process.pid)
        return [head, *head.children(recursive=True)]

    def find(self, title: str) -> list[psutil.Process]:
        """Return the processes whose command line holds a title, oldest first."""
        return [process for process in sorted(self.family(), key=_age) if title in _command_line(process)]


def _age(process: psutil.Process) -> float:
    return process.create_time()


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # it ended since it was listed
        return ""


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return those that still run; one that has ended and that nobody has asked about yet does not."""
    return [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


@contextmanager
def running_service(home: Path, **variables: str) -> Iterator[Service]:
    """Run `ganymede up` on a data directory until the block ends; when the block begins it has said that it is ready.

    An answer of the API alone is not enough: until `up` itself has seen one, it takes a part's death for a mistake in
    the set-up and ends.
    """
    log = home.parent / "service.log"
    before = _greetings(log)
    url = f"http://127.0.0.1:{(port := free_port())}"
    env = {**os.environ, **QUICK, "GANYMEDE_HOME": str(home), **variables}
    command = [sys.executable, "-m", "ganymede", "up", "--port", str(port)]
    process = start(command, env, output=log, directory=Path.cwd())  # so that it ends even with tests that are killed
    try:
        wait_until(lambda: _greetings(log) > before or process.poll() is not None, "the service is ready")
        assert process.poll() is None, log.read_text()
        yield Service(url, home, process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        finally:
            process.kill()


def _greetings(log: Path) -> int:
    return log.read_text().count(READY) if log.exists() else 0


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests that only talk to it."""
    with running_service(tmp_path_factory.mktemp("service") / "home") as running:
        yield running
