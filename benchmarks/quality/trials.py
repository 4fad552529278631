"""One trial: a default recipe trained with one seed, timed, and measured against the half that it never saw."""

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.quality.bars import Bar
from service.spec.job import DatasetRef, JobSpec
from service.spec.resolve import merge, parse_spec, resolve
from worker.exactness import compute_exactly
from worker.gan.data.registry import open_dataset
from worker.gan.data.split import MOST_HELD_OUT
from worker.gan.metrics.cache import Cache
from worker.gan.metrics.yardstick import METRICS_VERSION, make_yardstick
from worker.gan.samples import exporter_for
from worker.gan.training import Training
from worker.measurer import measure_training, split_of

CPU = torch.device("cpu")
PICTURE_FORMAT = "png"


@dataclass(frozen=True)
class Trial:
    """The figures of one seed, the rows beside them, and the picture of its samples, if its data has one."""

    bar: str
    dataset: str
    seed: int
    recipe: str
    seconds: float
    metrics: dict[str, float | None]
    real: dict[str, float | None]
    baselines: dict[str, dict[str, float | None]]


def spec_of(bar: Bar, seed: int) -> JobSpec:
    """Resolve what a client posts who names nothing but the data, and how it is to be judged."""
    posted = merge({"dataset": bar.dataset, "seed": seed, "resources": {"threads": 1}}, dict(bar.protocol))
    return resolve(parse_spec(posted), memory_limit_bytes=2**40).spec


def recipe_of(bar: Bar) -> str:
    """Name the recipe and the way of measuring: a figure of another recipe is another figure."""
    spec = spec_of(bar, seed=0).model_dump(mode="json", exclude={"versions"})
    return hashlib.sha256(json.dumps([spec, METRICS_VERSION], sort_keys=True).encode()).hexdigest()[:12]


def try_seed(bar: Bar, seed: int, *, cache: Path, picture: Path | None) -> Trial:
    """Train and measure; writes a picture of the samples where one is asked for and the data has one."""
    spec = spec_of(bar, seed)
    ref = reference(spec)
    compute_exactly(CPU)
    started_at = time.monotonic()
    data = open_dataset(ref, split_of(spec))
    training = Training(spec, data, device=CPU, dtype=torch.float32)
    for _ in range(spec.loop.max_steps):
        training.step()
    seconds = time.monotonic() - started_at

    yardstick = make_yardstick(ref, data, count=MOST_HELD_OUT, split=split_of(spec), cache=Cache(cache))
    if picture is not None:
        write_picture(training, picture)
    return Trial(
        bar.id,
        bar.dataset,
        seed,
        recipe_of(bar),
        round(seconds, 1),
        measure_training(training, yardstick, thoroughly=True),
        yardstick.of_training_rows(),
        yardstick.of_baselines(data),
    )


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
