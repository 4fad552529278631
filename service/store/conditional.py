"""The conditional UPDATE by which all claims and fences work, the same statement on every database."""

from typing import Any

from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session


def update_one(session: Session, statement: Any) -> bool:
    """Run a conditional UPDATE of one row and tell whether its condition held."""
    result = session.execute(statement.execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)
    return result.rowcount == 1
