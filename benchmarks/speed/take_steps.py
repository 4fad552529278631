"""Trainings of the service, or the baseline, on one thread in a process of its own that takes turns with others."""

import click
import torch

from benchmarks.speed.models import MODELS, baseline_of, training_of
from benchmarks.speed.turns import Turns
from worker.gan.cohort import Cohort

JOBS = 4  # of a cohort
_TAKE_EVERY_STEPS = 1_000  # rows, as flushes do


@click.command()
@click.argument("model", type=click.Choice(list(MODELS)))
@click.argument("by", type=click.Choice(["baseline", "cohort"]))
def main(model: str, by: str) -> None:
    """Take as many steps as each line of the standard input says, and answer with the seconds."""
    turns = Turns()
    torch.set_num_threads(1)
    if by == "baseline":
        baseline = baseline_of(model)
        while True:
            turns.before_step()
            baseline.step()
    trainings = [training_of(model, "fused", seed=seed) for seed in range(JOBS)]
    cohort = Cohort(trainings)
    while True:
        turns.before_step()
        cohort.step()
        if trainings[0].step_number % _TAKE_EVERY_STEPS == 0:
            for training in trainings:
                training.recorder.take()


if __name__ == "__main__":
    main()
