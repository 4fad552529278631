"""The record of all trials, docs/bars.json, and the tables of docs/bars.md that are written from it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from benchmarks.quality.bars import BARS, Bar, Rule
from benchmarks.quality.trials import Trial, recipe_of

ROOT = Path(__file__).parent.parent.parent
RECORD = ROOT / "docs" / "bars.json"
PAGE = ROOT / "docs" / "bars.md"
PICTURES = ROOT / "docs" / "pictures"
_BEGIN, _END = "<!-- bars: begin -->\n", "<!-- bars: end -->"


def read_trials() -> list[Trial]:
    """Return all recorded trials, oldest first."""
    return [Trial(**written) for written in json.loads(RECORD.read_text())] if RECORD.exists() else []


def add_trial(trial: Trial) -> None:
    """Record a trial in the place of an older one of the same bar, data and seed, and write the page anew."""
    others = [other for other in read_trials() if _place(other) != _place(trial)]
    trials = sorted([*others, trial], key=_place)
    lines = ",\n".join(json.dumps(asdict(one)) for one in trials)
    RECORD.write_text(f"[\n{lines}\n]\n")
    write_page(trials)


def is_recorded(bar: Bar, seed: int) -> bool:
    """Tell whether this bar has a figure of this seed by today's recipe."""
    wanted = (bar.id, bar.dataset, seed, recipe_of(bar))
    return any((trial.bar, trial.dataset, trial.seed, trial.recipe) == wanted for trial in read_trials())


def write_page(trials: Sequence[Trial]) -> None:
    """Write the tables into docs/bars.md, between its two marks."""
    before, rest = PAGE.read_text().split(_BEGIN)
    PAGE.write_text(before + _BEGIN + tables(trials) + "\n" + _END + rest.split(_END)[1])


def tables(trials: Sequence[Trial]) -> str:
    """Return the bars that have figures, one after the other."""
    return "\n\n".join(_sections(trials))


def _sections(trials: Sequence[Trial]) -> Iterator[str]:
    for bar in BARS:
        those = [trial for trial in trials if (trial.bar, trial.dataset) == (bar.id, bar.dataset)]
        if those:
            yield "\n".join(_section(bar, those))


def _section(bar: Bar, trials: Sequence[Trial]) -> list[str]:
    """Return a heading, each rule with the median and whether it holds, the picture, and a row for each seed."""
    lines = [f"## {bar}", ""]
    if any(trial.recipe != recipe_of(bar) for trial in trials):
        lines += ["Some of these figures are of an earlier recipe.", ""]
    lines += [f"{len(trials)} seeds.", "", "| rule | median | met |", "|---|---|---|"]
    lines += [_verdict(rule, trials) for rule in bar.rules]
    seconds = median(trial.seconds for trial in trials)
    lines += [f"| seconds <= {bar.seconds:g} | {seconds:.1f} | {_word(seconds <= bar.seconds)} |", ""]
    if (PICTURES / f"{bar.id}-{bar.dataset}.png").exists():
        lines += [f"![samples](pictures/{bar.id}-{bar.dataset}.png)", ""]
    return lines + _rows(bar, trials)


def _verdict(rule: Rule, trials: Sequence[Trial]) -> str:
    value = _median([trial.metrics.get(rule.metric) for trial in trials])
    beside = (
        None if rule.beside is None else _median([_row_of(trial, rule.beside).get(rule.metric) for trial in trials])
    )
    shown = _figure(value) if beside is None else f"{_figure(value)} ({rule.beside} {_figure(beside)})"
    return f"| {rule} | {shown} | {_word(rule.holds(value, beside))} |"


def _rows(bar: Bar, trials: Sequence[Trial]) -> list[str]:
    names = list(dict.fromkeys([*(rule.metric for rule in bar.rules), *trials[0].metrics]))
    rows = [_row(f"seed {trial.seed}", trial.metrics, names, f"{trial.seconds:.1f}") for trial in trials]
    beside = ["real", *trials[0].baselines]
    for name in beside:
        medians = {metric: _median([_row_of(trial, name).get(metric) for trial in trials]) for metric in names}
        rows.append(_row(f"*{name.replace('_', ' ')}*", medians, names, ""))
    return [f"| | {' | '.join(names)} | seconds |", "|---" * (len(names) + 2) + "|", *rows]


def _row(head: str, metrics: Mapping[str, float | None], names: Sequence[str], seconds: str) -> str:
    return f"| {head} | {' | '.join(_figure(metrics.get(name)) for name in names)} | {seconds} |"


def _row_of(trial: Trial, name: str) -> Mapping[str, float | None]:
    return trial.real if name == "real" else trial.baselines.get(name, {})


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _word(met: bool) -> str:
    return "met" if met else "missed"


def _place(trial: Trial) -> tuple[str, str, int]:
    return trial.bar, trial.dataset, trial.seed
