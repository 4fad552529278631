"""Jobs that kill whoever trains them end after three attempts, in words, and the jobs among them notice nothing."""

import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psutil

from chaos.oracle import outcome_of
from chaos.processes import title_of
from chaos.scenarios.findings import Findings
from chaos.scenarios.site import a_ring, a_site, judge_jobs, submit, wait_for_end
from chaos.stack import Database, Stack
from service.models import Job, State

SIGNALS = (
    signal.SIGSEGV,
    signal.SIGABRT,
    signal.SIGBUS,
    signal.SIGKILL,
    signal.SIGUSR1,
    signal.SIGSEGV,
    signal.SIGKILL,
)
GLUTTONS = 3
GOOD = 10
ATTEMPTS = 3
_HUGE = {"generator": {"width": 2048, "depth": 4}, "discriminator": {"width": 2048, "depth": 4}}
_WORKER_MEMORY_BYTES = 256 * 2**20  # far less than the web admits
_END_WITHIN_S = 600.0
_LOOK_EVERY_S = 0.02


class Poison:
    """Whatever trains one of these jobs dies of it, within milliseconds of its birth."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._deadly: dict[str, signal.Signals] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def make_deadly(self, job_id: str, number: signal.Signals) -> None:
        """End every trainer of a job by a signal."""
        self._deadly = {**self._deadly, job_id: number}

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK_EVERY_S):
            for trainer in self._stack.trainers():
                self._strike(trainer)

    def _strike(self, trainer: psutil.Process) -> None:
        title = title_of(trainer)
        for job_id, number in self._deadly.items():
            if f" {job_id} #" in title:
                with suppress(psutil.NoSuchProcess):
                    trainer.send_signal(number)


def run(database: Database, home: Path) -> Findings:
    """Post ten good jobs and ten deadly ones in turn."""
    findings = Findings("poison", database)
    with a_site(findings, home) as stack, Poison(stack) as poison:
        _limit_memory(stack)
        unharmed = submit(stack, _good())
        wait_for_end(stack, [unharmed], within_s=60)
        good, deadly = [], {}
        for number in range(max(GOOD, len(SIGNALS) + GLUTTONS)):
            job_id, cause = _submit_deadly(stack, poison, number)
            deadly[job_id] = cause
            good.append(submit(stack, _good()))
        jobs = {job.id: job for job in wait_for_end(stack, [*good, *deadly], within_s=_END_WITHIN_S)}
        for job_id, cause in deadly.items():
            _judge_deadly(jobs[job_id], cause, findings)
        for job_id in good:
            job = jobs[job_id]
            findings.expect(
                (job.state, job.attempt) == (State.SUCCEEDED, 1), f"good {job.id} is {job.state}, {job.attempt}"
            )
        unhindered = sum((jobs[one].state, jobs[one].attempt) == (State.SUCCEEDED, 1) for one in good)
        findings.note(f"{unhindered} of {len(good)} good jobs succeeded at attempt 1")
        for job_id in deadly:
            stack.client.jobs.get(job_id).delete()
        expected = dict.fromkeys(good, outcome_of(stack.engine, unharmed))
        findings.violations.extend(judge_jobs(stack, [unharmed, *good], expected=expected, deleted=list(deadly)))
    return findings


def _good() -> dict[str, Any]:
    return a_ring(max_steps=2000)


def _limit_memory(stack: Stack) -> None:
    """Let trainers have less memory than the web believes."""
    for name in stack.worker_names:
        stack.terminate(name)
        stack.start_part(name, GANYMEDE_JOB_MEMORY_BYTES=str(_WORKER_MEMORY_BYTES))
    for name in stack.worker_names:
        stack.wait_for_worker(name)


def _submit_deadly(stack: Stack, poison: Poison, number: int) -> tuple[str, str]:
    """Post a job that dies: of a signal, or of its size."""
    if number >= len(SIGNALS):
        return submit(stack, a_ring(model=_HUGE)), "memory"
    job_id = submit(stack, a_ring())
    poison.make_deadly(job_id, SIGNALS[number])
    return job_id, SIGNALS[number].name


def _judge_deadly(job: Job, cause: str, findings: Findings) -> None:
    findings.note(f"{cause}: {job.state} after {job.attempt} attempts, {job.error_code}: {job.error_message}")
    findings.expect(
        (job.state, job.attempt, job.error_code) == (State.FAILED, ATTEMPTS, "attempts_exhausted"),
        f"{cause}: {job.id} is {job.state} at attempt {job.attempt}: {job.error_code}",
    )
    expected = "memory" if cause == "memory" else cause
    findings.expect(expected in (job.error_message or ""), f"{cause}: the reason is {job.error_message!r}")
