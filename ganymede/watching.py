"""Shows a job while it runs: a progress bar on a terminal, now and then a plain line anywhere else."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from ganymede.answers import JobAnswer
from ganymede.client import GanymedeProblem, Job
from ganymede.transport import LONG_POLL_S, TOO_MANY_WATCHERS

LINE_EVERY_S = 5.0

Show = Callable[[JobAnswer], None]


def watch(job: Job, console: Console) -> None:
    """Show the job until it has ended."""
    with _bar(console) if console.is_terminal else lines(console) as show:
        for told in news(job):
            show(told)


def news(job: Job) -> Iterator[JobAnswer]:
    """Yield the job with each of its messages, or with each change where too many watch, until it has ended."""
    yield job.data
    try:
        for _ in job.watch():
            yield job.data
    except GanymedeProblem as problem:
        if problem.code != TOO_MANY_WATCHERS:
            raise
        while not job.has_ended:
            yield job.refresh(LONG_POLL_S).data


def outcome(job: JobAnswer) -> str:
    """Say in one sentence how a job stands or ended."""
    progress, error = job["progress"], job["error"]
    sentence = f"{job['id']} {job['status']} at step {progress['step']:,} of {progress['max_steps']:,}"
    if error:
        return f"{sentence}: {error['message']}"
    return f"{sentence} ({job['reason']})" if job["reason"] else sentence


@contextmanager
def _bar(console: Console) -> Iterator[Show]:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[facts]}"))
    with Progress(*columns, console=console) as display:
        task = display.add_task("queued", total=None, facts="")

        def show(job: JobAnswer) -> None:
            progress = job["progress"]
            display.update(
                task,
                description=_standing(job),
                completed=progress["step"],
                total=progress["max_steps"],
                facts=_facts(job),
            )

        yield show


@contextmanager
def lines(console: Console) -> Iterator[Show]:
    """Yield what prints a job that has come to another stage, or of which nothing was printed for a while."""
    shown_stage, shown_line, shown_s = ("", False), "", 0.0

    def show(job: JobAnswer) -> None:
        nonlocal shown_stage, shown_line, shown_s
        stage = (job["status"], _is_compiling(job))
        line = f"{job['id']} {_standing(job)} {_facts(job)}".rstrip()
        if line == shown_line or (stage == shown_stage and time.monotonic() - shown_s < LINE_EVERY_S):
            return
        shown_stage, shown_line, shown_s = stage, line, time.monotonic()
        console.print(line, soft_wrap=True, highlight=False)

    yield show


def _standing(job: JobAnswer) -> str:
    position = job["queue_position"]
    return f"queued at place {position}" if job["status"] == "queued" and position else job["status"]


def _is_compiling(job: JobAnswer) -> bool:
    """Tell whether a job waits for its compiler: the plan is told before the first step."""
    is_compiled = job["execution"] is not None and job["execution"]["step"] == "compiled"
    return is_compiled and job["status"] == "running" and job["losses"] is None


def _facts(job: JobAnswer) -> str:
    progress, losses = job["progress"], job["losses"] or {}
    facts = [f"step {progress['step']}/{progress['max_steps']}"]
    if _is_compiling(job):
        return f"{facts[0]}  compiling the steps, once, up to a minute of a core"
    facts += [f"{name} {value:.4f}" for name in ("d_loss", "g_loss") if (value := losses.get(name)) is not None]
    if job["status"] == "running" and progress["steps_per_second"]:
        facts.append(f"{progress['steps_per_second']:.0f} steps/s")
        facts.append(f"{progress['eta_seconds'] or 0:.0f} s left")
    return "  ".join(facts)
