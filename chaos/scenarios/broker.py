"""The broker is killed with all it knew and stays away for a minute: no job notices, and no client."""

import time
from pathlib import Path

from chaos.scenarios.clients import Clients
from chaos.scenarios.findings import Findings
from chaos.scenarios.site import a_ring, a_site, judge_jobs, submit, wait_for_end
from chaos.stack import BROKER, Database

JOBS = 20
TRAINED_S = 12.0  # by each, so that the outage finds some that run and some that wait
AWAY_S = 60.0
_POST_EVERY_S = 0.5
_END_WITHIN_S = 600.0


def run(database: Database, home: Path) -> Findings:
    """Take the broker away while jobs run and wait, and post more all the while."""
    findings = Findings("broker", database)
    with a_site(findings, home) as stack:
        waiting = [submit(stack, a_ring(loop={"max_seconds": TRAINED_S}, seed=number)) for number in range(JOBS)]
        with Clients(stack.url) as clients:
            clients.repeat("POST", "/jobs", every_s=_POST_EVERY_S, body=a_ring(max_steps=50))
            time.sleep(2)
            stack.kill(BROKER)  # it keeps nothing on the disk, so all that it knew is gone
            time.sleep(AWAY_S)
            ended_meanwhile = sum(job.is_terminal for job in wait_for_end(stack, waiting, within_s=0))
            stack.restart_dead()
            time.sleep(2)
        everybody = [*waiting, *clients.created()]
        jobs = wait_for_end(stack, everybody, within_s=_END_WITHIN_S)
        refused = [answer for answer in clients.answers if answer.status != 201]
        findings.expect(not refused, f"{len(refused)} of {len(clients.answers)} submissions were not answered 201")
        for answer in clients.answers:
            findings.measure("slowest 201 without a broker, s", answer.took_s)
        findings.expect_success(jobs, attempt=1)
        findings.note(
            f"{len(jobs)} jobs, {len(clients.answers)} of them posted around the outage of {AWAY_S:g} s, and"
            f" {ended_meanwhile} of the first {JOBS} ended in it; the slowest submission took"
            f" {findings.figures['slowest 201 without a broker, s']:.2f} s"
        )
        findings.violations.extend(judge_jobs(stack, everybody))
    return findings
