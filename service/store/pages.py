"""Keyset pages: a cursor names the last row seen, so rows that come or go shift nothing."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from service.errors import Fault, InvalidInput

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """Rows of a list and the cursor of the next page, None on the last."""

    data: Sequence[T]
    next_cursor: str | None


def encode_cursor(position: object) -> str:
    """Return an opaque cursor for the sort key of the last row."""
    return base64.urlsafe_b64encode(str(position).encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """Return the sort key in a cursor; raise InvalidInput when it is none of ours."""
    try:
        position = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise bad_cursor(cursor) from None
    if not position.isprintable():  # PostgreSQL takes no NUL in text
        raise bad_cursor(cursor)
    return position


def decode_number_cursor(cursor: str) -> int:
    """Return the integer sort key in a cursor; raise InvalidInput when it is none of ours."""
    position = decode_cursor(cursor)
    if not position.isascii() or not position.isdigit() or len(position) > 18:
        raise bad_cursor(cursor)
    return int(position)


def bad_cursor(cursor: str) -> InvalidInput:
    """Return the error for a cursor that no answer of ours contained."""
    return InvalidInput([Fault("cursor", "bad_cursor", "not a cursor from next_cursor", got=cursor)])


def make_page(rows: Sequence[T], limit: int, positions: Sequence[object]) -> Page[T]:
    """Cut limit + 1 fetched rows to a page; positions are the rows' sort keys."""
    if len(rows) <= limit:
        return Page(rows, None)
    return Page(rows[:limit], encode_cursor(positions[limit - 1]))
