"""Directories of processes that nobody needs after them: whoever comes later removes those that nobody holds."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_UNHELD = ".new-"  # begins the name of one that is not held yet


@contextmanager
def held_directory(root: Path, prefix: str) -> Iterator[Path]:
    """Yield a new directory, which is held within the block and by all processes forked in it, and removed after it."""
    made = Path(tempfile.mkdtemp(prefix=f"{_UNHELD}{prefix}", dir=root))
    descriptor = _open(made)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    directory = made.rename(root / made.name.removeprefix(_UNHELD))
    try:
        yield directory
    finally:
        os.close(descriptor)
        shutil.rmtree(directory, ignore_errors=True)


def remove_left(root: Path, prefix: str) -> None:
    """Remove the directories that killed processes have left."""
    for directory in root.glob(f"{prefix}*"):
        with suppress(OSError):  # it is held, is no directory, or is somebody else's
            descriptor = _open(directory)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory, ignore_errors=True)
            finally:
                os.close(descriptor)


def _open(directory: Path) -> int:
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
