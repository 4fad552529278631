"""Engines and transactions on SQLite and PostgreSQL. Nothing here knows a table."""

import json
import select
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any, Literal

import orjson
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import URL, Connection, ExceptionContext, make_url
from sqlalchemy.exc import DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from service.sqlite import driver, sqlite_journal_mode
from service.turns import Turns

DATABASE_AWAY = (OperationalError, InterfaceError, PoolTimeout)  # raised while the database does not answer
# Of PostgreSQL, by its codes: it takes no writes now, or has ended a transaction that stood still.
_PASSING = frozenset({"25006", "25P03", "25P04"})

_BUSY_S = 30.0  # for which SQLite may be busy with other writers

_POSTGRESQL_CONNECT = {
    "connect_timeout": 2,
    # A process that is stopped in the midst of a write holds the row of its job for so long as its transaction may be
    # idle, which must be less than the time to live of its lease.
    "options": "-c statement_timeout=10000 -c lock_timeout=3000 -c idle_in_transaction_session_timeout=10000",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


def make_engine(url: str, *, pool_size: int = 5, pool_timeout_s: float = 30.0) -> Engine:
    """Return an engine with the time-outs and pragmas that the service relies on; nothing connects yet."""
    backend = make_url(url).get_backend_name()
    if backend == "sqlite":
        return _make_sqlite_engine(url, pool_size=pool_size, pool_timeout_s=pool_timeout_s)
    if backend == "postgresql":
        return _make_postgresql_engine(url, pool_size=pool_size, pool_timeout_s=pool_timeout_s)
    raise ValueError(f"the database must be SQLite or PostgreSQL, not {backend}")


def _make_pooled_engine(url: URL | str, pool_size: int, pool_timeout_s: float, **options: Any) -> Engine:
    return create_engine(
        url,
        poolclass=QueuePool,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=pool_timeout_s,
        json_serializer=_to_json,
        json_deserializer=orjson.loads,
        hide_parameters=True,  # errors are logged; what was to be written is nobody's business there
        **options,
    )


def _make_postgresql_engine(url: str, *, pool_size: int, pool_timeout_s: float) -> Engine:
    url_of_driver = make_url(url).set(drivername="postgresql+psycopg")
    engine = _make_pooled_engine(url_of_driver, pool_size, pool_timeout_s, connect_args=_POSTGRESQL_CONNECT)

    @event.listens_for(engine, "connect")
    def note_new(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info["is_new"] = True

    @event.listens_for(engine, "checkout")
    def replace_broken(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        """Ask a server whether it is there only where it has said something unasked, which is goodbye nearly always.

        To ask each time would double the ways there and back of a small query. The kernel says goodbye for a server
        that died; one out of reach is noticed by the time-outs, which a question would have to wait for, too.
        """
        if record.info.pop("is_new", False):
            return  # whoever uses it is told what is wrong with it
        try:
            if _has_news(connection):
                engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise DisconnectionError("the server is gone") from error

    @event.listens_for(engine, "handle_error")
    def call_away(context: ExceptionContext) -> None:
        """Raise as away what the driver takes for an error of its own, and what passes by itself."""
        error = context.original_exception
        if getattr(error, "sqlstate", None) in _PASSING:
            raise OperationalError(context.statement, None, error, hide_parameters=True) from error

    return engine


def _has_news(connection: Any) -> bool:
    """Tell whether anything can be read from the socket of an idle connection, an end or an error included."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _make_sqlite_engine(url: str, *, pool_size: int, pool_timeout_s: float) -> Engine:
    name = make_url(url).database
    path = Path(name) if name and name != ":memory:" else None
    if path is not None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    connect_args = {"timeout": _BUSY_S, "check_same_thread": False}
    engine = _make_pooled_engine(url, pool_size, pool_timeout_s, module=driver, connect_args=connect_args)

    if path is not None:
        engine.update_execution_options(ganymede_turns=Turns(path.with_name(f"{path.name}-turn")))

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin transactions: `begin` below does
        connection.execute("PRAGMA foreign_keys = ON")
        _set_journal_mode(connection)
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # IMMEDIATE takes the write lock first: a transaction that reads and then writes can otherwise fail half-way.
        options = connection.get_execution_options()
        writes, is_light = options.get("ganymede_writes", False), options.get("ganymede_lightly", False)
        if writes:
            # With a rollback journal, less than FULL may leave a broken file behind.
            level = "NORMAL" if is_light and sqlite_journal_mode() == "WAL" else "FULL"
            connection.exec_driver_sql(f"PRAGMA synchronous = {level}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _set_journal_mode(connection: Any) -> None:
    """Take the mode that is safe; raise RuntimeError where processes with a newer SQLite hold the file in another."""
    try:
        connection.execute(f"PRAGMA journal_mode = {sqlite_journal_mode()}")
    except driver.OperationalError as error:
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        if mode != "wal" or sqlite_journal_mode() == "WAL":
            raise
        message = (
            f"others use the database with a write-ahead log, which SQLite {driver.sqlite_version} of this process "
            "cannot share safely; install pysqlite3 as they have, or stop them"
        )
        raise RuntimeError(message) from error


def _to_json(value: Any) -> str:
    """Refuse numbers that are not finite with a ValueError, which PostgreSQL alone would do."""
    return json.dumps(value, allow_nan=False)


def writing(engine: Engine) -> AbstractContextManager[Session]:
    """Yield a session in one transaction that commits at the end and rolls back on an exception."""
    return _writing(engine)


@contextmanager
def writing_lightly(engine: Engine) -> Iterator[Session]:
    """Yield a session as `writing` does, for what can be made again: a crash of the database may undo the commit.

    That is one of the machine, for SQLite; for PostgreSQL also one of its server, within a second. Nothing else undoes
    it, and it is never undone in part.
    """
    with _writing(engine, ganymede_lightly=True) as session:
        if engine.dialect.name == "postgresql":
            session.execute(text("SET LOCAL synchronous_commit TO off"))
        yield session


@contextmanager
def _writing(engine: Engine, **options: bool) -> Iterator[Session]:
    with (
        _turn(engine),
        engine.connect().execution_options(ganymede_writes=True, **options) as connection,
        connection.begin(),
        Session(connection, expire_on_commit=False) as session,
    ):
        yield session
        session.flush()


def _turn(engine: Engine) -> AbstractContextManager[None]:
    # SQLite lets one write at a time. Who finds it busy sleeps and asks again, ever more seldom, so that those who have
    # waited longest are served last. PostgreSQL has queues of its own.
    turns = engine.get_execution_options().get("ganymede_turns")
    return nullcontext() if turns is None else turns.take(_BUSY_S)


def reading(engine: Engine) -> AbstractContextManager[Session]:
    """Yield a session for queries alone, which all see one state of the database.

    Close it before answering: with SQLite's rollback journal an open reader blocks every commit.
    """
    # By default each statement sees what has been committed by then: a resume that cuts a history between two of them
    # would leave the second without the steps that the first has found.
    return _reading(engine, on_postgresql="REPEATABLE READ")


def glancing(engine: Engine) -> AbstractContextManager[Session]:
    """Yield a session for one query, or for several each of which may see the newest state.

    To begin and end a transaction would take two more ways to PostgreSQL and back, which is most of a small query.
    """
    return _reading(engine, on_postgresql="AUTOCOMMIT")


@contextmanager
def _reading(engine: Engine, *, on_postgresql: Literal["REPEATABLE READ", "AUTOCOMMIT"]) -> Iterator[Session]:
    with engine.connect() as connection, Session(connection, expire_on_commit=False, autoflush=False) as session:
        if engine.dialect.name == "postgresql":
            connection.execution_options(isolation_level=on_postgresql)
        yield session


def may_take_long(session: Session) -> None:
    """Let the statements of this transaction take as long as they need, where one may remove a million rows."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SET LOCAL statement_timeout TO 0"))


def writes_alone(session: Session) -> bool:
    """Tell whether a transaction that writes is the only one, so that no row need be locked: on SQLite."""
    return session.get_bind().dialect.name == "sqlite"


def migrate(url: str) -> None:
    """Bring the schema of a database to the newest revision."""
    from alembic import command

    command.upgrade(alembic_config(url), "head")


def alembic_config(url: str) -> Any:
    """Return Alembic's configuration for a database, for migrations from code."""
    from alembic.config import Config

    import migrations

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["url"] = url
    return config


@cache
def newest_revision() -> str | None:
    """Return the revision of the schema that this code is written for."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(alembic_config("")).get_current_head()


def schema_revision(engine: Engine) -> str | None:
    """Return the revision of a database's schema, None where no migration has run."""
    from alembic.migration import MigrationContext

    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()
