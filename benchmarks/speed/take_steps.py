"""A training of the service, or the baseline, on one thread in a process of its own that takes turns with others."""

import click
import torch

from benchmarks.speed.models import MODELS, baseline_of, training_of
from benchmarks.speed.turns import Turns

_TAKE_EVERY_STEPS = 1_000  # rows, as flushes do


@click.command()
@click.argument("model", type=click.Choice(list(MODELS)))
@click.argument("by", type=click.Choice(["baseline", "reuse", "fused"]))
def main(model: str, by: str) -> None:
    """Take as many steps as each line of the standard input says, and answer with the seconds."""
    turns = Turns()
    torch.set_num_threads(1)
    if by == "baseline":
        baseline = baseline_of(model)
        while True:
            turns.before_step()
            baseline.step()
    training = training_of(model, "fused" if by == "fused" else "reuse")
    while True:
        turns.before_step()
        training.step()
        if training.step_number % _TAKE_EVERY_STEPS == 0:
            training.recorder.take()


if __name__ == "__main__":
    main()
