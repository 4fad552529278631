"""The points of a search space: every combination of some values, or as many as are wanted, drawn by Optuna."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from service.errors import Fault, InvalidInput
from service.spec.job import JobSpec
from service.spec.sweep import MOST_MEMBERS, Choices, Interval, RandomSearch, SweepSpec

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Point = dict[str, Any]
"""The values of one member by their paths in the spec."""


def choose_points(sweep: SweepSpec, seed: int) -> list[Point]:
    """Return the points of a sweep in their order; raise InvalidInput for a grid of too many."""
    return _combinations(sweep.grid or {}) if sweep.drawn is None else _draw(sweep.drawn, seed)


def _combinations(grid: Mapping[str, list[Any]]) -> list[Point]:
    """Return every combination, the last path varying fastest."""
    if (count := prod(map(len, grid.values()))) > MOST_MEMBERS:
        message = f"{count} combinations are too many"
        raise InvalidInput([Fault("/grid", "too_many_members", message, {"maximum": MOST_MEMBERS}, count)])
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def _draw(search: RandomSearch, seed: int) -> list[Point]:
    """Return points drawn by Optuna; equal seeds and spaces give equal ones."""
    import optuna  # a tenth of a second that only who draws waits for

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = {path: _distribution(path, choice) for path, choice in search.parameters.items()}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    points = [study.ask(space).params for _ in range(search.count)]
    return [{path: _value(search.parameters[path], drawn) for path, drawn in point.items()} for point in points]


def _distribution(path: str, choice: Interval | Choices) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(choice, Choices):  # by their places: Optuna would take no lists or objects
        return CategoricalDistribution(range(len(choice.choices)))
    high = _last_of(choice)
    numbers = (choice.low, high, 1 if choice.step is None else choice.step)
    if all(number == int(number) for number in numbers) and not _takes_fractions(path):
        low, high, step = map(int, numbers)
        return IntDistribution(low, high, log=choice.log, step=step)
    return FloatDistribution(float(choice.low), float(high), log=choice.log, step=choice.step and float(choice.step))


def _last_of(interval: Interval) -> float:
    """Return the last value that whole steps from the lower bound on reach."""
    if interval.step is None:
        return interval.high
    low, high, step = (Decimal(str(number)) for number in (interval.low, interval.high, interval.step))
    return float(low + (high - low) // step * step)


def _value(choice: Interval | Choices, drawn: Any) -> Any:
    return choice.choices[drawn] if isinstance(choice, Choices) else drawn


def _takes_fractions(path: str) -> bool:
    """Tell whether the value at a path of a spec may be no whole number; an unknown path is refused elsewhere."""
    types: list[Any] = [JobSpec]
    for key in path.split("."):
        models = [each for each in types if isinstance(each, type) and issubclass(each, BaseModel)]
        found = [model.model_fields[key].annotation for model in models if key in model.model_fields]
        types = [each for annotation in found for each in _plain_types(annotation)]
    return float in types


def _plain_types(annotation: Any) -> Iterator[Any]:
    arguments = get_args(annotation)
    if not arguments:
        yield annotation
    for argument in arguments:
        yield from _plain_types(argument)
