"""PostgreSQL is stopped for a minute, then frozen, then cut off, under load: that costs time and no work."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chaos.processes import wait_until
from chaos.scenarios.clients import Answer, Clients
from chaos.scenarios.findings import Findings
from chaos.scenarios.site import a_ring, a_site, events_of, job_of, judge_jobs, submit, wait_for_end, wait_for_step
from chaos.stack import Database, Stack

TRAINED_S = 150.0  # by each of two trainings: longer than all the outages
CALM_S = 8.0
ANSWERS_WITHIN_S = 3.0
BACK_WITHIN_S = 10.0
_NOTICED_WITHIN_S = 3.0  # requests that were on their way when the database fell silent may be refused so late
_END_WITHIN_S = 600.0
_POLLERS = ("/jobs", "/queue", "/workers", "/readyz")


@dataclass(frozen=True)
class Outage:
    """A way for the database to be away, and the way back."""

    name: str
    seconds: float
    begin: Callable[[Stack], object]
    end: Callable[[Stack], object]


@dataclass(frozen=True)
class Span:
    """When an outage began, was complete, and was over."""

    began_at: float
    away_at: float
    back_at: float


OUTAGES = (
    Outage("stopped", 60, lambda stack: stack.running_postgres.stop(), lambda stack: stack.running_postgres.start()),
    Outage("frozen", 20, lambda stack: stack.running_postgres.freeze(), lambda stack: stack.running_postgres.thaw()),
    Outage("cut off", 20, lambda stack: stack.database_proxy.black_hole(), lambda stack: stack.database_proxy.heal()),
)


def run(database: Database, home: Path) -> Findings:
    """Take the database away in three ways while clients ask and jobs train."""
    findings = Findings("database", database)
    if database == "sqlite":
        findings.note("SQLite is a file and has no server that could be away")
        return findings
    with a_site(findings, home) as stack:
        long = a_ring(loop={"max_seconds": TRAINED_S}, checkpoints={"every_steps": 5000})
        trainings = [submit(stack, long), submit(stack, long)]
        for job_id in trainings:
            wait_for_step(stack, job_id, 100)
        with _a_crowd(stack) as clients:
            for outage in OUTAGES:
                time.sleep(CALM_S)
                _strike(stack, outage, clients, trainings, findings)
        everybody = [*trainings, *clients.created()]
        _judge_end(stack, everybody, findings)
    return findings


@contextmanager
def _a_crowd(stack: Stack) -> Iterator[Clients]:
    with Clients(stack.url) as clients:
        for path in _POLLERS:
            clients.repeat("GET", path, every_s=0.2)
        clients.repeat("POST", "/jobs", every_s=0.5, body=a_ring(max_steps=50))
        yield clients


def _strike(stack: Stack, outage: Outage, clients: Clients, trainings: list[str], findings: Findings) -> None:
    span = _take_away(stack, outage)
    before = [job_of(stack, job_id).step for job_id in trainings]
    created = len(clients.created())
    wait_until(lambda: len(clients.created()) > created, "a job is taken again", within_s=60)
    taken_s = time.monotonic() - span.back_at
    for job_id, step in zip(trainings, before, strict=True):
        wait_for_step(stack, job_id, step + 1)
    steps_s = time.monotonic() - span.back_at
    _judge_answers(clients.answers, outage, span, findings)
    findings.measure(f"{outage.name}: first 201 after it is back, s", taken_s, at_most=BACK_WITHIN_S)
    findings.measure(f"{outage.name}: steps recorded after it is back, s", steps_s, at_most=BACK_WITHIN_S)
    findings.note(
        f"{outage.name} for {outage.seconds:g} s: a job taken {taken_s:.1f} s and steps recorded {steps_s:.1f} s after"
    )


def _take_away(stack: Stack, outage: Outage) -> Span:
    began_at = time.monotonic()
    outage.begin(stack)
    away_at = time.monotonic()
    time.sleep(outage.seconds)
    outage.end(stack)
    return Span(began_at, away_at, time.monotonic())


def _judge_answers(all_answers: list[Answer], outage: Outage, span: Span, findings: Findings) -> None:
    """While it is away every answer is a 503 that says when to come again, and none is late."""
    answers = [one for one in all_answers if one.came_at >= span.began_at and one.asked_at < span.back_at]
    refused = [one for one in answers if one.status == 503]
    surely_away = [
        one for one in answers if span.away_at + _NOTICED_WITHIN_S < one.asked_at < one.came_at < span.back_at
    ]
    others = [one for one in surely_away if one.status != 503]
    findings.expect(refused, f"{outage.name}: no answer was 503")
    findings.expect(not others, f"{outage.name}: {len(others)} answers were {sorted({one.status for one in others})}")
    silent = [one for one in refused if one.retry_after is None]
    findings.expect(not silent, f"{outage.name}: {len(silent)} answers did not say when to come again")
    for one in answers:
        findings.measure(f"{outage.name}: slowest answer, s", one.took_s, at_most=ANSWERS_WITHIN_S)
    slowest_s = max((one.took_s for one in answers), default=0.0)
    findings.note(f"{outage.name}: {len(refused)} of {len(answers)} answers were 503, the slowest {slowest_s:.2f} s")


def _judge_end(stack: Stack, everybody: list[str], findings: Findings) -> None:
    """Nothing was executed twice, and no step is missing."""
    jobs = wait_for_end(stack, everybody, within_s=_END_WITHIN_S)
    findings.expect_success(jobs, attempt=1)
    lost = [event.job_id for job in jobs for event in events_of(stack, job.id, "lost")]
    findings.expect(not lost, f"{len(lost)} attempts were declared lost")
    findings.note(f"{len(jobs)} jobs, each in one attempt; {sum(job.step for job in jobs)} steps")
    findings.violations.extend(judge_jobs(stack, everybody))
