"""Identifiers: opaque, prefixed, sortable by time of creation."""

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u to misread


def make_id(prefix: str) -> str:
    """Return a new id: prefix, underscore, 10 characters of milliseconds, 12 random ones."""
    number = (time.time_ns() // 1_000_000) << 60 | secrets.randbits(60)
    return f"{prefix}_" + "".join(_ALPHABET[number >> shift & 31] for shift in range(105, -5, -5))
