"""The broker is black-holed: no connection ends and nothing arrives, and jobs start: workers look for themselves."""

import time
from pathlib import Path

from chaos.processes import wait_until
from chaos.scenarios.findings import Findings
from chaos.scenarios.site import a_ring, a_site, job_of, judge_jobs, submit, wait_for_end
from chaos.stack import Database, Stack

_STARTS_WITHIN_S = 90.0
_WOKEN_WITHIN_S = 60.0  # after the hole: the consumer's connection may have to run into its time-out first
_IDLE_S = 6.0  # until no worker looks any more for what follows the job before
JOBS = 3


def run(database: Database, home: Path) -> Findings:
    """Post jobs one after the other into a hole, then one more when it is gone."""
    findings = Findings("black_hole", database)
    with a_site(findings, home) as stack:
        stack.broker_proxy.black_hole()
        jobs = [_start_one(stack, findings, "in the hole", within_s=_STARTS_WITHIN_S) for _ in range(JOBS)]
        stack.broker_proxy.heal()
        jobs.append(_start_one(stack, findings, "after it", within_s=_WOKEN_WITHIN_S))
        findings.violations.extend(judge_jobs(stack, jobs))
    return findings


def _start_one(stack: Stack, findings: Findings, when: str, *, within_s: float) -> str:
    time.sleep(_IDLE_S)
    job_id = submit(stack, a_ring(max_steps=100))
    posted_at = time.monotonic()
    wait_until(lambda: job_of(stack, job_id).attempt > 0, "the job starts", within_s=within_s)
    findings.measure(f"posted {when} and started, s", time.monotonic() - posted_at, at_most=within_s)
    findings.note(f"posted {when}: started after {time.monotonic() - posted_at:.2f} s")
    job = wait_for_end(stack, [job_id], within_s=60)[0]
    findings.expect((job.status, job.attempt) == ("succeeded", 1), f"{job_id} is {job.status} at {job.attempt}")
    return job_id
