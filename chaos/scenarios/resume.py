"""Jobs that are killed three times at random moments end with the very bits of the unbroken run."""

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from chaos.oracle import outcome_of
from chaos.scenarios.findings import Findings
from chaos.scenarios.site import a_ring, a_site, job_of, judge_jobs, submit, trainer_of, wait_for_end, worker_of
from chaos.stack import Database, Stack
from service.models import State

Victim = Literal["trainer", "worker"]

SPECS: dict[str, dict[str, Any]] = {
    "digits/dcgan": {
        "dataset": "digits",
        "seed": 11,
        "model": {"architecture": "dcgan", "generator": {"width": 8}, "discriminator": {"width": 8}},
        "loop": {"batch_size": 16, "max_steps": 700},
        "checkpoints": {"every_steps": 20},
    },
    "ring/mlp, two threads": a_ring(
        max_steps=12_000, checkpoints={"every_steps": 200}, resources={"threads": 2}, samples={"every_steps": 2000}
    ),
}
DEATHS: tuple[Victim, ...] = ("trainer", "trainer", "worker")
_UNBROKEN_WITHIN_S = 180.0
_BROKEN_WITHIN_S = 300.0


@dataclass
class Broken:
    """A job that is still to be killed at some steps, and what shall die there."""

    job_id: str
    deaths: list[tuple[int, Victim]]
    died: int = field(default=0)


def run(database: Database, home: Path) -> Findings:
    """Run each spec unbroken, then with deaths, and compare."""
    findings = Findings("resume", database)
    moments = random.Random(f"resume {database}")
    with a_site(findings, home, slots=1) as stack:
        unbroken = {name: submit(stack, spec) for name, spec in SPECS.items()}
        wait_for_end(stack, list(unbroken.values()), within_s=_UNBROKEN_WITHIN_S)
        broken = {name: _submit_to_break(stack, spec, moments) for name, spec in SPECS.items()}
        _break(stack, list(broken.values()), moments)
        for name in SPECS:
            _compare(stack, findings, name, unbroken[name], broken[name])
        findings.violations.extend(_judge(stack, unbroken, broken))
    return findings


def _submit_to_break(stack: Stack, spec: dict[str, Any], moments: random.Random) -> Broken:
    last_step = spec["loop"]["max_steps"]
    steps = sorted(moments.randrange(last_step // 20, last_step * 9 // 10) for _ in DEATHS)
    return Broken(submit(stack, spec), list(zip(steps, moments.sample(DEATHS, len(DEATHS)), strict=True)))


def _break(stack: Stack, jobs: list[Broken], moments: random.Random) -> None:
    """Kill whoever has come to its step, until all jobs have ended."""
    deadline_s = time.monotonic() + _BROKEN_WITHIN_S
    while any(not job_of(stack, one.job_id).is_terminal for one in jobs) and time.monotonic() < deadline_s:
        for one in jobs:
            job = job_of(stack, one.job_id)
            is_due = one.deaths and job.state == State.RUNNING and job.step >= one.deaths[0][0]
            if is_due and job.attempt == one.died + 1 and _strike(stack, one, one.deaths[0][1]):
                one.deaths.pop(0)
                one.died += 1
        stack.restart_dead()
        time.sleep(moments.uniform(0, 0.5))  # so that a death is not bound to the moment of a flush


def _strike(stack: Stack, one: Broken, victim: Victim) -> bool:
    trainer = trainer_of(stack, one.job_id)
    if trainer is None:
        return False
    if victim == "trainer":
        trainer.kill()
    else:
        stack.kill(worker_of(stack, one.job_id))
    return True


def _compare(stack: Stack, findings: Findings, name: str, unbroken: str, broken: Broken) -> None:
    job = job_of(stack, broken.job_id)
    findings.expect(broken.died == len(DEATHS), f"{name}: killed {broken.died} times, not {len(DEATHS)}")
    findings.expect(job.attempt == broken.died + 1, f"{name}: killed {broken.died} times, attempt {job.attempt}")
    if job.state != State.SUCCEEDED or job_of(stack, unbroken).state != State.SUCCEEDED:
        findings.violations.append(f"{name}: {job.state} at step {job.step}: {job.error_message}")
        return
    whole, pieces = outcome_of(stack.engine, unbroken), outcome_of(stack.engine, broken.job_id)
    findings.expect(whole == pieces, f"{name}: {pieces} differs from {whole}, the unbroken run")
    findings.note(
        f"{name}: {whole.steps} steps, killed {broken.died} times: history {pieces.history_sha256[:16]} and"
        f" generator {pieces.generator_sha256[:16]} {'equal' if whole == pieces else 'DIFFER FROM'} the unbroken run's"
    )
    findings.measure(f"{name}: deaths survived", broken.died)


def _judge(stack: Stack, unbroken: Mapping[str, str], broken: Mapping[str, Broken]) -> list[str]:
    return judge_jobs(stack, [*unbroken.values(), *(one.job_id for one in broken.values())])
