"""A worker, or only its trainer, stands still for three leases and goes on: it must see that its time is over."""

import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from chaos.ledger import read_entries
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

TRAINED_S = 75.0
FROZEN_TTLS = 3
_TAKEN_OVER_WITHIN_S = 60.0
_GONE_WITHIN_S = 10.0
_END_WITHIN_S = 180.0


@dataclass(frozen=True)
class Frozen:
    """An attempt that stands still."""

    job_id: str
    what: str
    worker: str
    trainer: psutil.Process


def run(database: Database, home: Path) -> Findings:
    """Freeze a whole worker, and of another one the trainer alone; two more workers take over."""
    findings = Findings("frozen_worker", database)
    with a_site(findings, home, workers=4, slots=1) as stack:
        spec = a_ring(loop={"max_seconds": TRAINED_S}, checkpoints={"every_steps": 100})
        jobs = [submit(stack, spec), submit(stack, spec)]
        for job_id in jobs:
            wait_for_step(stack, job_id, 300)
        frozen = [_freeze(stack, jobs[0], "worker"), _freeze(stack, jobs[1], "trainer")]
        frozen_at = time.monotonic()
        for one in frozen:
            _wait_for_takeover(stack, one, frozen_at, findings)
        time.sleep(max(0.0, FROZEN_TTLS * stack.ttl_s - (time.monotonic() - frozen_at)))
        _thaw(stack, frozen, findings)
        ended = wait_for_end(stack, jobs, within_s=_END_WITHIN_S)
        for one in frozen:
            _judge(stack, one, findings)
        findings.expect_success(ended, attempt=2)
        findings.violations.extend(judge_jobs(stack, jobs))
    return findings


def _freeze(stack: Stack, job_id: str, what: str) -> Frozen:
    trainer = trainer_of(stack, job_id)
    assert trainer is not None
    worker = worker_of(stack, job_id)
    if what == "worker":
        stack.freeze(worker)
    else:
        trainer.suspend()
    return Frozen(job_id, what, worker, trainer)


def _wait_for_takeover(stack: Stack, one: Frozen, frozen_at: float, findings: Findings) -> None:
    wait_until(
        lambda: job_of(stack, one.job_id).attempt == 2,
        f"the job of the frozen {one.what} is taken over",
        within_s=_TAKEN_OVER_WITHIN_S,
    )
    taken_s = time.monotonic() - frozen_at
    findings.note(f"{one.what} frozen: its job was taken over after {taken_s:.1f} s")
    findings.measure(f"{one.what} frozen: taken over, s", taken_s, at_most=_TAKEN_OVER_WITHIN_S)


def _thaw(stack: Stack, frozen: list[Frozen], findings: Findings) -> None:
    """Let them go on; the trainers must leave, and the worker lives on and works."""
    thawed_at = time.monotonic()
    for one in frozen:
        stack.thaw(one.worker)
    left_s = {one.what: _time_to_leave(one, thawed_at) for one in frozen}
    for what, seconds in left_s.items():
        findings.note(f"{what} frozen for {FROZEN_TTLS} leases: its trainer left {seconds:.2f} s after the thaw")
        findings.measure(f"{what} frozen: trainer gone after the thaw, s", seconds, at_most=_GONE_WITHIN_S)
    findings.expect(not stack.dead(), f"{stack.dead()} did not live on")


def _time_to_leave(one: Frozen, thawed_at: float) -> float:
    psutil.wait_procs([one.trainer], timeout=3 * _GONE_WITHIN_S)
    return time.monotonic() - thawed_at


def _judge(stack: Stack, one: Frozen, findings: Findings) -> None:
    """Nothing that the old attempt wrote follows the claim of the new one, neither a row nor an event nor a file."""
    late = [
        entry
        for entry in read_entries(stack.engine, [one.job_id])[one.job_id]
        if entry.attempt == 1 and entry.job_attempt > 1 and not entry.is_cut
    ]
    findings.expect(not late, f"the thawed {one.what} wrote {late}")
    resumed = events_of(stack, one.job_id, "resumed")[-1]
    findings.expect(resumed.attempt == 2, f"{one.job_id} was resumed by attempt {resumed.attempt}")
    taken_at = resumed.at.timestamp()
    old = [path for path in (stack.blob_root / one.job_id / "1").rglob("*") if path.is_file()]
    newer = [path.name for path in old if path.stat().st_mtime > taken_at]
    findings.expect(not newer, f"the thawed {one.what} left the files {newer}")
    findings.note(f"{one.what} frozen: {len(late)} rows and {len(newer)} files of the old attempt after the takeover")
