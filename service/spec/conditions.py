"""Conditions on the columns of rows: as a client writes them, and checked against what there is to compare."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Annotated

from pydantic import Field

from service.errors import Fault, InvalidInput
from service.spec.dates import number_of_date, write_date
from service.spec.facts import TableColumn
from service.spec.faults import MOST_UNKNOWN, list_names, pointer_to, shorten, unknown_name
from service.spec.parts.strict import Strict
from service.spec.tables import as_written, is_choice

MOST_VALUES = 1_001  # one more, for a gap, than a column that is named as the labels may have
TRUTHS = {True: {"true", "yes", "t", "y", "1"}, False: {"false", "no", "f", "n", "0"}}


class Range(Strict):
    """Bounds, both included; either may be left out. Dates are written as in the CSV."""

    minimum: float | str | None = Field(None, description="Least number or date.")
    maximum: float | str | None = Field(None, description="Greatest number or date.")


Cell = str | bool | int | float | None  # null is a missing cell
Cells = Annotated[list[Cell], Field(max_length=MOST_VALUES)]
ColumnCondition = Range | Cells | Cell
Where = dict[str, ColumnCondition]


@dataclass(frozen=True)
class Condition:
    """What a cell of a column must be: one of `values`, or missing, or a number between two bounds.

    Numbers are those of service.spec.facts.TableColumn; `column` is the place of the column.
    """

    column: int
    values: tuple[float, ...] = ()
    missing: bool = False
    minimum: float | None = None
    maximum: float | None = None

    @property
    def is_range(self) -> bool:
        """Tell whether bounds decide, and not values."""
        return self.minimum is not None or self.maximum is not None

    def holds_for(self, number: float) -> bool:
        """Tell whether one cell is as it must be; NaN is a missing one."""
        if math.isnan(number):
            return self.missing
        if not self.is_range:
            return number in self.values
        return (self.minimum is None or self.minimum <= number) and (self.maximum is None or number <= self.maximum)


class _Unfit(Exception):
    """A value that a column cannot have; carries the fault without its place."""

    def __init__(self, code: str, message: str, allowed: object = None) -> None:
        super().__init__(message)
        self.code, self.allowed = code, allowed


def conditions_on(columns: Sequence[TableColumn], where: Mapping[str, ColumnCondition]) -> tuple[Condition, ...]:
    """Return the conditions of `where`; raise InvalidInput naming what there is not, the first of it."""
    places = {column.name: place for place, column in enumerate(columns)}
    conditions: list[Condition] = []
    faults: list[Fault] = []
    for name, wanted in where.items():
        if len(faults) >= MOST_UNKNOWN:
            break
        if name not in places:
            faults.append(unknown_name("column", pointer_to(["where", shorten(name)]), name, places))
            continue
        try:
            conditions.append(_condition(places[name], columns[places[name]], wanted))
        except InvalidInput as error:
            faults += error.faults
    if faults:
        raise InvalidInput(faults)
    return tuple(conditions)


def _condition(place: int, column: TableColumn, wanted: ColumnCondition) -> Condition:
    path: list[str | int] = ["where", column.name]
    if isinstance(wanted, Range):
        bounds = _bounds(column, wanted, path)
        return Condition(place, minimum=bounds.get("minimum"), maximum=bounds.get("maximum"))
    cells = wanted if isinstance(wanted, list) else [wanted]
    if not cells:
        raise InvalidInput([Fault(pointer_to(path), "too_short", "names no value", got=[])])
    places: list[list[str | int]] = [
        [*path, number] if isinstance(wanted, list) else path for number in range(len(cells))
    ]
    read_cell = lru_cache(maxsize=None, typed=True)(partial(_value, column))  # the same may stand there many times
    read: list[float] = []
    faults: list[Fault] = []
    for cell, where in zip(cells, places, strict=True):
        if len(faults) >= MOST_UNKNOWN:
            break
        try:
            read.append(read_cell(cell))
        except _Unfit as unfit:
            faults.append(_fault_of(unfit, where, cell))
    if faults:
        raise InvalidInput(faults)
    values = tuple(number for number in read if not math.isnan(number))
    return Condition(place, values, missing=len(values) < len(read))


def _bounds(column: TableColumn, wanted: Range, path: list[str | int]) -> dict[str, float]:
    if is_choice(column):
        message = "has no order; give one of its values or a list of some"
        raise InvalidInput([Fault(pointer_to(path), "not_a_number", message, allowed=list_names(column.categories))])
    given = {
        name: bound for name, bound in (("minimum", wanted.minimum), ("maximum", wanted.maximum)) if bound is not None
    }
    if not given:
        message = "give a minimum, a maximum or both"
        raise InvalidInput([Fault(pointer_to(path), "too_short", message, allowed=["minimum", "maximum"], got={})])
    bounds, faults = {}, []
    for name, bound in given.items():
        try:
            bounds[name] = _number(column, bound)
        except _Unfit as unfit:
            faults.append(_fault_of(unfit, [*path, name], bound))
    if faults:
        raise InvalidInput(faults)
    if len(bounds) == 2 and bounds["minimum"] > bounds["maximum"]:
        message = "the minimum is above the maximum"
        got = {name: shorten(bound) for name, bound in given.items()}
        raise InvalidInput([Fault(pointer_to(path), "empty_range", message, got=got)])
    try:
        _check_reach(column, bounds.get("minimum", -math.inf), bounds.get("maximum", math.inf))
    except _Unfit as unfit:
        got = {name: shorten(bound) for name, bound in given.items()}
        raise InvalidInput([Fault(pointer_to(path), unfit.code, str(unfit), unfit.allowed, got)]) from None
    return bounds


def _check_reach(column: TableColumn, minimum: float, maximum: float) -> None:
    """Raise _Unfit where no cell of a column of numbers or dates, generated or not, can lie between two bounds."""
    if column.kind == "integer" and math.isfinite(minimum + maximum) and math.ceil(minimum) > math.floor(maximum):
        raise _Unfit("not_whole", "this column holds whole numbers", _range_of(column))
    if maximum < column.minimum or minimum > column.maximum:
        least, greatest = (as_written(column, bound) for bound in (column.minimum, column.maximum))
        raise _Unfit("out_of_range", f"lies outside the data, which has {least} to {greatest}", _range_of(column))


def _range_of(column: TableColumn) -> dict[str, object] | None:
    """Return the range of the data as a client writes it, None where it is not known."""
    if not math.isfinite(column.minimum):
        return None
    return {name: as_written(column, getattr(column, name)) for name in ("minimum", "maximum")}


def _fault_of(unfit: _Unfit, path: list[str | int], got: Cell) -> Fault:
    return Fault(pointer_to(path), unfit.code, str(unfit), unfit.allowed, shorten(got))


def _value(column: TableColumn, cell: Cell) -> float:
    """Return the number of a cell that a column may really have; raise _Unfit."""
    number = _number(column, cell)
    if not is_choice(column) and not math.isnan(number):
        _check_reach(column, number, number)
    return number


def _number(column: TableColumn, cell: Cell) -> float:
    """Return the number by which a column holds a cell, NaN for a missing one; raise _Unfit."""
    if cell is None:
        if not column.missing:
            raise _Unfit("never_missing", "no cell of this column is ever missing")
        return math.nan
    if is_choice(column):
        return float(_place_of(column, cell))
    if column.kind == "date":
        return _date(column, cell)
    if isinstance(cell, bool | str):
        raise _Unfit("float_type", "this column holds numbers", _range_of(column))
    return float(cell)


def _place_of(column: TableColumn, cell: str | bool | float) -> int:
    words = column.categories
    if isinstance(cell, str) or str(cell) in words:
        fit = (place for place, word in enumerate(words) if word == str(cell))
    elif isinstance(cell, bool):
        truths = TRUTHS[cell] if column.kind == "boolean" else {str(cell).lower()}
        fit = (place for place, word in enumerate(words) if word.lower() in truths)
    else:
        fit = (place for place, word in enumerate(words) if _is_number(word, cell))
    place = next(fit, None)
    if place is None:
        fault = unknown_name("value", "", str(cell), words)
        raise _Unfit(fault.code, fault.message, fault.allowed)
    return place


def _is_number(word: str, number: float) -> bool:
    """Tell whether a word spells a number, in whatever way: a CSV may have 1.0 for 1."""
    try:
        return float(word) == number
    except ValueError:
        return False


def _date(column: TableColumn, cell: str | bool | float) -> float:
    try:
        moment = datetime.strptime(str(cell), column.date_format).replace(tzinfo=UTC)
    except ValueError:
        example = write_date(column.minimum, column.date_format)
        raise _Unfit("not_a_date", f"must be a date as in the CSV, such as {example}", example) from None
    return number_of_date(moment, column.date_format)
