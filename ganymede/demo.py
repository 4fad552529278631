"""The whole service at work, once: starts it, trains the digits through its REST API, keeps the results, stops it."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from ganymede.client import Client, Job, ServiceUnreachable
from ganymede.exit_codes import ExitCode
from ganymede.part import start
from ganymede.up import free_port
from ganymede.watching import outcome, watch

READY_WITHIN_S = 120.0
STOPPED_WITHIN_S = 60.0
LOG_TAIL_LINES = 30
TO_LOOK_AT = ("png", "wav", "csv")  # or to listen to; each kind of data has one of them


def demonstrate(into: Path, spec: Mapping[str, Any], console: Console) -> Job:
    """Leave samples, losses.svg, losses.csv and generator.safetensors of one training in a folder."""
    started_s = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="ganymede-demo-") as home,
        _service(Path(home)) as url,
        Client(url) as client,
    ):
        console.print(f"The service runs at {url}; training {spec['dataset']} through its REST API.")
        job = client.jobs.create(**spec)
        watch(job, console)
        console.print(outcome(job.data))
        if job.status != "succeeded":
            raise click.exceptions.Exit(ExitCode.FAILED)
        _keep(job, into)
        for path in sorted(into.iterdir()):
            console.print(f"{path}  {path.stat().st_size:,} bytes")
    console.print(f"Done in {time.monotonic() - started_s:.0f} s. Everything is stopped.")
    return job


def _keep(job: Job, into: Path) -> None:
    into.mkdir(parents=True, exist_ok=True)
    if newest := job.refresh().data["latest_samples"]:
        suffix = next(form for form in TO_LOOK_AT if form in newest["formats"])
        job.download(into / f"samples.{suffix}", f"samples/{newest['step']}", format=suffix)
    job.download(into / "losses.svg", "losses.svg")
    job.download(into / "losses.csv", "losses", format="csv")
    # The average of the generator's weights, where there is one, is what the samples were drawn from.
    *_, saved = job.checkpoints()
    part = "ema" if "ema" in saved["parts"] else "generator"
    job.download(into / "generator.safetensors", f"checkpoints/{saved['step']}/file", part=part)


@contextmanager
def _service(home: Path) -> Iterator[str]:
    port, log = free_port(), home / "service.log"
    # Neither variables nor a .env file of the user take part: the demo must not touch another service's data.
    env = {name: value for name, value in os.environ.items() if not name.startswith("GANYMEDE_")}
    env |= {"GANYMEDE_HOME": str(home / "data"), "GANYMEDE_BIND": f"127.0.0.1:{port}"}
    with log.open("wb") as output:
        process = start([sys.executable, "-m", "ganymede", "up"], env, output=output, directory=home)
    try:
        url = f"http://127.0.0.1:{port}"
        _await_ready(url, process)
        yield url
    except (click.ClickException, click.exceptions.Exit, ServiceUnreachable):
        click.echo("".join(log.read_text(errors="replace").splitlines(keepends=True)[-LOG_TAIL_LINES:]), err=True)
        raise
    finally:
        _stop(process)


def _await_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + READY_WITHIN_S
    with Client(url) as client:
        while not client.is_ready():
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise click.ClickException("The service did not start; its last words are above.")
            time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOPPED_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()  # every part dies with it
        process.wait()
