"""`python -m benchmarks.sampling`: what samples on demand cost through the service, beside the bare work they are."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import torch

from ganymede.client import Client
from ganymede.up import free_port
from service.spec.drawing import Drawing
from worker.gan.generation import OpenedGenerator, open_generator

JOB = {"dataset": "digits", "loop": {"max_steps": 50}, "quality": {"every_steps": 0}}
COUNT = 64
WARM_UPS = 5
_PATIENCE_S = 120.0


@contextmanager
def a_service(home: Path) -> Iterator[Client]:
    """Run `ganymede up` on a data directory of its own until the block ends."""
    port = free_port()
    command = [sys.executable, "-m", "ganymede", "up", "--port", str(port)]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, "GANYMEDE_HOME": str(home)}, stdout=log, stderr=log)
    try:
        with Client(f"http://127.0.0.1:{port}", patience_s=_PATIENCE_S) as client:
            until = time.monotonic() + _PATIENCE_S
            while not client.is_ready():
                if process.poll() is not None or time.monotonic() > until:
                    raise click.ClickException((home / "log").read_text())
                time.sleep(0.1)
            yield client
    finally:
        process.terminate()
        process.wait()


def trained(client: Client, directory: Path) -> tuple[str, OpenedGenerator]:
    """Train the digits for a few steps; return the job's id and the generator that its samples come from."""
    job = client.wait(client.create_job(JOB)["id"])
    if job["status"] != "succeeded":
        raise click.ClickException(f"the job is {job['status']}: {job['error']}")
    file = directory / "generator.safetensors"
    client.download(f"/jobs/{job['id']}/checkpoints/latest/file", file, part="ema")
    return job["id"], open_generator(file)


def took_ms(work: Callable[[], object]) -> float:
    """Return the milliseconds that a piece of work takes."""
    began = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - began)


def compare(client: Client, directory: Path, repeats: int) -> tuple[list[float], list[float]]:
    """Return the milliseconds of requests and of the bare work, taken in turns, each with a seed of its own."""
    job_id, generator = trained(client, directory)
    picture = directory / "samples.png"
    served, bare = [], []
    for seed in range(1, WARM_UPS + repeats + 1):
        drawing = Drawing(COUNT, seed, "png")
        served.append(took_ms(lambda: client.sample(job_id, picture, n=COUNT, seed=seed)))  # noqa: B023 (called at once)
        bare.append(took_ms(lambda: generator.carry_out(drawing)))  # noqa: B023
        if picture.read_bytes() != generator.carry_out(drawing):
            raise click.ClickException(f"the service drew something else with seed {seed}")
    return served[WARM_UPS:], bare[WARM_UPS:]


@click.command()
@click.option("--repeats", default=100, show_default=True)
def main(repeats: int) -> None:
    """Draw 64 digits again and again: warm through HTTP, and in this process; print the medians and their ratio."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory, "home")
        home.mkdir()
        with a_service(home) as client:
            served, bare = compare(client, Path(directory), repeats)
    for name, taken in (("service", served), ("bare", bare)):
        nine_of_ten = sorted(taken)[int(0.9 * len(taken))]
        click.echo(f"{name:8} median {statistics.median(taken):6.2f} ms, nine of ten within {nine_of_ten:6.2f}")
    click.echo(f"ratio    {statistics.median(served) / statistics.median(bare):.2f}")


if __name__ == "__main__":
    main()
