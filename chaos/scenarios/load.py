"""Two hundred clients poll and twenty post beside two trainings: every answer comes soon."""

import os
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from chaos.processes import family
from chaos.scenarios.crowd import Crowd, Record, Timed, let_ask
from chaos.scenarios.findings import Findings
from chaos.scenarios.site import a_ring, a_site, job_of, judge_jobs, submit, wait_for_end, wait_for_step
from chaos.stack import WEB, Database, Stack
from service.models import State

PROMISED = Crowd(pollers=200, submitters=20, seconds=600.0)  # on two cores
P99_S = {"GET": 0.25, "POST": 0.5}
TRAININGS = 2
_GOOD = frozenset({200, 201, 202, 304})
_END_WITHIN_S = 60.0


def run(database: Database, home: Path, crowd: Crowd = PROMISED) -> Findings:
    """Let the crowd ask while both slots of the one worker train, then end all jobs."""
    findings = Findings("load", database)
    with a_site(findings, home, workers=1, slots=TRAININGS) as stack:
        _pass_the_proxies_by(stack)
        trainings = [submit(stack, a_ring(seed=number)) for number in range(TRAININGS)]
        for job_id in trainings:
            wait_for_step(stack, job_id, 100)
        record = _ask(stack, crowd, trainings, findings)
        judge_answers(record.answers, findings)
        for job_id in trainings:
            job = job_of(stack, job_id)
            findings.expect((job.state, job.attempt) == (State.RUNNING, 1), f"{job_id} is {job.state}, {job.attempt}")
            stack.client.jobs.get(job_id).cancel()
        everybody = [*trainings, *record.created]
        wait_for_end(stack, everybody, within_s=_END_WITHIN_S)
        findings.violations.extend(judge_jobs(stack, everybody, cancelled=frozenset(everybody)))
    return findings


def _pass_the_proxies_by(stack: Stack) -> None:
    """Start the web and the worker again as a user does: a proxy would take its part of what is timed."""
    for name in (WEB, *stack.worker_names):
        stack.terminate(name)
        stack.start_part(name, GANYMEDE_DATABASE_URL=stack.database_url, GANYMEDE_REDIS_URL=stack.broker_url)
    stack.wait_until_ready()
    for name in stack.worker_names:
        stack.wait_for_worker(name)


def _ask(stack: Stack, crowd: Crowd, trainings: Sequence[str], findings: Findings) -> Record:
    began_at, began_with = time.monotonic(), _used(stack, trainings)
    record = let_ask(crowd, stack.url, trainings, a_ring(max_steps=50))
    lasted_s = time.monotonic() - began_at  # longer than the crowd asks, as its process has to start
    steps, web_s = (after - before for after, before in zip(_used(stack, trainings), began_with, strict=True))
    late_ms = 1000 * percentile([answer.late_s for answer in record.answers], 99)
    findings.note(
        f"{crowd.pollers} pollers and {crowd.submitters} submitters for {crowd.seconds:g} s on {os.cpu_count()} cores:"
        f" the trainings took {steps / lasted_s:.0f} steps a second, the web {web_s / crowd.seconds:.0%} of a core,"
        f" the clients {record.cpu_s / crowd.seconds:.0%}; 99 in 100 requests were sent at most {late_ms:.0f} ms late"
    )
    return record


def _used(stack: Stack, trainings: Sequence[str]) -> tuple[float, float]:
    """Return all steps so far, and the seconds of a core that the web has used."""
    times = [process.cpu_times() for process in family(stack.parts[WEB].pid)]
    return sum(job_of(stack, job_id).step for job_id in trainings), sum(one.user + one.system for one in times)


def judge_answers(answers: Sequence[Timed], findings: Findings) -> None:
    """Every request was answered well, and of each method 99 in 100 in time."""
    statuses = Counter(answer.status for answer in answers)
    bad = {status: count for status, count in statuses.items() if status not in _GOOD}
    findings.note(f"answers by status, 0 being none at all: {dict(sorted(statuses.items()))}")
    findings.expect(not bad, f"{sum(bad.values())} of {len(answers)} requests were refused, by status: {bad}")
    took_s: dict[str, list[float]] = defaultdict(list)
    for answer in answers:
        took_s[answer.route].append(answer.took_s)
        took_s[answer.method].append(answer.took_s)
    for method, at_most_s in P99_S.items():
        findings.expect(took_s[method], f"no {method} was sent")
        findings.measure(f"{method} p99, s", percentile(took_s[method], 99), at_most=at_most_s)
    for name, times_s in sorted(took_s.items()):
        p50, p99 = (1000 * percentile(times_s, percent) for percent in (50, 99))
        findings.note(f"{name}: {len(times_s)}, p50 {p50:.0f} ms, p99 {p99:.0f} ms, longest {max(times_s):.2f} s")


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the least value that so many of a hundred do not exceed; 0 of none."""
    return sorted(values)[-(-len(values) * percent // 100) - 1] if values else 0.0
