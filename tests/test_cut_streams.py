"""A stream that is cut again and again, while its job is killed and its web processes are restarted."""

import random
import socket
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from ganymede.client import Client, Job, ServiceUnreachable
from tests.house import SMALL_JOB, wait_until
from tests.serving import Service, running_service
from tests.watching import Message, read_events, read_lines, told_history

CUTS = 100
QUICK = {"GANYMEDE_FLUSH_S": "0.05", "GANYMEDE_BACK_OFF_S": "0.1", "GANYMEDE_WEB_THREADS": "4"}
LONG: dict[str, object] = {
    **SMALL_JOB,
    "loop": {"batch_size": 16, "max_steps": 1_000_000},
    "resources": {"step": "eager"},
    "checkpoints": {"every_steps": 400},
}
WEB_KILLS = (30, 70)
TRAINER_KILLS = {20: 600, 60: 1100}  # before which cut, and how many steps the job must have taken by then
_FORMS = {"application/x-ndjson": read_lines, "text/event-stream": read_events}


class Watcher:
    """Reads a stream piece by piece, each time over a new connection that it cuts anywhere."""

    def __init__(self, url: str, job_id: str, seed: int) -> None:
        self.messages: list[Message] = []
        self.has_ended = False
        self._url, self._job_id = urlsplit(url), job_id
        self._random = random.Random(seed)

    @property
    def last(self) -> int:
        return self.messages[-1].id or 0 if self.messages else 0

    def read_a_piece(self, *, for_s: float) -> bool:
        """Read for at most so long, up to a random byte, and take the messages that came whole; tell if any did."""
        before = len(self.messages)
        form = self._random.choice(sorted(_FORMS))
        text = self._receive(form, for_s, most=self._random.choice([500, 5_000, 10**9]))
        head, _, body = text.partition(b"\r\n\r\n")
        assert head.startswith((b"HTTP/1.1 20", b"HTTP/1.1 503")) or not head, text
        if b" 20" in head[:12]:
            self.messages += _FORMS[form](body)
        self.has_ended = head.startswith(b"HTTP/1.1 204")
        return len(self.messages) > before

    def _receive(self, form: str, for_s: float, *, most: int) -> bytes:
        place = {"Last-Event-ID": str(self.last)} if self._random.random() < 0.5 else {}
        query = "?after=0" if place else f"?after={self.last}"
        lines = [f"GET /jobs/{self._job_id}/stream{query} HTTP/1.1", "Host: localhost", f"Accept: {form}"]
        request = "\r\n".join([*lines, *(f"{name}: {value}" for name, value in place.items()), "", ""])
        text, until_s = b"", time.monotonic() + for_s
        with suppress(OSError), socket.create_connection((self._url.hostname, self._url.port), timeout=5) as connection:
            connection.sendall(request.encode())
            while (left_s := until_s - time.monotonic()) > 0 and len(text) < most:
                connection.settimeout(left_s)
                piece = connection.recv(min(65_536, most - len(text)))
                if not piece:
                    break
                text += piece
        return text


def kill_web(service: Service) -> None:
    """Kill every web process; the service starts new ones."""
    for process in service.find("ganymede: web"):
        with suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_told_twice_by_a_stream_that_is_cut_a_hundred_times(tmp_path: Path) -> None:
    dice = random.Random(7)
    with running_service(tmp_path / "home", **QUICK) as service, Client(service.url, patience_s=120) as client:
        job = client.jobs.create(**LONG)
        watcher = Watcher(service.url, job.id, seed=11)
        for cut in range(CUTS):
            if cut in WEB_KILLS:
                kill_web(service)
            if cut in TRAINER_KILLS:
                wait_for_step(job, TRAINER_KILLS[cut])
                service.find("ganymede: trainer")[0].kill()
            wait_until(lambda: watcher.read_a_piece(for_s=dice.uniform(0.0, 0.3)), "something was read")
        wait_until(lambda: is_cancelled(job), "the job is cancelled")

        while not watcher.has_ended:
            watcher.read_a_piece(for_s=10)

        assert [message.id for message in watcher.messages] == list(range(1, watcher.last + 1))
        assert watcher.messages[-1].data["status"] == "cancelled"
        assert sum(message.event == "rollback" for message in watcher.messages) >= 1
        told = told_history(watcher.messages)
        stored = job.losses().data["columns"]
        assert {name: [row[name] for row in told.values()] for name in stored} == stored


def wait_for_step(job: Job, step: int) -> None:
    wait_until(lambda: job.refresh().step > step, f"step {step}")


def is_cancelled(job: Job) -> bool:
    """Ask for the end, and tell whether it has come."""
    with suppress(ServiceUnreachable):
        return job.cancel().status == "cancelled"
    return False
