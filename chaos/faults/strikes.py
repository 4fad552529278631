"""What a fault is, and what its strike says. A strike heals what it broke; the storm starts again what it killed."""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import psutil
from sqlalchemy.orm import Session

from chaos.load import Load
from chaos.processes import title_of
from chaos.stack import Database, Stack
from service.models import Job, State

BOTH: tuple[Database, ...] = ("sqlite", "postgresql")
POSTGRESQL: tuple[Database, ...] = ("postgresql",)  # SQLite has no server and no wire
KEPT = "kept its lease"


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


FAULTS: dict[str, Fault] = {}


def fault(
    *, cheap: bool, databases: tuple[Database, ...] = BOTH
) -> Callable[[Callable[[Scene], Strike | None]], Callable[[Scene], Strike | None]]:
    """Register a function as the fault of its name; its docstring is the meaning.

    A cheap one is over within a second, so that a storm can strike with it a hundred times.
    """

    def register(strike: Callable[[Scene], Strike | None]) -> Callable[[Scene], Strike | None]:
        FAULTS[strike.__name__] = Fault(strike.__name__, strike.__doc__ or "", cheap, databases, strike)
        return strike

    return register


def pick_trainer(scene: Scene) -> psutil.Process | None:
    trainers = scene.stack.trainers()
    return scene.random.choice(trainers) if trainers else None


def kill_one_meanwhile(scene: Scene) -> dict[str, int]:
    """Kill a trainer, or nobody, while something else is away; return its attempt."""
    trainer = pick_trainer(scene) if scene.random.random() < 0.3 else None
    if trainer is None:
        return {}
    victims = victims_among([trainer])
    trainer.kill()
    return victims


def victims_among(trainers: Sequence[psutil.Process]) -> dict[str, int]:
    """Return the attempts of trainers, by job, as their titles say."""
    found = (re.search(r"trainer (\w+) #(\d+)", title_of(trainer)) for trainer in trainers)
    return {match[1]: int(match[2]) for match in found if match}


def attempts_are_over(session: Session, attempts: Mapping[str, int]) -> bool:
    """Tell whether the database knows that attempts, by job, have ended."""
    jobs = [session.get(Job, job_id) for job_id in attempts]
    return all(job is None or job.state != State.RUNNING or job.attempt > attempts[job.id] for job in jobs)
