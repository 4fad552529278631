"""What is printed of a job that is watched, without a service."""

import io
from typing import Any, cast

from rich.console import Console

from ganymede.answers import JobAnswer
from ganymede.watching import lines

PLAN = {"step": "compiled", "threads": 1, "reason": "it pays"}


def a_job(status: str, step: int, **told: Any) -> JobAnswer:
    progress = {"step": step, "max_steps": 18_000, "steps_per_second": None, "eta_seconds": None}
    job = {"id": "job_1", "status": status, "version": 1, "queue_position": None, "progress": progress}
    return cast("JobAnswer", {"losses": None, "execution": None, **job, **told})


def lines_of(*told: JobAnswer) -> list[str]:
    file = io.StringIO()
    with lines(Console(file=file)) as show:
        for job in told:
            show(job)
    return file.getvalue().splitlines()


def test_a_job_that_compiles_says_so_once_and_nothing_is_printed_twice() -> None:
    compiling = a_job("running", 0, execution=PLAN)

    printed = lines_of(
        a_job("running", 0), compiling, compiling, a_job("succeeded", 18_000, losses={"d_loss": 1.25}, execution=PLAN)
    )

    assert printed == [
        "job_1 running step 0/18000",
        "job_1 running step 0/18000  compiling the steps, once, up to a minute of a core",
        "job_1 succeeded step 18000/18000  d_loss 1.2500",
    ]


def test_a_compiled_job_that_trains_does_not_compile() -> None:
    printed = lines_of(
        a_job("running", 7, losses={"d_loss": 1.5}, execution=PLAN), a_job("cancelled", 7, execution=PLAN)
    )

    assert printed[0] == "job_1 running step 7/18000  d_loss 1.5000"
