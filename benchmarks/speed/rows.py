"""The rows by id, each measured in a process of its own: `python -m benchmarks.speed.rows P1` prints its figures."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib import import_module
from typing import Any

import click
import psutil

from benchmarks.speed.bars import BARS, Bar
from benchmarks.speed.figures import FULL, SHORT, Effort, Figure, PeerAbsent
from benchmarks.speed.machine import describe_machine, fastest_precision
from benchmarks.speed.places import ROOT
from benchmarks.speed.record import Row

_MEASURES = {
    "P1": "steps.ring_two_pass",
    "P2": "steps.ring_fused",
    "P3": "steps.small_fused",
    "P4": "across.against_lightning",
    "P5": "across.jobs_of_one_shape",
    "P6": "steps.small_pictures",
    "P7": "steps.larger_pictures",
    "P8": "served.around_the_loop",
    "P9": "posted_jobs.four_at_once",
    "G1": "gpu.small_networks",
    "G2": "gpu.convolutions",
    "S1": "histories.writing_points",
    "S2": "histories.reading_points",
    "S3": "histories.looking_over",
    "S4": "histories.storing",
    "D1": "posted_jobs.to_first_step",
    "D2": "on_demand.samples_on_demand",
    "E1": "served.checkpoints",
    "T1": "tables.against_ctgan",
}

Measure = Callable[[Effort], dict[str, Figure]]


def measure_of(id: str) -> Measure:
    """Return what measures a row; only what it needs is imported."""
    module, name = _MEASURES[id].split(".")
    measure: Measure = getattr(import_module(f"benchmarks.speed.{module}"), name)
    return measure


def measure_in_fresh_process(bar: Bar, *, short: bool) -> Row:
    """Measure a row so that nothing which happens to it ends another."""
    command = [sys.executable, "-m", "benchmarks.speed.rows", bar.id, *(["--short"] if short else [])]
    began = time.monotonic()
    said = carried_out(command, minutes=bar.minutes)
    return Row(
        bar.id,
        bar.what.format(fastest=fastest_precision()),
        {name: Figure(**figure) for name, figure in said.get("figures", {}).items()},
        said.get("absent") or said.get("failed", ""),
        round(time.monotonic() - began, 1),
        describe_machine(),
        is_absent="absent" in said,
    )


def carried_out(command: Sequence[str], *, minutes: float) -> dict[str, Any]:
    """Return what a row's process says, or why it says nothing."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=environment())
    try:
        answer, _ = process.communicate(timeout=minutes * 60)
    except subprocess.TimeoutExpired:
        for descendant in [*psutil.Process(process.pid).children(recursive=True), process]:
            descendant.kill()
        process.communicate()
        return {"failed": f"not done within {minutes:g} minutes"}
    if process.returncode:
        return {"failed": f"failed with exit code {process.returncode}"}
    said: dict[str, Any] = json.loads(answer)
    return said


def environment() -> dict[str, str]:
    """Return the environment without what would tell libraries how many threads to have: rows say that themselves."""
    return {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}


@click.command()
@click.argument("id", type=click.Choice([bar.id for bar in BARS]))
@click.option("--short", is_flag=True, help="Fewer and shorter rounds.")
def main(id: str, *, short: bool) -> None:
    """Measure one row and print its figures as JSON, or why its peer is absent."""
    said = os.dup(1)
    os.dup2(2, 1)  # whatever else is printed meanwhile is no figure
    try:
        figures = measure_of(id)(SHORT if short else FULL)
        answer: dict[str, object] = {"figures": {name: asdict(figure) for name, figure in figures.items()}}
    except PeerAbsent as absent:
        answer = {"absent": str(absent)}
    os.write(said, json.dumps(answer).encode())


if __name__ == "__main__":
    main()
