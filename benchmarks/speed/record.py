"""The record of all rows, docs/performance.json: one line each."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.speed.bars import BARS, Bar, Verdict
from benchmarks.speed.figures import Figure
from benchmarks.speed.places import RECORD


@dataclass(frozen=True)
class Row:
    """What was measured for a bar, and on which machine. trouble says why there is no figure."""

    id: str
    what: str
    figures: Mapping[str, Figure]
    trouble: str
    seconds: float
    machine: str
    is_absent: bool = False

    @property
    def verdict(self) -> Verdict:
        """Whether its bar is met; a row that failed has missed it."""
        if self.is_absent:
            return "absent"
        return self.bar.verdict(self.figures) if self.figures else "missed"

    @property
    def bar(self) -> Bar:
        """The bar it is for."""
        return next(bar for bar in BARS if bar.id == self.id)

    def to_json(self) -> str:
        """Write it in one line, with as many digits as mean something."""
        written = asdict(self)
        for figure in written["figures"].values():
            figure |= {name: float(f"{figure[name]:.5g}") for name in ("value", "low", "high")}
        return json.dumps(written)


_ROWS = TypeAdapter(list[Row])


def read_rows(record: Path = RECORD) -> list[Row]:
    """Return all recorded rows in the order of the bars, without those that were measured before their bar asked for
    more.
    """
    rows = _ROWS.validate_json(record.read_bytes()) if record.exists() else []
    return [row for row in rows if not row.figures or {rule.name for rule in row.bar.rules} <= row.figures.keys()]


def add_row(row: Row, record: Path = RECORD) -> list[Row]:
    """Record a row in the place of its older one, and return all, rounded as they are recorded.

    What cannot be measured on this machine takes nothing away from what was measured on another.
    """
    rows = {one.id: one for one in read_rows(record)}
    if not row.is_absent or row.id not in rows:
        rows[row.id] = row
    kept = [rows[bar.id] for bar in BARS if bar.id in rows]
    write_rows(kept, record)
    return read_rows(record)


def write_rows(rows: Sequence[Row], record: Path) -> None:
    """Write the record whole or not at all."""
    part = record.with_suffix(".part")
    lines = ",\n".join(row.to_json() for row in rows)
    part.write_text(f"[\n{lines}\n]\n")
    part.replace(record)
