"""Rows P9 and D1: jobs that are posted to a running service, against scripts that are started."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.speed.figures import Effort, Figure, took_s
from benchmarks.speed.models import posted
from benchmarks.speed.places import COMPILED
from benchmarks.speed.running import a_service
from ganymede.client import Client, Job
from service import models
from service.db import make_engine, reading
from service.settings import Settings

BASELINE = Path(__file__).with_name("baseline.py")
JOBS, SLOTS = 4, 2
STEADY_STEPS = 500  # after which a job is in its steady state
WARM_UPS = 3
_PATIENCE_S = 240.0


def four_at_once(effort: Effort) -> dict[str, Figure]:
    """P9."""
    windows, window_s = max(2, effort.rounds // 3), 5 * effort.block_s
    before = rates_of_scripts(windows, window_s)
    ours = rates_of_service(windows, window_s)
    theirs = median([*before, *rates_of_scripts(windows, window_s)])
    return {"": Figure.of([rate / theirs for rate in ours])}


def rates_of_scripts(windows: int, window_s: float) -> list[float]:
    """Return the steps a second of all scripts together, window by window, once each has begun."""
    with TemporaryDirectory() as directory, four_scripts(Path(directory)) as printed:
        wait_until(lambda: all(lines_in(file) for file in printed))
        return [rate_in(lambda: sum(map(lines_in, printed)), window_s) for _ in range(windows)]


def rates_of_service(windows: int, window_s: float) -> list[float]:
    """Return the steps a second of all jobs together, window by window, once those that run are in their steady state.

    What its trainers have compiled is where other rows have it.
    """
    with TemporaryDirectory() as directory:
        home = Path(directory, "home")
        (home / "cache").mkdir(parents=True)
        COMPILED.mkdir(parents=True, exist_ok=True)
        (home / "cache" / "compiled").symlink_to(COMPILED)
        with a_service(home, slots=SLOTS) as client:
            jobs = [client.jobs.create(**posted("ring", "fused")) for _ in range(JOBS)]
            wait_until(lambda: sum(steps_of(job) >= STEADY_STEPS for job in jobs) == SLOTS)
            return [rate_in(lambda: sum(map(steps_of, jobs)), window_s) for _ in range(windows)]


@contextmanager
def four_scripts(directory: Path) -> Iterator[list[Path]]:
    """Run the baseline four times at once, with what defaults the library has; yield the files that they print to."""
    printed = [directory / str(number) for number in range(JOBS)]
    scripts = []
    try:
        for file in printed:
            with file.open("wb") as output:
                scripts.append(subprocess.Popen([sys.executable, str(BASELINE), "ring"], stdout=output))
        yield printed
    finally:
        for script in scripts:
            script.kill()
            script.wait()


def lines_in(file: Path) -> int:
    """Count the steps that a script has told of."""
    return file.read_bytes().count(b"\n")


def steps_of(job: Job) -> int:
    """Return how far a job is, as soon as it is heard of anew where it runs."""
    if job.refresh().status == "running":
        job.refresh(wait_s=5.0)
    return job.step


def rate_in(count: Callable[[], int], window_s: float) -> float:
    """Return how much a count grows in a second; it is taken at both ends of a window."""
    first, began = count(), time.monotonic()
    time.sleep(window_s)
    last = count()
    return (last - first) / (time.monotonic() - began)


def to_first_step(effort: Effort) -> dict[str, Figure]:
    """D1."""
    repeats = max(3, effort.rounds // 3)
    with TemporaryDirectory() as directory, a_service(Path(directory, "home")) as client:
        settings = Settings(_env_file=None, home=Path(directory, "home"))
        ours = [until_first_step_s(client, settings) for _ in range(WARM_UPS + repeats)][WARM_UPS:]
        command = [sys.executable, str(BASELINE), "ring", "--steps", "1"]
        theirs = [
            took_s(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)) for _ in range(repeats)
        ]
    return {"": Figure.of([their_s / our_s for their_s, our_s in zip(theirs, ours, strict=True)])}


def until_first_step_s(client: Client, settings: Settings) -> float:
    """Return the seconds from a job's acceptance to the end of its first step.

    The end of the job and the time since its training began are written at once, so the beginning follows from them.
    """
    job = client.jobs.create(**posted("ring", "reuse", loop={"max_steps": 20})).wait()
    first_step_ms = float(job.losses("step_ms", to_step=1).to_numpy()["step_ms"][0])
    engine = make_engine(settings.database)
    with reading(engine) as session:
        stored = session.get_one(models.Job, job.id)
    engine.dispose()
    if stored.finished_at is None:
        raise ValueError("the job has not ended")
    waited_s = (stored.finished_at - stored.created_at).total_seconds() - stored.trained_s
    return float(waited_s + first_step_ms / 1e3)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; raises TimeoutError when it never does."""
    until = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError("what was waited for did not happen")
        time.sleep(0.1)
