"""How soon the death of a trainer or of a whole worker is noticed, and its job trains again, with the real times."""

import random
import time
from pathlib import Path

from chaos.processes import wait_until
from chaos.scenarios.findings import Findings
from chaos.scenarios.site import (
    a_ring,
    a_site,
    events_of,
    job_of,
    judge_jobs,
    submit,
    trainer_of,
    wait_for_end,
    wait_for_step,
    worker_of,
)
from chaos.stack import Database, Stack

TRAINER_DEATHS, WORKER_DEATHS = 4, 3
_NOTICED_AT_ONCE_S = 2.0
_NOTICED_BY_SILENCE_S = 24.0  # the time to live and two scans
_TRAINS_AGAIN_S = 60.0


def run(database: Database, home: Path) -> Findings:
    """Kill trainers and workers one after the other; measure each."""
    findings = Findings("death", database)
    moments = random.Random(f"death {database}")
    with a_site(findings, home, slots=1) as stack:
        job_id = submit(stack, a_ring(checkpoints={"every_steps": 500}))
        for _ in range(TRAINER_DEATHS):
            _wait_at_random(stack, job_id, moments)
            _die(stack, job_id, "trainer", findings, noticed_within_s=_NOTICED_AT_ONCE_S)
        for _ in range(WORKER_DEATHS):
            _wait_at_random(stack, job_id, moments)
            _die(stack, job_id, "worker", findings, noticed_within_s=_NOTICED_BY_SILENCE_S)
            stack.restart_dead()
        stack.client.jobs.get(job_id).change(max_steps=job_of(stack, job_id).step + 2000)
        job = wait_for_end(stack, [job_id], within_s=60)[0]
        losses = TRAINER_DEATHS + WORKER_DEATHS
        findings.expect(job.attempt == losses + 1, f"{losses} losses and attempt {job.attempt}")
        findings.expect(job.losses_in_all == losses, f"{losses} deaths and {job.losses_in_all} losses")
        findings.violations.extend(judge_jobs(stack, [job_id]))
    return findings


def _wait_at_random(stack: Stack, job_id: str, moments: random.Random) -> None:
    """Let the attempt save something, so that the loss is the first in a row, then wait a random while."""
    job = job_of(stack, job_id)
    wait_for_step(stack, job_id, job.step + 1000, attempt=job.attempt)
    time.sleep(moments.uniform(0, 2))


def _die(stack: Stack, job_id: str, who: str, findings: Findings, *, noticed_within_s: float) -> None:
    attempt, losses = job_of(stack, job_id).attempt, len(events_of(stack, job_id, "lost"))
    if who == "worker":
        stack.kill(worker_of(stack, job_id))
    elif (trainer := trainer_of(stack, job_id)) is not None:
        trainer.kill()
    died_at = time.monotonic()
    wait_until(lambda: len(events_of(stack, job_id, "lost")) > losses, "the loss is noticed", within_s=60)
    noticed_s = time.monotonic() - died_at
    wait_until(lambda: _steps_in(stack, job_id, attempt + 1), "the job trains again", within_s=120)
    again_s = time.monotonic() - died_at
    findings.measure(f"{who} death noticed, s", noticed_s, at_most=noticed_within_s)
    findings.measure(f"training again after {who} death, s", again_s, at_most=_TRAINS_AGAIN_S)
    findings.note(f"{who} killed: noticed after {noticed_s:.2f} s, training again after {again_s:.2f} s")


def _steps_in(stack: Stack, job_id: str, attempt: int) -> bool:
    """Tell whether an attempt has recorded a step of its own."""
    job = job_of(stack, job_id)
    if job.attempt < attempt:
        return False
    begun = events_of(stack, job_id, "started", "resumed")[-1]
    return job.step > int(begun.data["from_step"])
