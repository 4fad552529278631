"""The SQLite that everybody uses who opens a database: two libraries in one process would undo each other's locks.

`pysqlite3` brings a recent one to Linux on x86-64; elsewhere it is that of Python.
"""

from typing import Any

try:
    import pysqlite3.dbapi2 as _driver
except ImportError:  # no wheel for this platform
    import sqlite3 as _driver

# Older versions can corrupt a WAL database when two processes write and checkpoint at once
# (https://sqlite.org/wal.html#walresetbug), so they keep the rollback journal.
_SAFE_WAL = (3, 51, 3)

driver: Any = _driver


def sqlite_journal_mode() -> str:
    """Return the journal mode that is safe with this version of SQLite."""
    return "WAL" if driver.sqlite_version_info >= _SAFE_WAL else "TRUNCATE"
