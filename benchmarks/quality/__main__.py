"""`python -m benchmarks.quality`: carry out what has no figure by today's recipes yet; what is done is kept."""

import os
import sys
import tempfile
from pathlib import Path

import click

from benchmarks.quality.bars import BARS
from benchmarks.quality.page import figure, write_page
from benchmarks.quality.record import add_trial, read_trials
from benchmarks.quality.tasks import Task, carry_out_all, is_done, tasks_of
from benchmarks.quality.trials import Trial

_IDS = sorted({bar.id for bar in BARS})


@click.command()
@click.option("--bars", default=" ".join(_IDS), show_default=True, help="Their ids, with spaces between.")
@click.option("--seeds", type=click.IntRange(min=0), help="At most so many; 0 writes the page alone.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes at a time; one for each core when left out.")
@click.option("--again", is_flag=True, help="Carry out also what has figures by today's recipes.")
def main(bars: str, seeds: int | None, jobs: int | None, *, again: bool) -> None:
    """Train default recipes on known data and write the bars of docs/quality.md."""
    unknown = set(bars.split()) - set(_IDS)
    if unknown:
        raise click.BadParameter(f"there is no bar {', '.join(sorted(unknown))}; there are {', '.join(_IDS)}")
    tasks = [] if seeds == 0 else [task for bar in BARS if bar.id in bars.split() for task in tasks_of(bar, seeds)]
    trials = read_trials()
    tasks = [task for task in tasks if again or not is_done(task, trials)]
    failed = 0
    with tempfile.TemporaryDirectory(prefix="ganymede-quality-") as cache:
        for task, trial in carry_out_all(tasks, Path(cache), jobs=jobs or os.cpu_count() or 1):
            failed += trial is None
            trials = trials if trial is None else add_trial(trial)
            write_page(trials)
            click.echo(f"{task}: {_told(task, trial)}")
    write_page(trials)
    sys.exit(1 if failed else 0)


def _told(task: Task, trial: Trial | None) -> str:
    if trial is None:
        return "failed"
    return ", ".join(f"{rule.metric} {figure(trial.figures.get(rule.metric))}" for rule in task.bar.rules)


if __name__ == "__main__":
    main()
