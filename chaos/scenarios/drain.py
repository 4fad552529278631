"""Workers that are asked to leave give their jobs back whole: one worker, then rolling restarts of two."""

import time
from pathlib import Path

from chaos.ledger import read_entries
from chaos.scenarios.findings import Findings
from chaos.scenarios.site import a_ring, a_site, events_of, job_of, judge_jobs, submit, wait_for_end, wait_for_step
from chaos.stack import Database, Stack
from service.models import State

ROUNDS = 10
GONE, AGAIN = "worker gone after SIGTERM, s", "steps taken again after a drain"
SLOTS = 2
_GONE_WITHIN_S = 30.0
_MOST_STEPS_LOST = 1
_MORE_STEPS = 2000
_END_WITHIN_S = 600.0


def run(database: Database, home: Path) -> Findings:
    """Restart both workers politely, one after the other, ten times, while all their slots are busy."""
    findings = Findings("drain", database)
    with a_site(findings, home, slots=SLOTS) as stack:
        jobs = [submit(stack, a_ring(seed=number)) for number in range(SLOTS * len(stack.worker_names))]
        for job_id in jobs:
            wait_for_step(stack, job_id, 100)
        for _ in range(ROUNDS):
            for name in stack.worker_names:
                _restart(stack, name, findings)
        for job_id in jobs:
            stack.client.jobs.get(job_id).change(max_steps=job_of(stack, job_id).step + _MORE_STEPS)
        for job in wait_for_end(stack, jobs, within_s=_END_WITHIN_S):
            findings.expect(job.state == State.SUCCEEDED, f"{job.id} is {job.state}: {job.error_message}")
            findings.expect(job.losses_in_all == 0, f"{job.id} was charged {job.losses_in_all} losses")
            _judge_steps(stack, job.id, findings)
        findings.violations.extend(judge_jobs(stack, jobs))
        drains = sum(len(events_of(stack, job_id, "resumed", "started")) for job_id in jobs) - len(jobs)
        findings.note(
            f"{2 * ROUNDS} polite restarts handed over {drains} jobs; the slowest worker was gone after"
            f" {findings.figures[GONE]:.2f} s, and at most {findings.figures[AGAIN]:g} steps were taken again"
        )
    return findings


def _restart(stack: Stack, name: str, findings: Findings) -> None:
    began = time.monotonic()
    code = stack.terminate(name)
    gone_s = time.monotonic() - began
    findings.expect(code == 0, f"{name} left with exit code {code}")
    findings.measure(GONE, gone_s, at_most=_GONE_WITHIN_S)
    stack.start_part(name)
    stack.wait_for_worker(name)


def _judge_steps(stack: Stack, job_id: str, findings: Findings) -> None:
    """Compare the last step that each attempt recorded with the one from which the next went on."""
    recorded = 0
    from_steps = {event.attempt: event.data["from_step"] for event in events_of(stack, job_id, "started", "resumed")}
    for entry in read_entries(stack.engine, [job_id])[job_id]:
        if entry.what == "jobs" and entry.after == "running" and entry.before == "queued":
            lost = recorded - from_steps[entry.attempt]
            findings.measure(AGAIN, max(0, lost), at_most=_MOST_STEPS_LOST)
        if entry.what == "segments":
            recorded = int(entry.after or 0)
