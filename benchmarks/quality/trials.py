"""One trial: a default recipe trained with one seed, timed, and measured against the half that it never saw."""

import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from benchmarks.quality.bars import Bar
from service.spec.job import DatasetRef, JobSpec
from service.spec.plan import Plan, choose_plan
from service.spec.quality import MOST_ROWS
from service.spec.resolve import merge, parse_spec, resolve
from worker.exactness import compute_exactly
from worker.gan.compiled import remember_compiled
from worker.gan.data.registry import open_dataset
from worker.gan.data.training_data import TrainingData
from worker.gan.metrics.cache import Cache
from worker.gan.metrics.yardstick import METRICS_VERSION, Metrics, Yardstick, make_yardstick
from worker.gan.randomness import Stream, random_for
from worker.gan.samples import exporter_for
from worker.gan.training import Training
from worker.machine import can_compile
from worker.measurer import measure_training, split_of

CPU = torch.device("cpu")
PICTURE_FORMAT = "png"
RECIPE = "recipe"
FIRST_STEPS = 20  # of a training with seed 0, whose rows tell whether the mathematics is still the same
TSTR_DRAWS = 4


@dataclass(frozen=True)
class Trial:
    """The figures of one training and of the rows beside it. by is RECIPE for ours, else the name of a rival.

    seconds are those of the clock while the training loop ran, compiling included, cpu_seconds those of the processors.
    """

    bar: str
    dataset: str
    by: str
    seed: int
    recipe: str
    seconds: float | None
    cpu_seconds: float | None
    metrics: Metrics
    real: Metrics
    baselines: dict[str, Metrics]

    @property
    def figures(self) -> Metrics:
        """All that rules can ask of it."""
        return {**self.metrics, "seconds": self.seconds, "cpu_seconds": self.cpu_seconds}

    def to_json(self) -> str:
        """Write it in one line, with as many digits as mean something."""
        return json.dumps(_rounded(asdict(self)))


def spec_of(bar: Bar, seed: int) -> JobSpec:
    """Resolve what a client posts who names nothing but the data, and how it is to be judged."""
    posted = merge({"dataset": bar.dataset, "seed": seed, "resources": {"threads": 1}}, dict(bar.protocol))
    return resolve(parse_spec(posted), memory_limit_bytes=2**40).spec


def recipe_of(bar: Bar) -> str:
    """Name the recipe, what becomes of it and the way of measuring: a figure of another recipe, or of the same by other
    mathematics, is another figure.
    """
    written = spec_of(bar, seed=0).model_dump_json(exclude={"versions", "resources"})
    return fingerprint(json.loads(written), first_rows(written), METRICS_VERSION)


@cache
def first_rows(written: str) -> list[list[str]]:
    """Train the first steps of a spec on one thread, as trials do, and return what they record."""
    compute_exactly(CPU)
    spec = JobSpec.model_validate_json(written)
    with threadpool_limits(limits=1):
        training = Training(spec, open_dataset(reference(spec), split_of(spec)), device=CPU, dtype=torch.float32)
        for _ in range(min(FIRST_STEPS, spec.loop.max_steps)):
            training.step()
    _, rows = training.recorder.take()
    timeless = [number for number, column in enumerate(training.recorder.columns) if column != "step_ms"]
    return [[f"{number:.5g}" for number in row] for row in rows[:, timeless].tolist()]


def fingerprint(*parts: object) -> str:
    """Name what can be written as JSON."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def try_seed(bar: Bar, seed: int, *, cache: Path, picture: Path | None) -> Trial:
    """Train and measure; writes a picture of the samples where one is asked for and the data has one."""
    spec = spec_of(bar, seed)
    data, yardstick = opened(spec, cache)
    training = Training(spec, data, device=CPU, dtype=torch.float32, plan=plan_for(spec, data, cache))
    began, began_computing = time.monotonic(), cpu_time()
    for _ in range(spec.loop.max_steps):
        training.step()
    seconds, cpu_seconds = time.monotonic() - began, cpu_time() - began_computing
    metrics = measure_training(training, yardstick, thoroughly=True)
    if "tstr" in metrics:
        metrics["tstr"] = mean_tstr(training, yardstick)
    if picture is not None:
        write_picture(training, picture)
    return Trial(
        bar.id,
        bar.dataset,
        RECIPE,
        seed,
        recipe_of(bar),
        round(seconds, 1),
        round(cpu_seconds, 1),
        metrics,
        yardstick.of_training_rows(),
        yardstick.of_baselines(data),
    )


def plan_for(spec: JobSpec, data: TrainingData, cache: Path) -> Plan:
    """Plan as a worker would, and let what it compiles be remembered."""
    remember_compiled(cache / "compiled")
    return choose_plan(spec, data.facts, device="cpu", can_compile=can_compile(), threads=1, share=1)


def cpu_time() -> float:
    """Return the seconds that this process and those it has waited for, such as compilers, have computed."""
    return sum(os.times()[:4])


def mean_tstr(training: Training, yardstick: Yardstick) -> float | None:
    """Return the mean TSTR of several draws of samples, for that of one moves by a hundredth."""
    scores = [tstr_of(training, yardstick, draw) for draw in range(TSTR_DRAWS)]
    known = [score for score in scores if score is not None]
    return fmean(known) if known else None


def tstr_of(training: Training, yardstick: Yardstick, draw: int) -> float | None:
    """Measure what can be learnt from one draw of as many samples as there are real rows."""
    labels = yardstick.real.labels if training.spec.model.conditional else None
    random = random_for(training.seed, Stream.QUALITY, draw)
    latents = training.draw_latents(len(yardstick.real.values), random)
    samples = training.sample(latents, None if labels is None else torch.from_numpy(labels))
    return yardstick.tstr(yardstick.as_rows(training.data.to_data_units(samples), labels))


def opened(spec: JobSpec, cache: Path) -> tuple[TrainingData, Yardstick]:
    """Open the data of a resolved spec, and measure against what is kept aside of it."""
    compute_exactly(CPU)
    ref, split = reference(spec), split_of(spec)
    data = open_dataset(ref, split)
    return data, make_yardstick(ref, data, count=MOST_ROWS, split=split, cache=Cache(cache))


def reference(spec: JobSpec) -> DatasetRef:
    """Return the data set of a resolved spec."""
    if isinstance(spec.dataset, str):
        raise TypeError("the spec is not resolved")
    return spec.dataset


def write_picture(training: Training, path: Path) -> None:
    """Write what the job's own sampling point would show."""
    latents, labels = training.fixed_latents()
    files = exporter_for(training.data).render(training.sample(latents, labels), labels)
    if PICTURE_FORMAT in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[PICTURE_FORMAT])


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    return float(f"{value:.6g}") if isinstance(value, float) else value
