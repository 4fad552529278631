"""Every process has another wrong clock, by hours and days: nothing is lost, and the order of events holds."""

import time
from pathlib import Path

from chaos.scenarios.findings import Findings
from chaos.scenarios.site import a_ring, a_site, events_of, judge_jobs, submit, wait_for_end, wait_for_step
from chaos.stack import WEB, Database, Stack

HOUR_S, DAY_S = 3600, 86_400
OFFSETS = (
    {WEB: DAY_S, "worker-0": -DAY_S, "worker-1": HOUR_S},
    {WEB: -DAY_S, "worker-0": DAY_S, "worker-1": -HOUR_S},
)
_TRAINED_S = 45.0  # more than two leases
_JUMP_AFTER_S = 22.0
_END_WITHIN_S = 180.0


def run(database: Database, home: Path) -> Findings:
    """Let jobs train longer than their lease under wrong clocks; in the midst the web's clock jumps."""
    findings = Findings("clocks", database)
    with a_site(findings, home) as stack:
        everybody = []
        for offsets in OFFSETS:
            _restart(stack, offsets)
            jobs = [submit(stack, a_ring(loop={"max_seconds": _TRAINED_S}, seed=number)) for number in range(3)]
            for job_id in jobs:
                wait_for_step(stack, job_id, 10)
            time.sleep(_JUMP_AFTER_S)
            _jump(stack, -offsets[WEB])
            _judge(stack, jobs, findings)
            findings.note(f"offsets {offsets}, then the web's {-offsets[WEB]}: {len(jobs)} jobs have ended")
            everybody += jobs
        findings.violations.extend(judge_jobs(stack, everybody))
    return findings


def _restart(stack: Stack, offsets: dict[str, int]) -> None:
    for name, offset_s in offsets.items():
        stack.terminate(name)
        stack.start_part(name, GANYMEDE_CLOCK_OFFSET_S=str(offset_s))
    for name in stack.worker_names:
        stack.wait_for_worker(name)
    stack.wait_until_ready()


def _jump(stack: Stack, offset_s: int) -> None:
    """Let the web come back with another clock."""
    stack.terminate(WEB)
    stack.start_part(WEB, GANYMEDE_CLOCK_OFFSET_S=str(offset_s))
    stack.wait_until_ready()


def _judge(stack: Stack, jobs: list[str], findings: Findings) -> None:
    for job in wait_for_end(stack, jobs, within_s=_END_WITHIN_S):
        events = events_of(stack, job.id)
        findings.expect_success([job], attempt=1)
        lost = [event.message for event in events if event.type == "lost"]
        findings.expect(not lost, f"{job.id} lost its lease: {lost}")
        order = [event.type for event in events if event.type in {"queued", "started", "succeeded"}]
        findings.expect(order[-2:] == ["started", "succeeded"], f"{job.id}: events in the order {order}")
        findings.measure("clocks wrong by at most, s", DAY_S)
