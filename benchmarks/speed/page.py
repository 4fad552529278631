"""The figures of docs/performance.md: the machine, a line for each row, how each was measured. The rest stays."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.speed.bars import BARS, Rule
from benchmarks.speed.figures import Figure
from benchmarks.speed.places import PAGE
from benchmarks.speed.record import Row

_BEGIN, _END = "<!-- figures: begin -->\n", "<!-- figures: end -->"


def write_page(rows: Sequence[Row], page: Path = PAGE) -> None:
    """Write docs/performance.md anew between its two marks."""
    page.write_text(rewritten(page.read_text(), rows))


def rewritten(page: str, rows: Sequence[Row]) -> str:
    """Return the page with these rows and all else as it was."""
    before, rest = page.split(_BEGIN)
    after = rest.split(_END)[1]
    return before + _BEGIN + "\n".join(tables(rows)) + "\n" + _END + after


def tables(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the machines, the figures, and how each was measured."""
    for machine in dict.fromkeys(row.machine for row in rows):
        measured = [row.id for row in rows if row.machine == machine]
        yield f"- {machine}: {', '.join(measured)}."
    yield ""
    yield "| # | what | figure | quartiles | bar | |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        told = [row.trouble, "", ""] if not row.figures else [figures_of(row), spreads_of(row), bounds_of(row)]
        yield f"| {' | '.join([row.id, row.what, *told, row.verdict])} |"
    yield ""
    yield "How each row is measured:"
    yield ""
    for bar in BARS:
        yield f"- {bar.id}: {bar.how}"


def line_of(row: Row) -> str:
    """Return what a terminal shows of a row: its id first, the verdict last."""
    told = [figures_of(row), f"bar {bounds_of(row)}", f"quartiles {spreads_of(row)}"] if row.figures else [row.trouble]
    return f"{row.id} {row.what}: {'; '.join(told)}: {row.verdict}"


def figures_of(row: Row) -> str:
    """Return all figures of a row."""
    return " / ".join(_named(rule, shown(row.figures[rule.name].value, rule.unit)) for rule in row.bar.rules)


def spreads_of(row: Row) -> str:
    """Return the quartiles of all figures of a row."""
    return " / ".join(_spread(row.figures[rule.name], rule.unit) for rule in row.bar.rules)


def bounds_of(row: Row) -> str:
    """Return what the figures have to be within."""
    return " / ".join(rule.bound for rule in row.bar.rules)


def shown(value: float, unit: str) -> str:
    """Write a number with as many digits as mean something."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 20 else 2 if abs(value) >= 2 else 3
    return f"{value:,.{digits}f}{unit}"


def _named(rule: Rule, value: str) -> str:
    return f"{rule.name} {value}" if rule.name else value


def _spread(figure: Figure, unit: str) -> str:
    return f"{shown(figure.low, '')} to {shown(figure.high, unit)}"
