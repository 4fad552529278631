"""Clients that keep the service busy while it breaks, and remember what it has promised them."""

import hashlib
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx2

from chaos.oracle import Promise

_TIMEOUT_S = 20.0
_RETRY_S = 0.1
_AWAY = frozenset({503, 507})  # the answers of a service whose database or disk is away; they say when to come again


class Load:
    """Threads that submit, cancel, pause, resume, delete and download. `complaints` collects broken answers."""

    def __init__(self, url: str, recipes: Mapping[str, dict[str, Any]], *, seed: int, live_jobs: int) -> None:
        self.promises: list[Promise] = []
        self.complaints: list[str] = []
        self.answers = 0
        self._url, self._recipes, self._live_jobs = url, recipes, live_jobs
        self._random = random.Random(seed)
        self._live: dict[str, Promise] = {}
        self._lock = threading.Lock()
        self._stopping, self._is_submitting = threading.Event(), threading.Event()
        self._is_submitting.set()
        self._threads = [
            threading.Thread(target=self._repeat, args=(work, pause_s), daemon=True)
            for work, pause_s in ((self._submit, 0.05), (self._meddle, 0.1), (self._read, 0.1), (self._watch, 0.2))
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def settle(self) -> None:
        """Submit and change nothing more; the end of the jobs is still watched."""
        self._is_submitting.clear()

    def stop(self) -> None:
        """End all threads."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def live(self) -> list[Promise]:
        """Return the jobs that have not been seen to end."""
        with self._lock:
            return list(self._live.values())

    def send(self, client: httpx2.Client, method: str, path: str, **request: Any) -> httpx2.Response | None:
        """Send until there is an answer that is not "come again"; None when the load stops first."""
        while not self._stopping.is_set():
            answer = self._try(client, method, path, **request)
            if answer is not None and answer.status_code not in _AWAY:
                return answer
            time.sleep(_RETRY_S)
        return None

    def _repeat(self, work: Callable[[httpx2.Client], None], pause_s: float) -> None:
        with httpx2.Client(base_url=self._url, timeout=_TIMEOUT_S, trust_env=False) as client:
            while not self._stopping.wait(pause_s):
                try:
                    work(client)
                except Exception as error:  # noqa: BLE001 (a client that broke is a finding, not an end)
                    self._complain(f"a client broke off: {error!r}")

    def _try(self, client: httpx2.Client, method: str, path: str, **request: Any) -> httpx2.Response | None:
        try:
            answer = client.request(method, path, **request)
        except httpx2.TransportError:
            return None
        self.answers += 1
        if answer.status_code >= 500:
            self._judge_refusal(answer)
        return answer

    def _judge_refusal(self, answer: httpx2.Response) -> None:
        if answer.headers.get("content-type", "").partition(";")[0] != "application/problem+json":
            self._complain(f"{answer.request.url} answered {answer.status_code} in another shape: {answer.text[:200]}")
        elif answer.status_code in _AWAY and "retry-after" not in answer.headers:
            self._complain(f"{answer.request.url} answered {answer.status_code} without Retry-After")
        elif answer.status_code not in _AWAY:
            self._complain(f"{answer.request.url} answered {answer.status_code}: {answer.text[:500]}")

    def _submit(self, client: httpx2.Client) -> None:
        if not self._is_submitting.is_set() or len(self.live()) >= self._live_jobs:
            return
        recipe = self._random.choice(sorted(self._recipes))
        key = f"{self._random.getrandbits(64):x}"
        answers: list[str | None] = []
        rival = threading.Thread(target=self._post_beside, args=(recipe, key, answers))
        if self._random.random() < 0.2:
            rival.start()
        answers.append(self._post(client, recipe, key))
        if rival.ident is not None:
            rival.join()
        ids = {job_id for job_id in answers if job_id is not None}
        for job_id in ids:
            self._remember(Promise(job_id, recipe, key))
        if len(ids) > 1:
            self._complain(f"R2 the key {key} made {len(ids)} jobs")

    def _post_beside(self, recipe: str, key: str, answers: list[str | None]) -> None:
        """Post with a key that is being used by another post in the same moment."""
        with httpx2.Client(base_url=self._url, timeout=_TIMEOUT_S, trust_env=False) as client:
            answers.append(self._post(client, recipe, key))

    def _post(self, client: httpx2.Client, recipe: str, key: str) -> str | None:
        answer = self.send(client, "POST", "/jobs", json=self._recipes[recipe], headers={"Idempotency-Key": key})
        if answer is None:
            return None
        if answer.status_code != 201:
            self._complain(f"POST /jobs answered {answer.status_code}: {answer.text[:300]}")
            return None
        return str(answer.json()["id"])

    def _remember(self, promise: Promise) -> None:
        with self._lock:
            self.promises.append(promise)
            self._live[promise.job_id] = promise

    def _meddle(self, client: httpx2.Client) -> None:
        """Cancel now and then, pause and let go on."""
        promise = self._pick()
        if promise is None:
            return
        lot = self._random.random()
        if lot < 0.03:
            self._cancel(client, promise)
        elif lot < 0.15:
            self._pause_and_resume(client, promise)

    def _cancel(self, client: httpx2.Client, promise: Promise) -> None:
        answer = self._ask(client, promise, "cancel")
        if answer is not None and answer.status_code == 202:
            promise.cancel_accepted = True

    def _pause_and_resume(self, client: httpx2.Client, promise: Promise) -> None:
        for verb in ("pause", "resume"):
            self._ask(client, promise, verb)
            time.sleep(self._random.random() * 0.5)

    def _ask(self, client: httpx2.Client, promise: Promise, verb: str) -> httpx2.Response | None:
        """Ask something of a job that may have ended, or have been deleted, meanwhile."""
        answer = self.send(client, "POST", f"/jobs/{promise.job_id}/{verb}")
        if answer is not None and answer.status_code not in {202, 409, 404 if promise.deletion_asked else 202}:
            self._complain(f"{verb} of {promise.job_id} answered {answer.status_code}: {answer.text[:300]}")
        return answer

    def _read(self, client: httpx2.Client) -> None:
        """Read a job, its losses and its newest checkpoint; what comes with 200 must be whole."""
        promise = self._pick()
        if promise is None:
            return
        for path in ("", "/losses?format=csv", "/events"):
            self._try(client, "GET", f"/jobs/{promise.job_id}{path}")
        answer = self._try(client, "GET", f"/jobs/{promise.job_id}/checkpoints/latest/file")
        if answer is None or answer.status_code != 200:
            return
        if hashlib.sha256(answer.content).hexdigest() != answer.headers["etag"].strip('"'):
            self._complain(f"I5 {promise.job_id}: a checkpoint was served that does not have its hash")

    def _watch(self, client: httpx2.Client) -> None:
        """Notice the end of jobs, and delete one in ten."""
        for promise in self.live():
            answer = self._try(client, "GET", f"/jobs/{promise.job_id}")
            if answer is None or answer.status_code != 200:
                return
            if answer.json()["status"] in {"succeeded", "failed", "cancelled"}:
                if self._random.random() < 0.1:
                    self._delete(client, promise)
                with self._lock:
                    del self._live[promise.job_id]

    def _delete(self, client: httpx2.Client, promise: Promise) -> None:
        promise.deletion_asked = True
        answer = self.send(client, "DELETE", f"/jobs/{promise.job_id}")
        if answer is None:  # it may have been heard all the same
            return
        promise.deletion_accepted = True
        if answer.status_code not in {204, 404}:  # 404: an answer before this one was lost
            self._complain(f"DELETE of {promise.job_id} answered {answer.status_code}: {answer.text[:300]}")

    def _pick(self) -> Promise | None:
        with self._lock:
            live = list(self._live.values())
            return self._random.choice(live) if live and self._is_submitting.is_set() else None

    def _complain(self, complaint: str) -> None:
        with self._lock:
            self.complaints.append(complaint)
