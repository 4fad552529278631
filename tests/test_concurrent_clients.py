"""Clients that ask all at once, while trainers are killed: what they are told holds, and holds together."""

import random
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import psutil

from ganymede.client import Client
from tests.diary import ENDED, Diary, Entry
from tests.house import ENDLESS, SMALL_JOB, wait_until
from tests.serving import Service, running_service

CLIENTS, REQUESTS, KEYS = 6, 20, 6
KILL_EVERY_S = 1.0
# No job fails by its losses: trainers are killed for as long as anybody asks.
PATIENT = {
    "GANYMEDE_LOSSES_IN_ROW": "1000",
    "GANYMEDE_LOSSES_IN_ALL": "1000",
    "GANYMEDE_BACK_OFF_S": "0.1",
    "GANYMEDE_CHECKPOINT_S": "0.5",
}
ASKS = ("submit", "submit", "show", "cancel", "pause", "pause", "resume", "resume", "extend", "delete")
ENDS_WITHIN_S = 180.0
CANCEL_WITHIN_S = 30.0  # on a machine that is busy with everything else; what is usual is measured elsewhere


class Owner:
    """One client that asks at random for jobs that it shares with all others."""

    def __init__(self, http: httpx2.Client, diary: Diary, seed: str) -> None:
        self._http = http
        self._diary = diary
        self._random = random.Random(seed)

    def ask_at_random(self) -> None:
        for _ in range(REQUESTS):
            known = sorted(self._diary.created)
            ask = self._random.choice(ASKS) if known else "submit"
            self.ask(ask, None if ask == "submit" else self._random.choice(known))
            time.sleep(self._random.uniform(0.0, 0.2))

    def ask(self, ask: str, job_id: str | None) -> Entry:
        key = f"key {self._random.randrange(KEYS)}" if ask == "submit" else None
        began_s = time.monotonic()
        answer = self._send(ask, job_id, key)
        body = answer.json() if answer.content else {}
        entry = Entry(ask, job_id or body.get("id"), key, answer.status_code, body, began_s, time.monotonic())
        self._diary.add(entry)
        return entry

    def _send(self, ask: str, job_id: str | None, key: str | None) -> httpx2.Response:
        match ask:
            case "submit":
                return self._http.post("/jobs", json=SMALL_JOB, headers={"Idempotency-Key": str(key)})
            case "show":
                return self._http.get(f"/jobs/{job_id}")
            case "extend":
                return self._http.patch(f"/jobs/{job_id}", json={"max_steps": self._random.randrange(50, 600)})
            case "delete":
                return self._http.delete(f"/jobs/{job_id}")
            case _:
                return self._http.post(f"/jobs/{job_id}/{ask}")


@contextmanager
def dying_trainers(service: Service) -> Iterator[None]:
    """Kill the trainer that runs, every now and then."""
    enough = threading.Event()

    def kill() -> None:
        while not enough.wait(KILL_EVERY_S):
            for trainer in service.find("ganymede: trainer")[:1]:
                with suppress(psutil.NoSuchProcess):
                    trainer.kill()

    with ThreadPoolExecutor(1) as pool:
        killer = pool.submit(kill)
        try:
            yield
        finally:
            enough.set()
        killer.result()


def test_what_clients_are_told_at_the_same_time_holds_together(database_url: str, tmp_path: Path) -> None:
    seed = secrets.token_hex(4)
    print(f"seed {seed}")  # noqa: T201 (shown where the test fails)
    diary = Diary()

    with (
        running_service(tmp_path / "home", GANYMEDE_DATABASE_URL=database_url, **PATIENT) as service,
        httpx2.Client(base_url=service.url, timeout=60.0) as http,
        Client(service.url) as client,
    ):
        owners = [Owner(http, diary, f"{seed} {number}") for number in range(CLIENTS)]
        with dying_trainers(service), ThreadPoolExecutor(CLIENTS) as pool:
            for done in [pool.submit(owner.ask_at_random) for owner in owners]:
                done.result()
        jobs = {job_id: end(client, owners[0], job_id) for job_id in diary.created - diary.deleted}
        histories = {job_id: steps_of(client, job_id) for job_id in jobs}
        listed = {job.id for job in client.jobs.list()}

    assert list(diary.faults()) == []
    assert listed == jobs.keys()
    assert {job_id: job["status"] for job_id, job in jobs.items() if job_id in diary.cancelled} == dict.fromkeys(
        jobs.keys() & diary.cancelled, "cancelled"
    )
    assert {job["status"] for job_id, job in jobs.items() if job_id not in diary.cancelled} <= {"succeeded"}
    assert histories == {job_id: list(range(1, job["progress"]["step"] + 1)) for job_id, job in jobs.items()}


def end(client: Client, owner: Owner, job_id: str) -> dict[str, Any]:
    """See a job through to its end, resuming it where somebody has paused it; everything said goes to the diary."""
    deadline_s = time.monotonic() + ENDS_WITHIN_S
    while (entry := owner.ask("show", job_id)).body["status"] not in ENDED:
        assert time.monotonic() < deadline_s, f"{job_id} is stuck: {entry.body}"
        if entry.body["status"] in {"paused", "pausing"}:
            owner.ask("resume", job_id)
        client.jobs.get(job_id).refresh(wait_s=1.0)
    return entry.body


def steps_of(client: Client, job_id: str) -> list[int]:
    """Return every step of a job's history."""
    return [int(step) for step in client.jobs.get(job_id).losses("d_loss").to_numpy()["step"]]


def test_a_cancel_takes_effect_at_once_in_the_queue_and_soon_on_a_worker(service: Service) -> None:
    queued_s, running_s = [], []
    with Client(service.url) as client:
        for _ in range(5):
            running = client.jobs.create(**{**SMALL_JOB, **ENDLESS, "loop": {**SMALL_JOB["loop"], **ENDLESS["loop"]}})
            wait_until(lambda job=running: job.refresh().step, "it trains")
            queued = client.jobs.create(**SMALL_JOB)

            began_s = time.monotonic()
            assert queued.cancel().status == "cancelled"
            queued_s.append(time.monotonic() - began_s)

            began_s = time.monotonic()
            assert running.cancel().wait(CANCEL_WITHIN_S).status == "cancelled"
            running_s.append(time.monotonic() - began_s)

    print(f"cancelled in the queue {max(queued_s):.3f} s, on a worker {max(running_s):.3f} s at most")  # noqa: T201
