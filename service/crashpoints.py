"""Named places in the code at which a test can kill the process; in normal life each is one comparison with None.

A test arms a point by creating a file of its name in the directory GANYMEDE_CRASH_POINTS; the first process that gets
there removes the file and kills itself as `kill -9` would. So one arming kills exactly one process, at one place.
"""

import os
import signal
from pathlib import Path

_ARMED = os.environ.get("GANYMEDE_CRASH_POINTS")

CRASH_POINTS = {
    "submit.committed": "the web has stored a job and not yet answered",
    "publish.before": "a wake-up is about to be published",
    "publish.after": "a wake-up has been published",
    "claim.before": "a claim is about to be committed",
    "claim.committed": "a job is claimed and no process trains it yet",
    "restore.done": "a trainer has restored its state and taken no step",
    "flush.before": "losses are about to be committed",
    "flush.committed": "losses are committed and still in the outbox",
    "save.written": "a file is written under its temporary name",
    "save.renamed": "a file has its name, and the directory is not yet on the disk",
    "save.stored": "all files of a checkpoint are stored and verified, and no row shows them",
    "end.before": "the end of an attempt is about to be committed",
    "end.committed": "the end of an attempt is committed and its process still lives",
    "loss.committed": "a lost attempt is recorded, and its orphans are still there",
    "deletion.between": "doomed blobs are removed, and their marks are still there",
}


def crash_point(name: str) -> None:
    """Kill this process if a test has armed the point. Called with the names in CRASH_POINTS alone."""
    if _ARMED is None:
        return
    try:
        (Path(_ARMED) / name).unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
