"""Scenarios: one story each, the same every time, with the constants that the service really has."""

from collections.abc import Callable
from pathlib import Path

from chaos.scenarios import (
    black_hole,
    broker,
    clocks,
    database,
    death,
    drain,
    frozen_worker,
    load,
    poison,
    resume,
    webhooks,
)
from chaos.scenarios.findings import Findings
from chaos.stack import Database

Scenario = Callable[[Database, Path], Findings]

REGISTRY: dict[str, Scenario] = {
    "resume": resume.run,
    "broker": broker.run,
    "black_hole": black_hole.run,
    "database": database.run,
    "frozen_worker": frozen_worker.run,
    "poison": poison.run,
    "drain": drain.run,
    "death": death.run,
    "clocks": clocks.run,
    "load": load.run,
    "webhooks": webhooks.run,
}
