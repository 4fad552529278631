"""Numbers and dates in other spellings than the plain ones: told from the cells of a column, and read as plain ones."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from functools import partial

from worker.ingest.columns import MISSING, NUMBER, date_format_of

DASHES = frozenset({"-", "\N{EN DASH}", "\N{EM DASH}"})  # among numbers or dates: a gap
MONEY = "$\N{EURO SIGN}\N{POUND SIGN}\N{YEN SIGN}"
DECIMAL_COMMA = re.compile(r"[+-]?(?:\d{1,3}(?:\.\d{3})+|\d+)(?:,\d+)?")
THOUSANDS = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")
DOTTED = re.compile(r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})")
DAY_FIRST = re.compile(r"(?P<day>\d{1,2})([/-])(?P<month>\d{1,2})\2(?P<year>\d{4})")
MONTH_FIRST = re.compile(r"(?P<month>\d{1,2})([/-])(?P<day>\d{1,2})\2(?P<year>\d{4})")
YEAR_FIRST = re.compile(r"(?P<year>\d{4})([/.])(?P<month>\d{1,2})\2(?P<day>\d{1,2})")


@dataclass(frozen=True)
class Spelling:
    """A way to write numbers or dates. `read` returns the plain form of a cell, None for one that is not written so."""

    looks_like: str
    right: str
    read: Callable[[str], str | None]

    def plain(self, cell: str) -> str | None:
        """Return the plain form of a cell, that of a gap being empty; None for what is not written so."""
        return "" if cell in DASHES or cell in MISSING else self.read(cell)


def spellings_of(cells: Iterable[str]) -> list[Spelling]:
    """Return the spellings in which all the cells can be read, one of those that come to the same."""
    given = sorted({*cells} - DASHES)
    fitting: dict[tuple[str, ...], Spelling] = {}
    for spelling in SPELLINGS if given else ():
        read = []
        for cell in given:
            plain = spelling.read(cell)
            if plain is None:
                break
            read.append(plain)
        else:
            fitting.setdefault(tuple(read), spelling)
    return [*fitting.values()]


def _plain_number(cell: str) -> str | None:
    return cell if NUMBER.fullmatch(cell) else None


def _with_decimal_comma(cell: str) -> str | None:
    return cell.replace(".", "").replace(",", ".") if DECIMAL_COMMA.fullmatch(cell) else None


def _with_thousands(cell: str) -> str | None:
    return cell.replace(",", "") if THOUSANDS.fullmatch(cell) else None


def _beside(mark: str, read: Callable[[str], str | None], cell: str) -> str | None:
    """Read the number that stands before or behind a mark; its sign may stand before the mark."""
    sign = cell[:1] if cell.startswith(("+", "-")) else ""
    body = cell.removeprefix(sign)
    bare = body.removeprefix(mark) if body.startswith(mark) else body.removesuffix(mark)
    return None if bare == body else read(sign + bare.strip())


def _plain_date(cell: str) -> str | None:
    return cell if date_format_of(cell) else None


def _date_of(pattern: re.Pattern[str], cell: str) -> str | None:
    found = pattern.fullmatch(cell)
    if found is None:
        return None
    try:
        return date(int(found["year"]), int(found["month"]), int(found["day"])).isoformat()
    except ValueError:  # no day of the calendar
        return None


_STYLES = (
    ("", _plain_number),
    (" with a decimal comma", _with_decimal_comma),
    (" with commas between thousands", _with_thousands),
)
_MARKS = (*((mark, "money") for mark in MONEY), ("%", "percentages"))
SPELLINGS = (
    *(Spelling(f"numbers{style}", "1234.50", read) for style, read in _STYLES),
    *(
        Spelling(f"{noun}{style}", "1234.50", partial(_beside, mark, read))
        for mark, noun in _MARKS
        for style, read in _STYLES
    ),
    Spelling("dates", "2021-02-01", _plain_date),
    Spelling("dates with the day first", "2021-02-01", partial(_date_of, DOTTED)),
    Spelling("dates with the day first", "2021-02-01", partial(_date_of, DAY_FIRST)),
    Spelling("dates with the month first", "2021-02-01", partial(_date_of, MONTH_FIRST)),
    Spelling("dates with the year first", "2021-02-01", partial(_date_of, YEAR_FIRST)),
)
