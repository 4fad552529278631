"""Backup and restore of the data directory: one tar archive of the SQLite database, the blobs and their hashes.

Only the embedded parts are covered. PostgreSQL and S3 have tools of their own, which do it better.
"""

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from service import sqlite
from service.blobs import Directory
from service.removals import held_back
from service.settings import Settings
from service.version import VERSION

MANIFEST = "manifest.json"
DATABASE = "ganymede.db"
BLOBS = "blobs"
# Written by `ganymede up` beside the data; they say nothing that is worth keeping.
LEFT_BY_PROGRAMS = frozenset({"up.lock", "removals.lock"})


class BackupError(Exception):
    """A backup or a restore that cannot be done; str() says why and what to do."""


@dataclass(frozen=True)
class Contents:
    """What an archive holds: SHA-256 by path, and the version that wrote it."""

    version: str
    files: dict[str, str]

    def summary(self) -> str:
        """Say what there is in words."""
        count = sum(path.startswith(f"{BLOBS}/") for path in self.files)
        return f"the database and {count:,} blob{'' if count == 1 else 's'}"


def back_up(settings: Settings, archive: Path) -> Contents:
    """Write a consistent copy of the data directory while the service may run; the archive appears whole or not at all.

    Raises:
        BackupError: the data is not in the data directory, or a blob that the database shows is missing.
    """
    home = _embedded_home(settings)
    if not (home / DATABASE).is_file():
        raise BackupError(f"There is no {DATABASE} in {home}.")
    with _scratch(home) as copy:
        # Blobs are immutable, so a hard link is a snapshot. None is removed meanwhile, and each is there before a row
        # shows it.
        with held_back(home):
            _copy_database(home / DATABASE, copy / DATABASE)
            _link_blobs(home / BLOBS, copy / BLOBS)
        _require_shown_blobs(copy)
        contents = Contents(VERSION, {path: _hash(copy / path) for path in _paths(copy)})
        (copy / MANIFEST).write_text(json.dumps(asdict(contents), indent=1))
        _write_archive(copy, archive)
    return contents


def restore(settings: Settings, archive: Path) -> Contents:
    """Unpack an archive into an empty data directory; it appears whole and verified or not at all.

    Raises:
        BackupError: the directory is in use, or the archive is damaged.
    """
    home = _embedded_home(settings)
    if home.exists() and {path.name for path in home.iterdir()} - LEFT_BY_PROGRAMS:
        raise BackupError(
            f"{home} is not empty. Restore into a new place: GANYMEDE_HOME=... ganymede restore {archive}"
        )
    home.parent.mkdir(parents=True, exist_ok=True)
    with _scratch(home.parent) as copy:
        contents = _unpack(archive, copy)
        _require_hashes(copy, contents)
        _require_sound_database(copy / DATABASE)
        _require_shown_blobs(copy)
        (copy / MANIFEST).unlink()
        shutil.rmtree(home, ignore_errors=True)
        copy.rename(home)
        copy.mkdir()  # for the scratch directory's own end
    return contents


def _embedded_home(settings: Settings) -> Path:
    if settings.database_url or settings.blobs_url:
        raise BackupError("Only the embedded database and blobs are covered. Use pg_dump and your store's own copy.")
    return settings.home.absolute()


@contextmanager
def _scratch(parent: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=".copy-", dir=parent) as directory:
        yield Path(directory)


def _link_blobs(source: Path, target: Path) -> None:
    # What is still being written stands under a temporary name, which the store does not list: linked, it would go on
    # changing after its hash was taken.
    for key in Directory(source).list():
        copy = target / key
        if copy.exists():
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source / key, copy)
        except FileNotFoundError:
            continue  # removed meanwhile


def _copy_database(source: Path, target: Path) -> None:
    with closing(sqlite.driver.connect(source, timeout=30)) as live, closing(sqlite.driver.connect(target)) as copy:
        live.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it


def _require_shown_blobs(copy: Path) -> None:
    with closing(sqlite.driver.connect(copy / DATABASE)) as database:
        try:
            rows = _files_shown(database)
        except sqlite.driver.Error as error:
            raise BackupError(f"{DATABASE} cannot be read: {error}.") from error
    shown = {file["key"] for files in rows for file in json.loads(files).values()}
    if missing := sorted(key for key in shown if not (copy / BLOBS / key).is_file()):
        raise BackupError(f"{len(missing)} blobs that the database shows are missing, the first is {missing[0]}.")


def _files_shown(database: Any) -> list[str]:
    """Return the files of all rows that show blobs; a backup of an earlier version has no data sets or orders."""
    known = database.execute("SELECT name FROM sqlite_master WHERE name IN ('datasets', 'orders')").fetchall()
    tables = ["checkpoints", "samples", *(name for (name,) in known)]
    return [files for table in tables for (files,) in database.execute(f"SELECT files FROM {table}")]  # noqa: S608


def _require_hashes(copy: Path, contents: Contents) -> None:
    found = {path: _hash(copy / path) for path in _paths(copy) if path != MANIFEST}
    if wrong := sorted(set(found.items()) ^ set(contents.files.items())):
        raise BackupError(f"The archive is damaged: {wrong[0][0]} is not what was backed up.")


def _require_sound_database(path: Path) -> None:
    with closing(sqlite.driver.connect(path)) as database:
        (verdict,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise BackupError(f"The database in the archive is damaged: {verdict}")


def _unpack(archive: Path, target: Path) -> Contents:
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(target, filter="data")
        return Contents(**json.loads((target / MANIFEST).read_text()))
    except (OSError, tarfile.TarError, ValueError, TypeError, EOFError) as error:
        raise BackupError(f"{archive} is no backup that can be read: {error}") from error


def _write_archive(copy: Path, archive: Path) -> None:
    part = archive.with_name(f".{archive.name}.part")
    try:
        with open(part, "wb", opener=partial(os.open, mode=0o600)) as file:  # it holds secrets
            with tarfile.open(fileobj=file, mode="w") as tar:
                for path in _paths(copy):
                    tar.add(copy / path, arcname=path)
            file.flush()
            os.fsync(file.fileno())
        part.replace(archive)
    finally:
        part.unlink(missing_ok=True)


def _paths(directory: Path) -> list[str]:
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
