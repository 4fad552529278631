"""Processes die, stop and starve, or kill themselves at a named place."""

import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress

import psutil
from sqlalchemy import Engine

from chaos.faults.strikes import KEPT, Scene, Strike, attempts_are_over, fault, pick_trainer, victims_among
from chaos.processes import holds_within
from service.crashpoints import CRASH_POINTS
from service.db import reading
from service.sqlite import driver

_REACHES_S = 4.0  # for a process to reach an armed place
_FOLLOWS_S = 15.0  # for a trainer to die after its worker, on a machine with ten times as much to do as it can
_STARVES_S = 2.0  # for a process to ask for more memory
_AFTER_A_LOSS = frozenset({"loss.committed", "restore.done"})  # places that are reached only after another fault


@fault(cheap=True)
def trainer_killed(scene: Scene) -> Strike | None:
    """A trainer dies: kill -9, a segmentation fault or an abort."""
    trainer = pick_trainer(scene)
    if trainer is None:
        return None
    victims = victims_among([trainer])
    number = scene.random.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
    trainer.send_signal(number)
    return Strike(victims, detail=number.name)


@fault(cheap=False)
def memory_exhausted(scene: Scene) -> Strike | None:
    """The kernel refuses a trainer any more memory."""
    trainer = pick_trainer(scene)
    if trainer is None:
        return None
    victims = victims_among([trainer])
    before = trainer.rlimit(psutil.RLIMIT_DATA)
    trainer.rlimit(psutil.RLIMIT_DATA, (2**20, before[1]))
    if holds_within(_STARVES_S, lambda: not trainer.is_running()):
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
    _, alive = psutil.wait_procs(trainers, timeout=_FOLLOWS_S)
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
    with nobody_holds_the_lock(scene.stack.engine):
        scene.stack.freeze(name)
    time.sleep(scene.stack.ttl_s * scene.random.uniform(2, 5))
    scene.stack.thaw(name)
    return _strike_of_zombies(scene, trainers)


@fault(cheap=False)
def trainer_frozen(scene: Scene) -> Strike | None:
    """A trainer alone is stopped for two to five times the lease, then goes on."""
    trainer = pick_trainer(scene)
    if trainer is None:
        return None
    with nobody_holds_the_lock(scene.stack.engine):
        trainer.suspend()
    time.sleep(scene.stack.ttl_s * scene.random.uniform(2, 5))
    with suppress(psutil.Error):
        trainer.resume()
    return _strike_of_zombies(scene, [trainer])


@contextmanager
def nobody_holds_the_lock(engine: Engine) -> Iterator[None]:
    """Keep SQLite's lock meanwhile: who is stopped with it stops everybody, which is told of and no takeover."""
    if engine.dialect.name != "sqlite":
        yield
        return
    with closing(driver.connect(str(engine.url.database), isolation_level=None, timeout=30)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


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
    if name in _AFTER_A_LOSS and (trainer := pick_trainer(scene)) is not None:
        trainer.kill()
    if not holds_within(_REACHES_S, lambda: not armed.exists()):
        armed.unlink(missing_ok=True)
        return None
    return Strike(detail=name)


def _strike_of_zombies(scene: Scene, thawed: Sequence[psutil.Process]) -> Strike | None:
    """Return the strike of those whose attempt is over.

    One that was stopped in the midst of a write has kept everybody from judging it for a while, as it held the row of
    its job, and keeps its attempt.
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
