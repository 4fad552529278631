"""Trains ctgan at its defaults. It runs under a Python of its own, which has ctgan and nothing of this project: rows
come and go as CSV files of numbers, and what the training took is printed as JSON.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from ctgan import CTGAN


class TimedCTGAN(CTGAN):  # type: ignore[misc]
    """CTGAN that tells when its first step began: its preparation of the columns is no training."""

    began: tuple[float, ...] = ()

    def _apply_activate(self, data: torch.Tensor) -> Any:
        """Mark the time; this is the first thing that happens to what the generator makes."""
        self.began = self.began or now()
        return super()._apply_activate(data)


def main() -> None:
    """Train on the rows of one file and write made ones into another."""
    asked = read_arguments()
    torch.set_num_threads(1)
    model = TimedCTGAN(epochs=asked.epochs)
    model.set_random_state(asked.seed)
    model.fit(pd.read_csv(asked.training), asked.discrete)
    seconds, cpu_seconds = (round(end - start, 1) for start, end in zip(model.began, now(), strict=True))
    model.sample(asked.count).to_csv(asked.made, index=False)
    json.dump({"seconds": seconds, "cpu_seconds": cpu_seconds}, sys.stdout)


def now() -> tuple[float, ...]:
    """Return the clock and the processor time of this process, in seconds."""
    return time.monotonic(), time.process_time()


def read_arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("training", type=Path)
    parser.add_argument("made", type=Path)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--epochs", type=int, default=300)  # ctgan's own default
    parser.add_argument("--discrete", action="append", default=[])
    return parser.parse_args()


if __name__ == "__main__":
    main()
