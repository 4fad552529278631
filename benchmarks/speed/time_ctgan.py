"""Trains ctgan on the rows of a CSV file, on one thread, and takes turns. It runs under a Python that has ctgan and
nothing of this project.

The first turn, whatever its number, is the preparation of the columns; all others are steps.
"""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from ctgan import CTGAN

from benchmarks.speed.turns import Turns

_CALLS_A_STEP = 2  # of the generator's last layer: for D and for G
_EPOCHS = 1_000_000


class LedCTGAN(CTGAN):  # type: ignore[misc]
    """CTGAN that waits for its turn before each step; what the generator makes first is the beginning of one."""

    turns: Turns
    calls = 0

    def _apply_activate(self, data: torch.Tensor) -> Any:
        if self.calls % _CALLS_A_STEP == 0:
            self.turns.before_step()
        self.calls += 1
        return super()._apply_activate(data)


def main() -> None:
    """Fit until nobody asks for more steps."""
    parser = argparse.ArgumentParser()
    parser.add_argument("training", type=Path)
    parser.add_argument("--discrete", action="append", default=[])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = pd.read_csv(asked.training)
    model = LedCTGAN(epochs=_EPOCHS)
    model.set_random_state(1)
    model.turns = Turns()
    model.turns.before_preparation()
    model.fit(rows, asked.discrete)


if __name__ == "__main__":
    main()
