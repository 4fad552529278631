"""`python -m benchmarks.quality`: run the bars that have no figure yet, seed by seed; what is done is kept."""

import tempfile
from pathlib import Path

import click
import torch

from benchmarks.quality.bars import BARS, Bar
from benchmarks.quality.page import PICTURES, add_trial, is_recorded
from benchmarks.quality.trials import Trial, try_seed

_IDS = sorted({bar.id for bar in BARS})


@click.command()
@click.option("--bars", default=" ".join(_IDS), show_default=True, help="Their ids, with spaces between.")
@click.option("--seeds", type=int, help="How many; each bar's own number when left out.")
@click.option("--again", is_flag=True, help="Run seeds that have a figure by today's recipe once more.")
def main(bars: str, seeds: int | None, *, again: bool) -> None:
    """Train default recipes on known data and write docs/bars.md."""
    unknown = set(bars.split()) - set(_IDS)
    if unknown:
        raise click.BadParameter(f"there is no bar {', '.join(sorted(unknown))}; there are {', '.join(_IDS)}")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="ganymede-quality-") as cache:
        for bar in (bar for bar in BARS if bar.id in bars.split()):
            for seed in range(1, (seeds or bar.seeds) + 1):
                if again or not is_recorded(bar, seed):
                    _run(bar, seed, Path(cache))


def _run(bar: Bar, seed: int, cache: Path) -> None:
    picture = PICTURES / f"{bar.id}-{bar.dataset}.png" if seed == 1 else None
    trial = try_seed(bar, seed, cache=cache, picture=picture)
    add_trial(trial)
    click.echo(_line(bar, trial))


def _line(bar: Bar, trial: Trial) -> str:
    figures = [f"{rule.metric} {trial.metrics.get(rule.metric)}" for rule in bar.rules]
    return f"{trial.bar} {trial.dataset} seed {trial.seed}: {', '.join(figures)}; {trial.seconds:g} s"


if __name__ == "__main__":
    main()
