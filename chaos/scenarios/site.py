"""The place of a scenario: a stack with a ledger of every write, and what can be seen of its jobs from outside."""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from chaos.ledger import keep_ledger
from chaos.oracle import Outcome, Promise, judge, outcome_of
from chaos.processes import title_of, wait_until
from chaos.scenarios.findings import Findings
from chaos.stack import REAL, Stack
from service.db import reading
from service.models import Event, Job, State

SMALL = {"generator": {"width": 8, "depth": 1}, "discriminator": {"width": 8, "depth": 1}}
_SWEPT_WITHIN_S = 60.0


def a_ring(*, max_steps: int = 1_000_000, **changes: Any) -> dict[str, Any]:
    """Return the spec of a job whose steps are short and begin at once; `loop` and `resources` are merged."""
    loop = {"batch_size": 16, "max_steps": max_steps, **changes.pop("loop", {})}
    resources = {"step": "eager", **changes.pop("resources", {})}
    return {"dataset": "ring", "seed": 7, "model": SMALL, "loop": loop, "resources": resources, **changes}


@contextmanager
def a_site(
    findings: Findings, home: Path, *, workers: int = 2, slots: int = 2, settings: Mapping[str, str] = REAL
) -> Iterator[Stack]:
    """Yield a stack that is ready.

    What does not happen in time ends the scenario and is a violation, as is a process that outlives its polite end.
    """
    with Stack(home, database=findings.database, workers=workers, slots=slots, settings=settings) as stack:
        keep_ledger(stack.engine)
        try:
            yield stack
        except TimeoutError as error:
            findings.violations.append(str(error))
        findings.violations.extend(f"I9 {title} had to be killed at the end" for title in stack.close())


def submit(stack: Stack, spec: Mapping[str, Any]) -> str:
    """Post a job and return its id."""
    return stack.client.jobs.create(**spec).id


def job_of(stack: Stack, job_id: str) -> Job:
    """Return a job as the database has it."""
    with reading(stack.engine) as session:
        return session.get_one(Job, job_id)


def events_of(stack: Stack, job_id: str, *types: str) -> list[Event]:
    """Return the events of a job in order, or those of some types."""
    with reading(stack.engine) as session:
        events = session.query(Event).filter_by(job_id=job_id).order_by(Event.seq).all()
    return [event for event in events if not types or event.type in types]


def wait_for_step(stack: Stack, job_id: str, step: int, *, attempt: int = 1, within_s: float = 180.0) -> None:
    """Wait until an attempt, or a later one, has recorded a step."""

    def is_there() -> bool:
        job = job_of(stack, job_id)
        return job.attempt >= attempt and job.step >= step

    wait_until(is_there, f"{job_id} is at step {step}", within_s=within_s)


def wait_for_end(stack: Stack, job_ids: Sequence[str], *, within_s: float) -> list[Job]:
    """Wait until all jobs have ended and return them; who is stuck is returned as it is."""
    deadline_s = time.monotonic() + within_s
    while True:
        with reading(stack.engine) as session:
            jobs = [session.get_one(Job, job_id) for job_id in job_ids]
        if all(job.is_terminal for job in jobs) or time.monotonic() > deadline_s:
            return jobs
        time.sleep(0.2)


def trainer_of(stack: Stack, job_id: str) -> psutil.Process | None:
    """Return the process that trains a job now."""
    return next((one for one in stack.trainers() if f" {job_id} #" in title_of(one)), None)


def worker_of(stack: Stack, job_id: str) -> str:
    """Return the name of the worker that trains a job now."""
    worker = job_of(stack, job_id).worker or ""
    return next(name for name in stack.worker_names if f":{stack.parts[name].pid}:" in worker)


def judge_jobs(
    stack: Stack,
    job_ids: Sequence[str],
    *,
    expected: Mapping[str, Outcome] | None = None,
    deleted: Collection[str] = (),
    cancelled: Collection[str] = (),
) -> list[str]:
    """Let the oracle judge all jobs of a stack, once what crashes left behind has been swept.

    `expected` are outcomes by job; the others need only agree with themselves. `cancelled` are those of `job_ids` that
    have to end so.
    """
    promises = [Promise(one, one, "", cancel_accepted=one in cancelled) for one in job_ids]
    promises += [Promise(one, one, "", deletion_accepted=True) for one in deleted]
    outcomes = {one: _outcome_now(stack, one) for one in job_ids} | dict(expected or {})
    outcomes |= dict.fromkeys(deleted, Outcome(0, "", ""))
    deadline_s = time.monotonic() + _SWEPT_WITHIN_S
    while (found := judge(stack.engine, stack.blobs, promises, outcomes)) and time.monotonic() < deadline_s:
        time.sleep(2)
    return found


def _outcome_now(stack: Stack, job_id: str) -> Outcome:
    succeeded = job_of(stack, job_id).state == State.SUCCEEDED
    return outcome_of(stack.engine, job_id) if succeeded else Outcome(0, "", "")
