"""Servers that rows talk to: a real `ganymede up`, and MLflow's. Everything that is started here is ended here."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.speed.figures import PeerAbsent
from benchmarks.speed.places import PEERS
from ganymede.client import Client
from ganymede.part import start
from ganymede.up import free_port

_PATIENCE_S = 240.0  # a busy machine is no failure


def peer_python() -> Path:
    """Return the Python that has Lightning and MLflow; raises PeerAbsent where there is none."""
    if not (PEERS / "installed").exists():
        raise PeerAbsent("`make peers` has not installed it")
    return PEERS / "bin" / "python"


@contextmanager
def a_service(home: Path, **settings: object) -> Iterator[Client]:
    """Run `ganymede up` on a data directory until the block ends, with settings of its own."""
    port = free_port()
    chosen = {f"GANYMEDE_{name.upper()}": str(value) for name, value in {"home": home, **settings}.items()}
    command = [sys.executable, "-m", "ganymede", "up", "--port", str(port)]
    with (
        Client(f"http://127.0.0.1:{port}", patience_s=_PATIENCE_S) as client,
        _running(command, chosen, client.is_ready, log=home / "log"),
    ):
        yield client


@contextmanager
def an_mlflow(directory: Path) -> Iterator[int]:
    """Run MLflow's server on a SQLite file `mlflow.db` in a directory; yield its port.

    One process answers the one client that there is, and none waits for jobs of language models.
    """
    port = free_port()
    store, files = f"sqlite:///{directory / 'mlflow.db'}", directory / "artifacts"
    command = [str(peer_python()), "-m", "mlflow", "server", "--port", str(port)]
    command += ["--backend-store-uri", store, "--artifacts-destination", str(files), "--workers", "1"]
    alone = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    quiet = {**alone, "PATH": f"{PEERS / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": ""}
    with _running(command, quiet, lambda: _answers(f"http://127.0.0.1:{port}/health"), log=directory / "mlflow.log"):
        yield port


@contextmanager
def _running(
    command: Sequence[str], environment: Mapping[str, str], is_ready: Callable[[], bool], *, log: Path
) -> Iterator[None]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = start(command, {**os.environ, **environment}, output=output)
    try:
        until = time.monotonic() + _PATIENCE_S
        while not is_ready():
            if process.poll() is not None or time.monotonic() > until:
                raise ChildProcessError(log.read_text())
            time.sleep(0.1)
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=1) as answer:  # noqa: S310 (an address of ours)
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


class Wire:
    """A connection that is kept open, for requests whose answers are read whole."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)

    def get(self, path: str) -> bytes:
        """Return the body of a resource."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: bytes) -> bytes:
        """Send JSON and return the body of the answer."""
        return self._ask("POST", path, body)

    def _ask(self, method: str, path: str, body: bytes | None) -> bytes:
        try:
            answer = self._answer(method, path, body)
        except ConnectionError:  # it lay idle for longer than the server keeps it
            self._connection.close()
            answer = self._answer(method, path, body)
        content = answer.read()
        if answer.status >= 300:
            raise ConnectionError(f"{method} {path}: {answer.status} {content[:500]!r}")
        return content

    def _answer(self, method: str, path: str, body: bytes | None) -> HTTPResponse:
        self._connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        return self._connection.getresponse()
