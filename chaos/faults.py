"""The faults that a storm injects. Each strikes once, heals what it broke, and says whom it hit.

Processes that a fault has killed are started again by the storm. A new fault is one function with `@fault`.
"""

import json
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil
from redis import Redis
from sqlalchemy.orm import Session

from chaos.load import Load
from chaos.oracle import Promise
from chaos.processes import title_of
from chaos.stack import Database, Stack
from service.broker import TRAIN, make_celery
from service.crashpoints import CRASH_POINTS
from service.db import reading
from service.models import Job, State
from service.settings import Settings
from service.store.checkpoints import newest_checkpoints

BOTH: tuple[Database, ...] = ("sqlite", "postgresql")
POSTGRESQL: tuple[Database, ...] = ("postgresql",)  # SQLite has no server and no wire

_REACHES_S = 4.0  # for a process to reach an armed place
_STARVES_S = 2.0  # for a process to ask for more memory


@dataclass
class Scene:
    """What a fault may touch."""

    stack: Stack
    load: Load
    random: random.Random


@dataclass(frozen=True)
class Strike:
    """What a fault has done. `victims` are the attempts, by job, that it must have ended."""

    victims: Mapping[str, int] = field(default_factory=dict)
    detail: str | None = None  # which of several variants of the fault it was
    zombies: tuple[psutil.Process, ...] = ()  # trainers that were frozen, and must leave by themselves
    findings: tuple[str, ...] = ()  # promises that were broken under the eyes of the fault


@dataclass(frozen=True)
class Fault:
    """A kind of fault; `strike` returns None when there was nothing to hit."""

    name: str
    meaning: str
    is_cheap: bool
    databases: tuple[Database, ...]
    strike: Callable[[Scene], Strike | None]


_AFTER_A_LOSS = frozenset({"loss.committed", "restore.done"})  # places that are reached only after another fault

KEPT = "kept its lease"

FAULTS: dict[str, Fault] = {}


def fault(
    *, cheap: bool, databases: tuple[Database, ...] = BOTH
) -> Callable[[Callable[[Scene], Strike | None]], Callable[[Scene], Strike | None]]:
    """Register a function as the fault of its name; its docstring is the meaning."""

    def register(strike: Callable[[Scene], Strike | None]) -> Callable[[Scene], Strike | None]:
        FAULTS[strike.__name__] = Fault(strike.__name__, strike.__doc__ or "", cheap, databases, strike)
        return strike

    return register


# Processes


@fault(cheap=True)
def trainer_killed(scene: Scene) -> Strike | None:
    """A trainer dies: kill -9, a segmentation fault or an abort."""
    trainer = _pick_trainer(scene)
    if trainer is None:
        return None
    victims = victims_among([trainer])
    number = scene.random.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
    trainer.send_signal(number)
    return Strike(victims, detail=number.name)


@fault(cheap=True)
def memory_exhausted(scene: Scene) -> Strike | None:
    """The kernel refuses a trainer any more memory."""
    trainer = _pick_trainer(scene)
    if trainer is None:
        return None
    victims = victims_among([trainer])
    before = trainer.rlimit(psutil.RLIMIT_DATA)
    trainer.rlimit(psutil.RLIMIT_DATA, (2**20, before[1]))
    if _wait(lambda: not trainer.is_running(), within_s=_STARVES_S):
        return Strike(victims)
    with suppress(psutil.Error):  # it has just ended
        trainer.rlimit(psutil.RLIMIT_DATA, before)  # it lives on what it has
    return None


@fault(cheap=False)
def worker_killed(scene: Scene) -> Strike:
    """A worker is killed with kill -9; its trainers must die with it."""
    name = scene.random.choice(scene.stack.worker_names)
    trainers = scene.stack.trainers_of(name)
    victims = victims_among(trainers)
    scene.stack.kill(name)
    _, alive = psutil.wait_procs(trainers, timeout=5)
    return Strike(victims, findings=tuple(f"I9 trainer {one.pid} outlived its worker" for one in alive))


@fault(cheap=False)
def worker_drained(scene: Scene) -> Strike | None:
    """A worker is stopped politely with SIGTERM and charges nobody."""
    name = scene.random.choice(scene.stack.worker_names)
    if not scene.stack.trainers_of(name):  # it may not even listen yet
        return None
    started_at = time.monotonic()
    try:
        code = scene.stack.terminate(name)
    except subprocess.TimeoutExpired:
        return Strike(findings=(f"R11 {name} has not left {time.monotonic() - started_at:.0f} s after SIGTERM",))
    return Strike(findings=() if code == 0 else (f"R11 {name} left with {code}",))


@fault(cheap=False)
def web_killed(scene: Scene) -> Strike:
    """The web process is killed with kill -9 in the midst of requests."""
    scene.stack.kill("web")
    return Strike()


@fault(cheap=False)
def worker_frozen(scene: Scene) -> Strike | None:
    """A worker with its trainers is stopped for two to five times the lease, then goes on."""
    name = scene.random.choice(scene.stack.worker_names)
    trainers = scene.stack.trainers_of(name)
    scene.stack.freeze(name)
    time.sleep(scene.stack.ttl_s * scene.random.uniform(2, 5))
    scene.stack.thaw(name)
    return _strike_of_zombies(scene, trainers)


@fault(cheap=False)
def trainer_frozen(scene: Scene) -> Strike | None:
    """A trainer alone is stopped for two to five times the lease, then goes on."""
    trainer = _pick_trainer(scene)
    if trainer is None:
        return None
    trainer.suspend()
    time.sleep(scene.stack.ttl_s * scene.random.uniform(2, 5))
    with suppress(psutil.Error):
        trainer.resume()
    return _strike_of_zombies(scene, [trainer])


@fault(cheap=False)
def clock_shifted(scene: Scene) -> Strike:
    """The web process comes back with a clock that is wrong by up to ten days; workers do so whenever they start."""
    scene.stack.terminate("web")
    return Strike()


@fault(cheap=True)
def crash_point(scene: Scene) -> Strike | None:
    """A process kills itself at one of the named places in the code."""
    name = scene.random.choice(sorted(CRASH_POINTS))
    armed = scene.stack.crash_points / name
    armed.touch()
    if name in _AFTER_A_LOSS and (trainer := _pick_trainer(scene)) is not None:
        trainer.kill()
    if not _wait(lambda: not armed.exists(), within_s=_REACHES_S):
        armed.unlink(missing_ok=True)
        return None
    return Strike(detail=name)


# The broker


@fault(cheap=True)
def broker_killed(scene: Scene) -> Strike:
    """The broker is killed with kill -9, and with it all that it knew."""
    scene.stack.kill("broker")
    time.sleep(scene.random.uniform(0, 1))
    return Strike()


@fault(cheap=True)
def broker_wiped(scene: Scene) -> Strike | None:
    """All data in the broker is deleted."""
    if "broker" in scene.stack.dead():
        return None
    scene.stack.wipe_broker()
    return Strike()


@fault(cheap=True)
def wakeups_forged(scene: Scene) -> Strike | None:
    """A hundred duplicates, the queue in reverse, and messages that nobody of ours has sent."""
    if "broker" in scene.stack.dead():
        return None
    settings = Settings(_env_file=None, redis_url=scene.stack.broker_url)
    with make_celery(settings) as celery:
        for _ in range(100):
            celery.send_task(TRAIN, retry=False)
    with _broker(scene) as broker:
        waiting = broker.lrange(TRAIN, 0, -1)
        broker.lpush(TRAIN, *reversed(waiting), *forgeries(waiting))
    return Strike()


@fault(cheap=True)
def broker_cut(scene: Scene) -> Strike:
    """Every connection to the broker is reset, some in the midst of a message."""
    if scene.random.random() < 0.5:
        scene.stack.broker_proxy.cut()
    else:
        scene.stack.broker_proxy.cut_after(scene.random.randrange(1, 4000))
        time.sleep(0.5)
        scene.stack.broker_proxy.heal()
    return Strike()


@fault(cheap=True)
def broker_black_holed(scene: Scene) -> Strike:
    """What is sent to the broker vanishes, for a while, and no connection is closed."""
    scene.stack.broker_proxy.black_hole()
    victims = _kill_one_meanwhile(scene)
    time.sleep(scene.random.uniform(0.5, 2))
    scene.stack.broker_proxy.heal()
    return Strike(victims)


@fault(cheap=True)
def broker_slow(scene: Scene) -> Strike:
    """The broker answers late."""
    scene.stack.broker_proxy.slow(scene.random.uniform(0.05, 0.5))
    time.sleep(1)
    scene.stack.broker_proxy.heal()
    return Strike()


# The database


@fault(cheap=False, databases=POSTGRESQL)
def database_killed(scene: Scene) -> Strike:
    """Every process of the database server is killed with kill -9; it recovers from its log."""
    postgres = scene.stack.running_postgres
    postgres.kill()
    time.sleep(scene.random.uniform(0, 2))
    postgres.start()
    return Strike()


@fault(cheap=False, databases=POSTGRESQL)
def database_frozen(scene: Scene) -> Strike:
    """The database server stands still for up to three times the lease."""
    postgres = scene.stack.running_postgres
    postgres.freeze()
    victims = _kill_one_meanwhile(scene)
    time.sleep(scene.stack.ttl_s * scene.random.uniform(0.5, 3))
    postgres.thaw()
    return Strike(victims)


@fault(cheap=True, databases=POSTGRESQL)
def database_cut(scene: Scene) -> Strike:
    """Every connection to the database is reset, some in the midst of a transaction or of its commit."""
    if scene.random.random() < 0.5:
        scene.stack.database_proxy.cut()
    else:
        scene.stack.database_proxy.cut_after(scene.random.randrange(1, 20_000))
        time.sleep(0.5)
        scene.stack.database_proxy.heal()
    return Strike()


@fault(cheap=True, databases=POSTGRESQL)
def database_black_holed(scene: Scene) -> Strike:
    """What is sent to the database vanishes, for a while, and no connection is closed."""
    scene.stack.database_proxy.black_hole()
    victims = _kill_one_meanwhile(scene)
    time.sleep(scene.random.uniform(0.5, 2))
    scene.stack.database_proxy.heal()
    return Strike(victims)


@fault(cheap=True, databases=POSTGRESQL)
def database_slow(scene: Scene) -> Strike:
    """The database answers late."""
    scene.stack.database_proxy.slow(scene.random.uniform(0.02, 0.2))
    time.sleep(1)
    scene.stack.database_proxy.heal()
    return Strike()


# Files


@fault(cheap=True)
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
    trainer = _pick_trainer(scene)
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


def _kill_one_meanwhile(scene: Scene) -> dict[str, int]:
    """Kill a trainer, or nobody, while something else is away; return its attempt."""
    trainer = _pick_trainer(scene) if scene.random.random() < 0.3 else None
    if trainer is None:
        return {}
    victims = victims_among([trainer])
    trainer.kill()
    return victims


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


def victims_among(trainers: Sequence[psutil.Process]) -> dict[str, int]:
    """Return the attempts of trainers, by job, as their titles say."""
    found = (re.search(r"trainer (\w+) #(\d+)", title_of(trainer)) for trainer in trainers)
    return {match[1]: int(match[2]) for match in found if match}


def _strike_of_zombies(scene: Scene, thawed: Sequence[psutil.Process]) -> Strike | None:
    """Return the strike of those whose attempt is over.

    One that was stopped in the midst of a write has kept everybody from judging it for a while, as it held SQLite's
    lock or the row of its job, and keeps its attempt.
    """
    if not thawed:
        return None
    titles = {process: victims_among([process]) for process in thawed}
    zombies = tuple(process for process, victims in titles.items() if victims and _are_over(scene, victims))
    victims = {job_id: attempt for process in zombies for job_id, attempt in titles[process].items()}
    return Strike(victims, zombies=zombies) if zombies else Strike(detail=KEPT)


def _are_over(scene: Scene, victims: Mapping[str, int]) -> bool:
    with reading(scene.stack.engine) as session:
        return attempts_are_over(session, victims)


def attempts_are_over(session: Session, attempts: Mapping[str, int]) -> bool:
    """Tell whether the database knows that attempts, by job, have ended."""
    jobs = [session.get(Job, job_id) for job_id in attempts]
    return all(job is None or job.state != State.RUNNING or job.attempt > attempts[job.id] for job in jobs)


def _pick_trainer(scene: Scene) -> psutil.Process | None:
    trainers = scene.stack.trainers()
    return scene.random.choice(trainers) if trainers else None


def _limit_files(trainer: psutil.Process) -> tuple[int, int] | None:
    """Let a process write to the first kilobyte of files alone; return its limit before."""
    try:
        before: tuple[int, int] = trainer.rlimit(psutil.RLIMIT_FSIZE)
        trainer.rlimit(psutil.RLIMIT_FSIZE, (1024, before[1]))
    except psutil.Error:
        return None
    return before


def forgeries(genuine: list[bytes]) -> list[bytes]:
    """Return messages that are no JSON, no message, of no task of ours, pickled, or torn."""
    message: dict[str, Any] = json.loads(genuine[0]) if genuine else {"headers": {}, "properties": {}, "body": ""}
    stranger = message | {"headers": {**message["headers"], "task": "os.system"}}
    pickled = message | {"content-type": "application/x-python-serialize", "content-encoding": "binary"}
    torn = json.dumps(message).encode()[:-20]
    return [b"not a message", b"{}", b"[]", torn, json.dumps(stranger).encode(), json.dumps(pickled).encode()]


def _broker(scene: Scene) -> Redis:
    return Redis.from_url(scene.stack.broker_url, socket_timeout=5)


def _wait(condition: Callable[[], bool], *, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
