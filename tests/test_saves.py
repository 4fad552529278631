"""The order in which a save reaches the disk, as the kernel sees it: no row shows what a crash could take back."""

import re
import shutil
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest

SAVE = """
import sys
from pathlib import Path
from service.db import make_engine
from tests.test_trainer import Desk

home = Path(sys.argv[1])
desk = Desk(make_engine(f"sqlite:///{home}/ganymede.db"), home)
desk.take_steps(1)
desk.save_checkpoint()
desk.flusher._flush(None)
"""
CALLS = "openat,read,write,pwrite64,fsync,fdatasync,close,rename"
STORED = [
    "openat temporary",
    "write temporary",
    "fsync temporary",
    "close temporary",
    "rename file",
    "openat directory",
    "fsync directory",
    "close directory",
]
VERIFIED = ["openat file", "read file", "close file"]
SHOWN = ["write database", "fsync database"]
_CALL = re.compile(r"^\d+ +(\w+)\((.*)\) += \d+")
_SAME = {"pwrite64": "write", "fdatasync": "fsync"}
_ROLES = {
    r"/blobs/job_\w+/1/\.tmp-\w+": "temporary",
    r"/blobs/job_\w+/1/[\w-]+\.safetensors": "file",
    r"/blobs/job_\w+/1": "directory",
    r"/ganymede\.db(-wal)?": "database",
}


def traced_save(home: Path) -> list[str]:
    """Save a checkpoint and show it; return what was done to which kind of file, repetitions left out."""
    log = home / "trace"
    command = ["strace", "-f", "-y", "-s", "0", "-e", f"trace={CALLS}", "-o", str(log), sys.executable, "-c", SAVE]
    subprocess.run([*command, str(home)], check=True, capture_output=True)
    calls = [_named(line, home) for line in log.read_text().splitlines()]
    return [call for call, _ in groupby(call for call in calls if call)]


def _named(line: str, home: Path) -> str | None:
    call = _CALL.match(line)
    if call is None:
        return None
    paths = re.findall(rf"{re.escape(str(home))}([^\">]*)", call[2] + line[call.end(2) :])
    role = next((role for pattern, role in _ROLES.items() if paths and re.fullmatch(pattern, paths[-1])), None)
    return role and f"{_SAME.get(call[1], call[1])} {role}"


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is what shows the order of system calls")
def test_a_checkpoint_is_on_the_disk_and_read_back_before_a_row_shows_it(tmp_path: Path, sqlite_template: Path) -> None:
    shutil.copy(sqlite_template, tmp_path / "ganymede.db")

    calls = traced_save(tmp_path)

    saved = calls[calls.index("openat temporary") :]
    files = saved.count("rename file")
    expected = STORED * files + VERIFIED * files + SHOWN
    assert files >= 2
    assert saved[: len(expected)] == expected
