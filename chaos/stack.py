"""The real parts of one installation, each a process, with a proxy before the database and before the broker."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self

import psutil
from redis import Redis
from sqlalchemy.engine import make_url

from chaos.leash import start
from chaos.ports import HOST, free_port
from chaos.postgres import Postgres
from chaos.processes import family, freeze_family, kill_family, living_in, signal_all, title_of, wait_until
from chaos.proxy import Proxy
from ganymede.client import Client
from service.blobs import make_blobs
from service.broker import embedded_broker
from service.db import make_engine, migrate, reading
from service.settings import Settings
from service.store.workers import list_workers

Database = Literal["sqlite", "postgresql"]

REAL: Mapping[str, str] = MappingProxyType({"OMP_NUM_THREADS": "1"})  # the service's own times
SCALED: Mapping[str, str] = MappingProxyType(
    {
        **REAL,
        "GANYMEDE_FLUSH_S": "0.1",
        "GANYMEDE_TTL_S": "2",
        "GANYMEDE_SCAN_S": "0.2",
        "GANYMEDE_WAKE_AGAIN_S": "1",
        "GANYMEDE_SWEEP_S": "2",
        "GANYMEDE_BACK_OFF_S": "0.1",
        "GANYMEDE_BACK_OFF_MAX_S": "1",
        "GANYMEDE_DRAIN_S": "10",
        "GANYMEDE_STEP_DEADLINE_S": "20",
        "GANYMEDE_CHECKPOINT_S": "5",
        "GANYMEDE_LOSSES_IN_ROW": "1000",
        "GANYMEDE_LOSSES_IN_ALL": "100000",
        "GANYMEDE_THREADS": "1",
    }
)
WEB, BROKER = "web", "broker"

_READY_WITHIN_S = 180.0  # two workers import torch in a few seconds, but the machine may be busy
_LEAVES_WITHIN_S = 5.0
_GRACE_S = 10.0  # beyond a worker's own drain
_TRAINER_TITLE = "ganymede: trainer"


@dataclass(frozen=True)
class Plan:
    """How a part is started."""

    argv: list[str]
    env: Mapping[str, str]


class Stack:
    """One installation in a directory. Everything it starts, it ends; nothing of it outlives this process."""

    def __init__(
        self,
        home: Path,
        *,
        database: Database,
        workers: int = 2,
        slots: int = 2,
        settings: Mapping[str, str] = SCALED,
    ) -> None:
        self.home = home.resolve()
        self.crash_points = self.home / "crash"
        self.crash_points.mkdir(parents=True, exist_ok=True)
        self.blob_root = self.home / "blobs"
        self.worker_names = [f"worker-{number}" for number in range(workers)]
        self.parts: dict[str, subprocess.Popen[bytes]] = {}
        self.postgres = Postgres(self.home / "postgresql") if database == "postgresql" else None
        self._broker_port, self._web_port = free_port(), free_port()
        self.broker_proxy = Proxy((HOST, self._broker_port))
        self._database_proxy = Proxy((HOST, self.postgres.port)) if self.postgres else None
        self.broker_url = f"redis://{HOST}:{self._broker_port}/0"
        self.url = f"http://{HOST}:{self._web_port}"
        self.client = Client(self.url)
        self._env = {**_foreign_environment(), "GANYMEDE_SLOTS": str(slots), **settings, **self._addresses()}
        self.settings = Settings(_env_file=None, **_as_fields(self._env))
        self.database_url = self.postgres.url_of("ganymede") if self.postgres else self.settings.database
        self.engine = make_engine(self.database_url)
        self.blobs = make_blobs(self.settings.blobs)
        self._plans = self._make_plans()
        self._is_open = True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def ttl_s(self) -> float:
        """Seconds without a beat after which an attempt is lost."""
        return self.settings.ttl_s

    @property
    def running_postgres(self) -> Postgres:
        """The server of a stack on PostgreSQL."""
        assert self.postgres is not None
        return self.postgres

    @property
    def database_proxy(self) -> Proxy:
        """The proxy before the server of a stack on PostgreSQL."""
        assert self._database_proxy is not None
        return self._database_proxy

    def start(self) -> None:
        """Start everything; return when jobs can be taken and every worker is registered."""
        try:
            for proxy in self._proxies():
                proxy.start()
            self._start_database()
            self.restart_dead()
            self.wait_until_ready()
            for name in self.worker_names:
                self.wait_for_worker(name)
        except BaseException:
            self.close()
            raise

    def start_part(self, name: str, **env: str) -> None:
        """Start a part, with more variables in its environment; does not wait until it is ready."""
        plan = self._plans[name]
        output = self.home / f"{name}.log"
        self.parts[name] = start(plan.argv, {**plan.env, **env}, output=output, directory=self.home)

    def restart_dead(self, **env: str) -> list[str]:
        """Start every part that does not run; return their names."""
        names = self.dead()
        for name in names:
            self.start_part(name, **env)
        return names

    def dead(self) -> list[str]:
        """Return the parts that do not run."""
        return [name for name in self._plans if name not in self.parts or self.parts[name].poll() is not None]

    def kill(self, name: str) -> int:
        """Kill a part and return its exit code.

        A worker is killed alone, for its family must die with it by itself. The web goes with the process that serves
        the requests, and would answer on without it.
        """
        part = self.parts[name]
        if part.poll() is not None:
            return part.returncode
        if name == WEB:
            return kill_family(part)
        part.kill()
        return part.wait()

    def terminate(self, name: str) -> int:
        """Stop a part politely and return its exit code."""
        self.parts[name].terminate()
        return self.parts[name].wait(self.settings.drain_s + _GRACE_S)

    def freeze(self, name: str) -> None:
        """Stop a part and all its descendants in their tracks."""
        freeze_family(self.parts[name].pid)

    def thaw(self, name: str) -> None:
        """Let a frozen part and its descendants go on."""
        signal_all(family(self.parts[name].pid), signal.SIGCONT)

    def descendants(self, name: str) -> list[psutil.Process]:
        """Return the processes that a part has started, and those that they have."""
        return family(self.parts[name].pid)[1:]

    def trainers(self) -> list[psutil.Process]:
        """Return all trainers, those too whose worker is gone."""
        return [process for process in living_in(self.home) if title_of(process).startswith(_TRAINER_TITLE)]

    def trainers_of(self, name: str) -> list[psutil.Process]:
        """Return the trainers of a worker."""
        return [process for process in self.descendants(name) if title_of(process).startswith(_TRAINER_TITLE)]

    def wipe_broker(self) -> None:
        """Delete all that the broker holds."""
        with Redis.from_url(self.broker_url, socket_timeout=5) as broker:
            broker.flushall()

    def wait_until_ready(self) -> None:
        """Wait until jobs can be taken."""
        wait_until(self.client.is_ready, "the service is ready", within_s=_READY_WITHIN_S)

    def wait_for_worker(self, name: str) -> None:
        """Wait until the process that a worker is now has registered itself."""
        wait_until(lambda: self.worker_id(name), f"{name} is registered", within_s=_READY_WITHIN_S)

    def worker_id(self, name: str) -> str | None:
        """Return the name under which a worker's process is registered; None when it is not."""
        with reading(self.engine) as session:
            ids = [worker.id for worker in list_workers(session)]
        return next((one for one in ids if f":{self.parts[name].pid}:" in one), None)

    def blob_path(self, key: str) -> Path:
        """Return where a blob's file is."""
        return self.blob_root / key

    def close(self) -> list[str]:
        """End everything, politely at first; return the titles of the processes that had to be killed."""
        if not self._is_open:
            return []
        self._is_open = False
        signal_all(living_in(self.home), signal.SIGCONT)
        for proxy in self._proxies():
            proxy.heal()
        self._stop_parts()
        if self.postgres is not None:
            self.postgres.stop()
        # A fork server takes a moment to leave, as it has torch to unload.
        _, left = psutil.wait_procs(living_in(self.home), timeout=_LEAVES_WITHIN_S)
        titles = [f"{title_of(process)} ({process.pid})" for process in left]
        signal_all(left, signal.SIGKILL)
        psutil.wait_procs(left, timeout=_GRACE_S)
        self._disconnect()
        return titles

    def _proxies(self) -> list[Proxy]:
        return [self.broker_proxy, *([self._database_proxy] if self._database_proxy else [])]

    def _stop_parts(self) -> None:
        """Stop the workers first, all at once, as they need the others for their last words."""
        for names in (self.worker_names, [WEB], [BROKER]):
            asked = [self.parts[name] for name in names if name in self.parts]
            for part in asked:
                part.terminate()
            for part in asked:
                with suppress(subprocess.TimeoutExpired):
                    part.wait(self.settings.drain_s + _GRACE_S)

    def _disconnect(self) -> None:
        for part in self.parts.values():
            part.wait()
        for proxy in self._proxies():
            proxy.close()
        self.client.close()
        self.engine.dispose()

    def _start_database(self) -> None:
        if self.postgres is not None:
            self.postgres.start()
            self.postgres.create_database("ganymede")
        migrate(self.database_url)

    def _addresses(self) -> dict[str, str]:
        """Return where a part finds the others: by way of the proxies."""
        broker_host, broker_port = self.broker_proxy.address
        addresses = {
            "GANYMEDE_HOME": str(self.home),
            "GANYMEDE_BIND": f"{HOST}:{self._web_port}",
            "GANYMEDE_REDIS_URL": f"redis://{broker_host}:{broker_port}/0",
            "GANYMEDE_CRASH_POINTS": str(self.crash_points),
            "GANYMEDE_LOG_FORMAT": "json",
        }
        if self.postgres is not None:
            host, port = self.database_proxy.address
            proxied = make_url(self.postgres.url_of("ganymede")).set(host=host, port=port)
            addresses["GANYMEDE_DATABASE_URL"] = proxied.render_as_string(hide_password=False)
        return addresses

    def _make_plans(self) -> dict[str, Plan]:
        """Return every part in the order of their start."""
        program = [sys.executable, "-m", "ganymede"]
        # Of an option that is given twice Valkey takes the last, so that it listens on TCP, too.
        broker = [*embedded_broker(self.settings), "--bind", HOST, "--port", str(self._broker_port)]
        return {
            BROKER: Plan(broker, self._env),
            WEB: Plan([*program, "api"], self._env),
            **{name: Plan([*program, "worker"], self._env) for name in self.worker_names},
        }


def _foreign_environment() -> dict[str, str]:
    """Return our environment without what it says to Ganymede."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GANYMEDE_")}


def _as_fields(env: Mapping[str, str]) -> dict[str, Any]:
    prefix = "GANYMEDE_"
    return {name.removeprefix(prefix).lower(): value for name, value in env.items() if name.startswith(prefix)}
