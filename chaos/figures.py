"""The figures of all storms so far: kept as JSON, shown as tables in docs/guarantees.md."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chaos.faults import BOTH, FAULTS, KEPT
from chaos.storm import Report, Trial

ROOT = Path(__file__).parent.parent
RECORD = ROOT / "docs" / "guarantees.json"
PAGE = ROOT / "docs" / "guarantees.md"
_BEGIN, _END = "<!-- storms: begin -->\n", "<!-- storms: end -->"


def add_report(report: Report, *, revision: str, minutes: float) -> None:
    """Append a storm to the record and write the page's tables anew."""
    storms = read_storms()
    storms.append(
        {
            "day": datetime.now(UTC).strftime("%Y-%m-%d"),
            "revision": revision,
            "minutes": round(minutes, 1),
            **asdict(report),
            "trials": [list(asdict(trial).values()) for trial in report.trials],
        }
    )
    lines = ",\n".join(json.dumps(storm) for storm in storms)
    RECORD.write_text(f"[\n{lines}\n]\n")
    write_page(storms)


def read_storms() -> list[dict[str, Any]]:
    """Return all recorded storms, oldest first."""
    storms: list[dict[str, Any]] = json.loads(RECORD.read_text()) if RECORD.exists() else []
    return storms


def write_page(storms: Sequence[dict[str, Any]]) -> None:
    """Write the tables of docs/guarantees.md."""
    before, rest = PAGE.read_text().split(_BEGIN)
    PAGE.write_text(before + _BEGIN + tables(storms) + _END + rest.split(_END)[1])


def tables(storms: Sequence[dict[str, Any]]) -> str:
    """Return the runs, one line each, and all faults, with the times of the two databases side by side."""
    parts = [_runs(storms), _violations(storms), _faults(storms), _crash_points(storms)]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def summary(trials: Sequence[Trial]) -> list[str]:
    """Return one line for each kind of fault: how often, noticed and recovered after how many seconds."""
    by_fault = defaultdict(list)
    for trial in trials:
        by_fault[trial.fault].append(trial)
    return [
        f"{name:<22} {len(those):>4}  noticed {_percentiles([one.noticed_s for one in those]):<24}"
        f" recovered {_percentiles([one.recovered_s for one in those])}"
        for name, those in sorted(by_fault.items())
    ]


def _runs(storms: Sequence[dict[str, Any]]) -> list[str]:
    rows = [
        f"| {storm['day']} | `{storm['revision']}` | {storm['database']} | {storm['seed']} | {storm['minutes']:g}"
        f" | {len(storm['trials'])} | {storm['jobs']} | {storm['attempts']} | {storm['answers']}"
        f" | {storm['ledger_entries']} | {len(storm['violations'])} |"
        for storm in storms
    ]
    head = (
        "| day | revision | database | seed | minutes | faults | jobs | attempts | answers | writes in the ledger "
        "| violations |"
    )
    return [head, "|---|---|---|---|---|---|---|---|---|---|---|", *rows]


def _violations(storms: Sequence[dict[str, Any]]) -> list[str]:
    """Return each violation with what came of it, which somebody has to write into the record by hand."""
    return [
        f"- {storm['database']}, seed {storm['seed']}: {violation} {storm.get('causes', {}).get(violation, '')}"
        for storm in storms
        for violation in storm["violations"]
    ]


def _faults(storms: Sequence[dict[str, Any]]) -> list[str]:
    trials = _trials(storms)
    rows = []
    for fault in FAULTS.values():
        both = [trials[database, fault.name] for database in ("sqlite", "postgresql")]
        counts = [str(len(those)) if name in fault.databases else "-" for name, those in zip(BOTH, both, strict=True)]
        those = [trial for some in both for trial in some]
        noticed, recovered = ([trial[place] for trial in those] for place in (2, 3))
        rows.append(f"| {fault.meaning} | {' | '.join(counts)} | {_percentiles(noticed)} | {_percentiles(recovered)} |")
    head = "| fault | SQLite | PostgreSQL | noticed, s: median / 95 % / longest | training again, s |"
    return [head, "|---|---|---|---|---|", *rows]


def _crash_points(storms: Sequence[dict[str, Any]]) -> list[str]:
    counts: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(BOTH, 0))
    for (database, fault), trials in _trials(storms).items():
        for trial in trials:
            if fault == "crash_point":
                counts[trial[1]][database] += 1
    rows = [f"| `{name}` | {count['sqlite']} | {count['postgresql']} |" for name, count in sorted(counts.items())]
    return ["| crash point | SQLite | PostgreSQL |", "|---|---|---|", *rows]


def _trials(storms: Sequence[dict[str, Any]]) -> dict[tuple[str, str], list[list[Any]]]:
    """Return the trials of each database and fault: [fault, detail, noticed_s, recovered_s]."""
    found: dict[tuple[str, str], list[list[Any]]] = defaultdict(list)
    for storm in storms:
        for trial in (trial for trial in storm["trials"] if trial[1] != KEPT):  # it came to nothing
            found[storm["database"], trial[0]].append(trial)
    return found


def _percentiles(values: Sequence[float | None]) -> str:
    known = sorted(value for value in values if value is not None)
    if not known:
        return "-"
    median, high = known[len(known) // 2], known[min(len(known) - 1, int(len(known) * 0.95))]
    return f"{median:.2f} / {high:.2f} / {known[-1]:.2f}"
