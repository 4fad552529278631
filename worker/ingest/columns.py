"""What a column of cells holds: numbers, dates, a few values or text, found by looking at every cell once."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from service.spec.dates import number_of_date
from service.spec.facts import DAY_FORMAT, ColumnKind, TableColumn

MISSING = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL"})
MOST_CATEGORIES = 256
MOST_CHARACTERS = 256  # of a category: every request about the data set reads them all
MOST_WATCHED = 1_000  # distinct values, for a column of whole numbers that is named as the labels
TEXT_SHARE, TEXT_ROWS = 0.5, 20  # more values than this share of so many rows are text and no categories
MOST_DECIMALS = 12
LARGEST_WHOLE = 2**53  # beyond it float64 leaves whole numbers out
BOOLEANS = ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"}, {"0", "1"})

NUMBER = re.compile(r"[+-]?(?:0|[1-9]\d*|(?=\.\d))(?:\.(\d*))?(?:[eE][+-]?\d{1,3})?")
WHOLE = re.compile(r"[+-]?(?:0|[1-9]\d*)")
DAY = re.compile(r"\d{4}-\d\d-\d\d")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d([T ])\d\d:\d\d:\d\d")


@dataclass
class ColumnScan:
    """What has been seen of a column so far. A kind is possible until a cell says otherwise."""

    name: str
    count: int = 0
    missing: int = 0
    number: bool = True
    whole: bool = True
    decimals: int | None = 0
    date_format: str | None = None  # "" once the cells are no dates of one format
    low: float = np.inf
    high: float = -np.inf
    values: set[str] = field(default_factory=set)  # at most MOST_WATCHED + 1
    longest: int = 0  # characters of a cell
    ascending: bool = True  # whole numbers, each one more than the last
    last: int | None = None

    def see(self, cells: Sequence[str]) -> None:
        """Look at some more cells."""
        given = [cell for cell in cells if cell not in MISSING]
        self.count += len(given)
        self.missing += len(cells) - len(given)
        distinct = set(given)
        if len(self.values) <= MOST_WATCHED:
            self.values.update(
                sorted(distinct)[: MOST_WATCHED + 1 - len(self.values)] if len(distinct) > MOST_WATCHED else distinct
            )
        if not distinct:
            return
        self.longest = max(self.longest, *map(len, distinct))
        self._see_numbers(distinct)
        self._see_dates(distinct)
        self._see_order(given)

    def kind(self, *, is_label: bool) -> ColumnKind | None:
        """Return what the column holds; None for text, which nothing can be learnt from."""
        lowered = {value.lower() for value in self.values}
        if len(self.values) == 2 and lowered in BOOLEANS:
            return "boolean"
        is_short = self.longest <= MOST_CHARACTERS
        if is_label and is_short and len(self.values) <= MOST_WATCHED:
            return "category"
        if self.number:
            return "integer" if self.whole and self._is_exact else "continuous"
        if self.date_format:
            return "date"
        few = is_short and len(self.values) <= MOST_CATEGORIES
        return (
            "category" if few and not (self.count >= TEXT_ROWS and len(self.values) > TEXT_SHARE * self.count) else None
        )

    def column(self, kind: ColumnKind) -> TableColumn:
        """Describe the column."""
        choice = kind in ("category", "boolean")
        categories = tuple(sorted(self.values, key=_by_number_or_text)) if choice else ()
        return TableColumn(
            self.name,
            kind,
            categories,
            decimals={"integer": 0, "continuous": self.decimals}.get(kind),
            missing=self.missing > 0,
            minimum=0.0 if choice else self.low,
            maximum=float(len(categories) - 1) if choice else self.high,
            date_format=(self.date_format or "") if kind == "date" else "",
        )

    @property
    def has_all_values(self) -> bool:
        """Tell whether `values` are all that there are."""
        return len(self.values) <= MOST_WATCHED

    @property
    def is_plain(self) -> bool:
        """Tell whether every cell is a number, or every one a date of one format."""
        return self.number or bool(self.date_format)

    @property
    def is_numbering(self) -> bool:
        """Tell whether the cells number the rows."""
        return self.ascending and self.number and self.whole and self.count > 1 and not self.missing

    @property
    def _is_exact(self) -> bool:
        return max(abs(self.low), abs(self.high)) <= LARGEST_WHOLE

    def _see_numbers(self, distinct: set[str]) -> None:
        if not self.number:
            return
        found = [NUMBER.fullmatch(cell) for cell in distinct]
        numbers = [float(match[0]) for match in found if match is not None]
        self.number = len(numbers) == len(found) and all(map(np.isfinite, numbers))
        if not self.number:
            self.whole = self.ascending = False
            self.low, self.high = np.inf, -np.inf
            return
        self.low, self.high = min(self.low, *numbers), max(self.high, *numbers)
        self.whole = self.whole and all(WHOLE.fullmatch(cell) for cell in distinct)
        self._see_decimals([match for match in found if match is not None])

    def _see_decimals(self, found: list[re.Match[str]]) -> None:
        if self.decimals is None:
            return
        exponents = any("e" in match[0] or "E" in match[0] for match in found)
        most = max(self.decimals, *(len(match[1] or "") for match in found))
        self.decimals = None if exponents or most > MOST_DECIMALS else most

    def _see_dates(self, distinct: set[str]) -> None:
        if self.date_format == "" or (self.number and self.date_format is None):
            return
        formats = {date_format_of(cell) for cell in distinct}
        if self.date_format is not None:
            formats.add(self.date_format)
        self.date_format = formats.pop() if len(formats) == 1 else ""
        if self.date_format:
            moments = [read_date(cell, self.date_format) for cell in distinct]
            self.low, self.high = min(self.low, *moments), max(self.high, *moments)

    def _see_order(self, given: Sequence[str]) -> None:
        if not (self.ascending and self.whole and self.number):
            self.ascending = False
            return
        numbers = [int(cell) for cell in given] if self._is_exact else []
        before = [self.last if self.last is not None else numbers[0] - 1, *numbers] if numbers else []
        self.ascending = bool(numbers) and all(
            later - earlier == 1 for earlier, later in zip(before, numbers, strict=False)
        )
        self.last = numbers[-1] if numbers else None


def _by_number_or_text(value: str) -> tuple[int, float, str]:
    return (0, float(value), value) if NUMBER.fullmatch(value) else (1, 0.0, value)


def date_format_of(cell: str) -> str:
    """Return the format of an ISO day or moment; empty when the cell is neither, or no day of the calendar."""
    moment = MOMENT.fullmatch(cell)
    form = DAY_FORMAT if DAY.fullmatch(cell) else f"%Y-%m-%d{moment[1]}%H:%M:%S" if moment else ""
    try:
        datetime.strptime(cell, form).replace(tzinfo=UTC)
    except ValueError:
        return ""
    return form


def read_date(cell: str, date_format: str) -> float:
    """Return days since 1970-01-01, or seconds where the format has a time."""
    return number_of_date(datetime.fromisoformat(cell).replace(tzinfo=UTC), date_format)


def reader_of(column: TableColumn) -> Callable[[Sequence[str]], np.ndarray]:
    """Return what turns the cells of a column into float64, missing ones into NaN."""
    if column.kind in ("category", "boolean"):
        codes = {value: float(number) for number, value in enumerate(column.categories)}
        return lambda cells: np.array([np.nan if cell in MISSING else codes[cell] for cell in cells])
    if column.kind == "date":
        form = column.date_format
        return lambda cells: np.array([np.nan if cell in MISSING else read_date(cell, form) for cell in cells])
    return lambda cells: np.array([np.nan if cell in MISSING else float(cell) for cell in cells])
