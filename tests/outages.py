"""Outages of a database as those see them that use it: writes that are refused, and commits without an answer."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError


@contextmanager
def outage(engine: Engine, table: str, marks: str, *, times: int) -> Iterator[None]:
    """Refuse so many writes of a table's rows that mention a column."""
    left = [times]

    def refuse(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if left[0] and statement.startswith(f"UPDATE {table}") and marks in statement:
            left[0] -= 1
            raise OperationalError(statement, None, ConnectionResetError())

    event.listen(engine, "before_cursor_execute", refuse)
    yield
    event.remove(engine, "before_cursor_execute", refuse)
    assert left == [0]


def hear_nothing_of_a_commit(engine: Engine) -> None:
    """Let the next commit be done and its answer be lost."""

    @event.listens_for(engine, "commit", once=True)
    def commit(connection: Connection) -> None:
        connection.connection.driver_connection.commit()  # type: ignore[union-attr]
        raise OperationalError("COMMIT", None, ConnectionResetError())
