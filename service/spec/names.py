"""The names in a spec that stand for something of the catalogue. They need no data, so they are told at once."""

from collections.abc import Collection
from functools import reduce
from typing import Any

from service.errors import Fault
from service.spec.architectures import ARCHITECTURES
from service.spec.faults import pointer_to, unknown_name
from service.spec.objectives import OBJECTIVES
from service.spec.optimizers import OPTIMIZERS

_NAMES: dict[tuple[str, ...], tuple[str, Collection[str]]] = {
    ("model", "architecture"): ("architecture", ["auto", *ARCHITECTURES]),
    ("objective", "loss"): ("loss", OBJECTIVES),
    ("optimizer", "generator", "name"): ("optimiser", OPTIMIZERS),
    ("optimizer", "discriminator", "name"): ("optimiser", OPTIMIZERS),
}


def unknown_names(body: object) -> list[Fault]:
    """Return the faults of the names in a posted body, whatever else is wrong with it. Data sets have their own."""
    named = [(path, _at(body, path), *of) for path, of in _NAMES.items()]
    return [
        unknown_name(kind, pointer_to([*path]), name, known)
        for path, name, kind, known in named
        if isinstance(name, str) and name not in known
    ]


def _at(body: object, path: tuple[str, ...]) -> Any:
    return reduce(lambda part, key: part.get(key) if isinstance(part, dict) else None, path, body)
