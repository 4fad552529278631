"""A thousand events, told to receivers that fail and hang while processes are killed: all arrive, and in order."""

import random
import threading
import time
from collections import defaultdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sqlalchemy import select

from chaos.processes import wait_until
from chaos.receiver import Received, Receiver, a_receiver
from chaos.scenarios.findings import Findings
from chaos.scenarios.site import a_ring, a_site, judge_jobs, submit, wait_for_end
from chaos.stack import REAL, WEB, Database, Stack
from service.db import reading
from service.models import Event
from service.signing import sign

EVENTS = 1_000
JOBS = 22
DEATHS = (WEB, "worker-0", WEB, "worker-1")
_FAILS, _HANGS = 0.05, 0.01  # of the messages that arrive
_HANGS_FOR_S = 8.0  # longer than an answer is waited for
_TRAINED_WITHIN_S, _TOLD_WITHIN_S = 600.0, 900.0


def run(database: Database, home: Path) -> Findings:
    """Train and kill, then compare what two receivers were told with what the database says has happened."""
    findings = Findings("webhooks", database)
    settings = {**REAL, "GANYMEDE_WEBHOOK_HOSTS": "127.0.0.1"}
    with a_receiver() as unsteady, a_receiver() as hanging, a_site(findings, home, settings=settings) as stack:
        awake = threading.Event()
        unsteady.answer = _Unsteady(random.Random(f"webhooks {database}"))
        hanging.answer = lambda _: 204 if awake.wait(_HANGS_FOR_S) else 500
        secrets = [stack.client.webhooks.create(each.url, ["*"]).secret for each in (unsteady, hanging)]
        saved = {"checkpoints": {"every_steps": 100}, "samples": {"every_steps": 100}}
        jobs = [submit(stack, a_ring(max_steps=2_000, **saved)) for _ in range(JOBS)]
        for number, name in enumerate(DEATHS, 1):
            enough = number * EVENTS // (len(DEATHS) + 1)
            wait_until(partial(_have_happened, stack, enough), f"{enough} events", within_s=_TRAINED_WITHIN_S)
            stack.kill(name)
            stack.restart_dead()
        ended = wait_for_end(stack, jobs, within_s=_TRAINED_WITHIN_S)
        findings.expect(all(job.is_terminal for job in ended), "jobs have not ended")
        ended_at, happened = time.monotonic(), _happened(stack)
        findings.expect(len(happened) >= EVENTS, f"only {len(happened)} events have happened")
        awake.set()
        for name, receiver, secret in zip(("unsteady", "hanging"), (unsteady, hanging), secrets, strict=True):
            wait_until(partial(_knows, receiver, happened), f"the {name} one was told all", within_s=_TOLD_WITHIN_S)
            _judge(name, receiver, secret, findings)
            findings.note(
                f"{name} receiver: {len(happened)} events in {len(receiver.requests)} messages, the last of them"
                f" {time.monotonic() - ended_at:.0f} s after the last job had ended"
            )
        findings.violations.extend(judge_jobs(stack, jobs))
    return findings


class _Unsteady:
    """Refuses some messages and leaves others without an answer."""

    def __init__(self, moments: random.Random) -> None:
        self._moments = moments

    def __call__(self, _: Received) -> int:
        fate = self._moments.random()
        if fate < _HANGS:
            time.sleep(_HANGS_FOR_S)  # nobody waits for the answer
        return 500 if fate < _HANGS + _FAILS else 204


def _happened(stack: Stack) -> set[tuple[str, int]]:
    """Return every event so far: its job and its number."""
    with reading(stack.engine) as session:
        return {(job_id, seq) for job_id, seq in session.execute(select(Event.job_id, Event.seq))}


def _have_happened(stack: Stack, count: int) -> bool:
    return len(_happened(stack)) >= count


def _knows(receiver: Receiver, happened: set[tuple[str, int]]) -> bool:
    return happened <= {request.told for request in receiver.accepted}


def _judge(name: str, receiver: Receiver, secret: str, findings: Findings) -> None:
    """Each message is authentic, and each event of a job was first accepted after those before it."""
    for request in [*receiver.requests]:
        at = datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), UTC)
        signature = sign(secret, request.id, at, request.body.decode())["webhook-signature"]
        findings.expect(request.headers["webhook-signature"] == signature, f"{name}: {request.id} is not authentic")
    newest = defaultdict[str, int](int)
    first_accepted = dict.fromkeys(request.told for request in receiver.accepted)
    for job_id, seq in first_accepted:  # all that has happened, so what comes too early makes another late
        findings.expect(seq > newest[job_id], f"{name}: {job_id} was told event {seq} after {newest[job_id]}")
        newest[job_id] = max(newest[job_id], seq)
