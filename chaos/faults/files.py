"""The disk is full, and files are damaged behind the service's back."""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx2
import psutil

from chaos.faults.strikes import Scene, Strike, fault, pick_trainer, victims_among
from chaos.oracle import Promise
from service.db import reading
from service.store.checkpoints import newest_checkpoints


@fault(cheap=False)
def disk_full(scene: Scene) -> Strike | None:
    """No trainer can write any more to any file, its SQLite database and its log included, for up to two seconds."""
    trainers = scene.stack.trainers()
    limited = [(one, limit) for one in trainers if (limit := _limit_files(one)) is not None]
    if not limited:
        return None
    time.sleep(scene.random.uniform(0.5, 2))
    for trainer, before in limited:
        with suppress(psutil.Error):
            trainer.rlimit(psutil.RLIMIT_FSIZE, before)
    return Strike()


@fault(cheap=True)
def checkpoint_damaged(scene: Scene) -> Strike | None:
    """The newest checkpoint of a running job is flipped, cut, emptied or removed; then its trainer is killed."""
    trainer = pick_trainer(scene)
    victims = victims_among([trainer] if trainer else [])
    promise = next((one for one in scene.load.live() if one.job_id in victims), None)
    if trainer is None or promise is None:
        return None
    with reading(scene.stack.engine) as session:
        newest = next(iter(newest_checkpoints(session, promise.job_id)), None)
    if newest is None:
        return None
    key = newest.files["all"]["key"]
    how = scene.random.choice(sorted(_DAMAGES))
    promise.damaged.add(key)
    if not _damage(scene.stack.blob_path(key), _DAMAGES[how], scene.random):
        promise.damaged.remove(key)
        return None
    findings = _judge_download(scene, promise, newest.step)
    trainer.kill()
    return Strike(victims, detail=how, findings=findings)


def _flip(data: bytearray, chance: random.Random) -> bytearray:
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return data


_DAMAGES: dict[str, Callable[[bytearray, random.Random], bytearray | None]] = {
    "flipped": _flip,
    "cut": lambda data, chance: data[: chance.randrange(len(data))],
    "emptied": lambda _data, _chance: bytearray(),
    "extended": lambda data, _chance: data + b"\0",
    "removed": lambda _data, _chance: None,
}


def _damage(path: Path, change: Callable[[bytearray, random.Random], bytearray | None], chance: random.Random) -> bool:
    try:
        data = change(bytearray(path.read_bytes()), chance)
        path.unlink()
    except FileNotFoundError:  # it was retired
        return False
    if data is not None:
        path.write_bytes(data)
    return True


def _judge_download(scene: Scene, promise: Promise, step: int) -> tuple[str, ...]:
    """The damaged file must not be served, whoever has had it before."""
    try:
        answer = httpx2.get(
            f"{scene.stack.url}/jobs/{promise.job_id}/checkpoints/{step}/file", timeout=10, trust_env=False
        )
    except httpx2.TransportError:
        return ()
    return (f"R8 {promise.job_id}: a damaged checkpoint was served",) if answer.status_code == 200 else ()


def _limit_files(trainer: psutil.Process) -> tuple[int, int] | None:
    """Let a process write to the first kilobyte of files alone; return its limit before."""
    try:
        before: tuple[int, int] = trainer.rlimit(psutil.RLIMIT_FSIZE)
        trainer.rlimit(psutil.RLIMIT_FSIZE, (1024, before[1]))
    except psutil.Error:
        return None
    return before
