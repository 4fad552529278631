"""The record of all trials, docs/quality.json: one line each."""

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.quality.bars import BARS, Bar
from benchmarks.quality.trials import Trial

ROOT = Path(__file__).parent.parent.parent
RECORD = ROOT / "docs" / "quality.json"
PICTURES = ROOT / "docs" / "pictures"


def read_trials(record: Path = RECORD) -> list[Trial]:
    """Return all recorded trials in the order of the bars."""
    return [Trial(**written) for written in json.loads(record.read_text())] if record.exists() else []


def add_trial(trial: Trial, record: Path = RECORD) -> list[Trial]:
    """Record a trial in the place of an older one of the same training, and return all."""
    kept = [other for other in read_trials(record) if _place(other) != _place(trial) and not _is_outgrown(other)]
    trials = sorted([*kept, trial], key=_place)
    lines = ",\n".join(one.to_json() for one in trials)
    part = record.with_suffix(".part")
    part.write_text(f"[\n{lines}\n]\n")
    part.replace(record)
    return trials


def trials_of(bar: Bar, trials: Sequence[Trial], by: str) -> list[Trial]:
    """Return the trials of a bar by a recipe or a rival."""
    return [trial for trial in trials if (trial.bar, trial.dataset, trial.by) == (bar.id, bar.dataset, by)]


def _is_outgrown(trial: Trial) -> bool:
    """Tell whether no bar asks for its seed any more."""
    asked = {seed for bar in BARS if (bar.id, bar.dataset) == (trial.bar, trial.dataset) for seed in bar.seeds}
    return trial.seed not in asked


def _place(trial: Trial) -> tuple[str, str, str, int]:
    return trial.bar, trial.dataset, trial.by, trial.seed
