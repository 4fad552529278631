"""Row D2: what samples on demand cost through the service, beside the bare work that they are."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import torch

from benchmarks.speed.figures import Effort, Figure, took_s
from benchmarks.speed.running import a_service
from ganymede.client import Client, Job
from ganymede.jobs import JobSpec
from service.spec.drawing import Drawing
from worker.gan.generation import OpenedGenerator, open_generator

JOB: JobSpec = {"dataset": "digits", "loop": {"max_steps": 50}, "quality": {"every_steps": 0}}
COUNT = 64
WARM_UPS = 5


def samples_on_demand(effort: Effort) -> dict[str, Figure]:
    """D2."""
    torch.set_num_threads(1)
    with TemporaryDirectory() as directory, a_service(Path(directory, "home")) as client:
        return {"": Figure.of(compare(client, Path(directory), repeats=6 * effort.rounds))}


def compare(client: Client, directory: Path, *, repeats: int) -> list[float]:
    """Return how much longer requests take than the bare work, in turns, each pair with a seed of its own."""
    job, generator = trained(client, directory)
    picture, ratios = directory / "samples.png", []
    for seed in range(1, WARM_UPS + repeats + 1):
        drawing = Drawing(COUNT, seed, "png")
        served = took_s(partial(fetch, job, picture, seed))
        ratios.append(served / took_s(lambda: generator.carry_out(drawing)))  # noqa: B023
        if picture.read_bytes() != generator.carry_out(drawing):
            raise click.ClickException(f"the service drew something else with seed {seed}")
    return ratios[WARM_UPS:]


def fetch(job: Job, picture: Path, seed: int) -> None:
    """Ask for samples, wait for them, write them."""
    job.sample(n=COUNT, seed=seed, format="png").download(picture)


def trained(client: Client, directory: Path) -> tuple[Job, OpenedGenerator]:
    """Train the digits for a few steps; return the job and the generator that its samples come from."""
    job = client.jobs.create(**JOB).wait()
    if job.status != "succeeded":
        raise click.ClickException(f"the job is {job.status}: {job.data['error']}")
    file = directory / "generator.safetensors"
    job.download(file, "checkpoints/latest/file", part="ema")
    return job, open_generator(file)
