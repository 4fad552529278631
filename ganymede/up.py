"""The whole service from one command: starts broker, migration, worker and web, restarts what dies, stops in reverse.

It keeps no state and every part dies with it, so it can be killed at any instant.
"""

import errno
import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from types import FrameType

import click
import structlog
from setproctitle import setproctitle

from ganymede.part import Part, start
from service import auth
from service.broker import embedded_broker
from service.logs import configure_logs
from service.settings import Settings

LOOK_EVERY_S = 0.1
ANSWER_WITHIN_S = 5.0  # a machine busy with training is slow to answer, and ready nevertheless
WEB_GRACE_S = 10.0
BROKER_GRACE_S = 5.0
GRACE_MARGIN_S = 5.0  # a worker that used its drain to the end must still be able to leave by itself


class Supervisor:
    """Runs the parts until it is told to stop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.parts: list[Part] = []
        self.is_ready = False
        self.is_stopping = False
        self._log = structlog.get_logger()
        self.env: Mapping[str, str] = {
            **os.environ,
            "GANYMEDE_HOME": str(settings.home.absolute()),
            "GANYMEDE_BIND": settings.bind,
            "GANYMEDE_LOG_FORMAT": settings.log_format,
        }

    def run(self) -> None:
        """Start everything, keep it running, and stop it on SIGINT, SIGTERM or SIGHUP.

        Raises:
            click.ClickException: a part failed before the service was ready once.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
                signal.signal(number, self._ask_to_stop)
        try:
            if not self.settings.redis_url:
                self._start("broker", embedded_broker(self.settings), grace_s=BROKER_GRACE_S)
            self._migrate()
            self._start("worker", _ganymede("worker"), grace_s=self.settings.drain_s + GRACE_MARGIN_S)
            self._start("web", _ganymede("api"), grace_s=WEB_GRACE_S)
            while not self.is_stopping:
                self._look()
                time.sleep(LOOK_EVERY_S)
        finally:
            for part in reversed(self.parts):
                part.stop()
                self._log.info("part stopped", part=part.name)

    def _migrate(self) -> None:
        if start(_ganymede("migrate"), self.env).wait() != 0:
            raise click.ClickException("The database could not be brought up to date; see above.")

    def _start(self, name: str, argv: Sequence[str], *, grace_s: float) -> None:
        self.parts.append(Part(name, argv, self.env, grace_s))
        self._run(self.parts[-1])

    def _run(self, part: Part) -> None:
        self._log.info("part started", part=part.name, pid=part.run())

    def _look(self) -> None:
        for part in self.parts:
            if (code := part.notice_death()) is not None and not self.is_stopping:
                self._note_death(part, code)
            elif part.is_due():
                self._run(part)
        if not self.is_ready and _answers(self.settings):
            self.is_ready = True
            self._greet()

    def _greet(self) -> None:
        url = address(self.settings)
        if self.settings.log_format == "json":
            self._log.info("service ready", url=url)
        else:
            click.echo(f"Ganymede is ready at {url} (API: /docs). Stop it with Ctrl-C.")

    def _note_death(self, part: Part, code: int) -> None:
        # Before the service was ready once, a death is a mistake in the set-up that starting again would only hide.
        if not self.is_ready:
            raise click.ClickException(f"{part.name} ended with code {code} before the service was ready; see above.")
        self._log.warning("part ended", part=part.name, exit_code=code, starts_again_in_s=part.pause_s)

    def _ask_to_stop(self, number: int, _frame: FrameType | None) -> None:
        if self.is_stopping:  # asked twice: whoever waits is in a hurry, and every part survives being killed
            sys.exit(128 + number)
        self.is_stopping = True


def up(settings: Settings) -> None:
    """Run the whole service until it is told to stop."""
    refuse_open_bind(settings)
    setproctitle("ganymede: up")
    configure_logs(settings)
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _only_one(settings):
        _refuse_busy_port(settings)
        Supervisor(settings).run()


def refuse_open_bind(settings: Settings) -> None:
    """Raise ClickException where everybody on the network could use the service without a key."""
    try:
        auth.refuse_open_bind(settings)
    except ValueError as error:
        raise click.ClickException(str(error)) from error


def address(settings: Settings) -> str:
    """Return the URL at which this machine reaches the service."""
    host = _reachable_host(settings)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def _reachable_host(settings: Settings) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - read, not bound


def free_port() -> int:
    """Return a port of the loopback interface that nobody uses at the moment."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


def _ganymede(command: str) -> list[str]:
    return [sys.executable, "-m", "ganymede", command]


@contextmanager
def _only_one(settings: Settings) -> Iterator[None]:
    with (settings.home / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise click.ClickException(f"Another `ganymede up` already runs on {settings.home.absolute()}.") from None
        yield


def _refuse_busy_port(settings: Settings) -> None:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        socket.create_server((settings.host, settings.port), family=family).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise click.ClickException(f"Cannot listen on {settings.bind}: {error.strerror}.") from error
        free = settings.port + 1
        other = f"ganymede up --port {free}, or GANYMEDE_BIND=127.0.0.1:{free} make run"
        raise click.ClickException(f"Port {settings.port} is in use. Choose another: {other}") from None


def _answers(settings: Settings) -> bool:
    connection = HTTPConnection(_reachable_host(settings), settings.port, timeout=ANSWER_WITHIN_S)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
