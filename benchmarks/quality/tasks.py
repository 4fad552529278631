"""What there is to do for the bars: a seed each, and a rival once; each in a fresh process of one thread.

`python -m benchmarks.quality.tasks` carries out one and prints its trial.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import click
import torch

from benchmarks.quality.bars import BARS, Bar
from benchmarks.quality.closed_forms import tables_fingerprint, try_closed_forms
from benchmarks.quality.record import PICTURES, ROOT, trials_of
from benchmarks.quality.rival import RIVAL, is_installed, rival_fingerprint, try_rival
from benchmarks.quality.trials import RECIPE, Trial, recipe_of, try_seed

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Task:
    """A bar, a seed, and whose training it is."""

    bar: Bar
    seed: int
    by: str = RECIPE

    def __str__(self) -> str:
        return f"{self.bar} seed {self.seed}" + ("" if self.by == RECIPE else f" by {self.by}")


def tasks_of(bar: Bar, seeds: int | None) -> list[Task]:
    """Return all trials of a bar; the rival's comes first, for it takes longest."""
    rival = [Task(bar, bar.seeds[0], RIVAL)] if bar.rivals and is_installed() else []
    return rival + [Task(bar, seed) for seed in bar.seeds[:seeds]]


def todays_recipe(task: Task) -> str:
    """Name what the figures of a task follow from today."""
    if task.by == RIVAL:
        return rival_fingerprint(task.bar)
    return tables_fingerprint() if task.bar.dataset == "dirac" else recipe_of(task.bar)


def is_done(task: Task, trials: Sequence[Trial]) -> bool:
    """Tell whether its figures are recorded and follow from what they would follow from today; closed forms take so
    little time that they are always judged anew.
    """
    return task.bar.dataset != "dirac" and any(
        trial.seed == task.seed and trial.recipe == todays_recipe(task)
        for trial in trials_of(task.bar, trials, task.by)
    )


def carry_out(task: Task, cache: Path) -> Trial:
    """Train and measure in this process; the first seed leaves a picture."""
    if task.by == RIVAL:
        return try_rival(task.bar, task.seed, cache=cache)
    if task.bar.dataset == "dirac":
        return try_closed_forms(task.bar)
    picture = PICTURES / f"{task.bar.id}-{task.bar.dataset}.png" if task.seed == task.bar.seeds[0] else None
    return try_seed(task.bar, task.seed, cache=cache, picture=picture)


def carry_out_all(tasks: Sequence[Task], cache: Path, *, jobs: int) -> Iterator[tuple[Task, Trial | None]]:
    """Carry out so many tasks at a time, each in a process of its own, and yield them as they end; one that failed has
    said why, and yields None.
    """
    pool = ThreadPoolExecutor(jobs)
    try:
        begun = {pool.submit(_in_fresh_process, task, cache): task for task in tasks}
        for ended in as_completed(begun):
            yield begun[ended], ended.result()
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C ends those that run, and begins no others


def _in_fresh_process(task: Task, cache: Path) -> Trial | None:
    asked = [task.bar.id, task.bar.dataset, str(task.seed), task.by, str(cache)]
    command = [sys.executable, "-m", "benchmarks.quality.tasks", *asked]
    environment = {**os.environ, **ONE_THREAD}
    answer = subprocess.run(command, check=False, stdout=subprocess.PIPE, cwd=ROOT, env=environment)
    return None if answer.returncode else Trial(**json.loads(answer.stdout))


@click.command()
@click.argument("bar")
@click.argument("dataset")
@click.argument("seed", type=int)
@click.argument("by")
@click.argument("cache", type=click.Path(path_type=Path))
def main(bar: str, dataset: str, seed: int, by: str, cache: Path) -> None:
    """Carry out one task and print its trial as JSON."""
    torch.set_num_threads(1)
    chosen = next(one for one in BARS if (one.id, one.dataset) == (bar, dataset))
    click.echo(carry_out(Task(chosen, seed, by), cache).to_json())


if __name__ == "__main__":
    main()
