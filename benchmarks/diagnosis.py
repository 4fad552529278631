"""`python -m benchmarks.diagnosis`: what the diagnosis says of default recipes, and of them once D is frozen."""

import json
import time
from dataclasses import dataclass, field
from typing import Any

import click
import torch

from benchmarks.quality.trials import CPU, reference
from service.spec.job import JobSpec
from service.spec.resolve import merge, parse_spec, resolve
from worker.exactness import compute_exactly
from worker.gan.data.registry import open_dataset
from worker.gan.diagnosis.checkup import CHECK_EVERY_STEPS, Checkup, Examiner
from worker.gan.diagnosis.doctor import Doctor
from worker.gan.training import Training
from worker.measurer import split_of

HEALTHY = ["ring", "grid", "moons", "digits", "iris", "wine", "breast_cancer", "stacked_digits", "tones", "survey"]
FREEZABLE = ["ring", "digits"]
FROZEN_STEPS = 100  # of the generator alone


@dataclass
class Watched:
    """A training with its doctor, as a trainer has them, and all that the doctor said."""

    training: Training
    said: list[tuple[str, str, int]] = field(default_factory=list)
    checkups: list[Checkup] = field(default_factory=list)

    def __post_init__(self) -> None:
        training = self.training
        has_held_out = training.data.held_out is not None
        self._examiner = Examiner(training)
        self._doctor = Doctor(training.spec, training.recorder.columns, has_held_out=has_held_out)

    def train(self, steps: int) -> None:
        """Take steps and look at them."""
        for _ in range(steps):
            self.training.step()
            if self.training.step_number % CHECK_EVERY_STEPS == 0:
                self._doctor.see(self.training.recorder.take()[1])
                checkup = self._examiner.examine(self.training)
                self.checkups.append(checkup)
                changes = self._doctor.judge(checkup, self.training.merits)
                self.said += [(each.rule, each.standing.state, each.standing.since_step) for each in changes]

    def extremes(self) -> dict[str, float]:
        """Return how near the check-ups came to what raises a rule."""
        afar = [each.fooled for each in self.checkups if each.distance > 0.1]
        return {
            "distance_at_last": round(self.checkups[-1].distance, 3),
            "least_diversity": round(min(each.diversity for each in self.checkups), 3),
            "least_coverage_at_last": round(min(each.coverage for each in self.checkups[-2:]), 3),
            "most_fooled_from_afar": round(max(afar, default=0.0), 3),
            "most_memory": round(max(each.memory or 0.0 for each in self.checkups), 3),
        }


def begin(posted: dict[str, Any]) -> Watched:
    """Start what a client posts."""
    spec = resolve(parse_spec(merge({"resources": {"threads": 1}}, posted)), memory_limit_bytes=2**40).spec
    data = open_dataset(reference(spec), split_of(spec))
    return Watched(Training(spec, data, device=CPU, dtype=torch.float32))


def freezing(spec: JobSpec, after_steps: int) -> dict[str, Any]:
    """Return what a client posts so that D learns for some steps by its recipe and never again, or never at all."""
    if after_steps == 0:
        return {"loop": {"max_steps": FROZEN_STEPS}, "optimizer": {"discriminator": {"lr": 0}}}
    horizon = {"horizon_steps": spec.loop.max_steps}
    return {
        "loop": {"max_steps": after_steps + FROZEN_STEPS},
        "optimizer": {
            "generator": {"schedule": horizon},
            "discriminator": {"schedule": {"name": "linear", "horizon_steps": after_steps}},
        },
    }


@click.command()
@click.argument("scene", type=click.Choice(["healthy", "frozen"]))
@click.option("--datasets", help="Names, with spaces between.")
@click.option("--seeds", default=1, show_default=True)
@click.option("--after", default=300, show_default=True, help="Steps that D learns for before it is frozen.")
def main(scene: str, datasets: str | None, seeds: int, after: int) -> None:
    """Print a line of JSON for each run: what was raised and cleared, and at which step."""
    torch.set_num_threads(1)
    compute_exactly(CPU)
    for dataset in datasets.split() if datasets else HEALTHY if scene == "healthy" else FREEZABLE:
        for seed in range(1, seeds + 1):
            posted: dict[str, Any] = {"dataset": dataset, "seed": seed}
            if scene == "frozen":
                posted = merge(posted, freezing(begin(posted).training.spec, after))
            started_at = time.monotonic()
            watched = begin(posted)
            watched.train(watched.training.spec.loop.max_steps)
            seconds = round(time.monotonic() - started_at, 1)
            line = {"scene": scene, "dataset": dataset, "seed": seed, "steps": watched.training.step_number}
            click.echo(json.dumps(line | watched.extremes() | {"said": watched.said, "seconds": seconds}))


if __name__ == "__main__":
    main()
