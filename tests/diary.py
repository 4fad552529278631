"""What clients were answered, and whether all of it together can be true."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

ENDED = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True)
class Entry:
    """One request and its answer. job_id is None where no job was made; key is its Idempotency-Key."""

    asked: str
    job_id: str | None
    key: str | None
    status: int
    body: dict[str, Any]
    began_s: float
    ended_s: float


class Diary:
    """Entries of all clients, in any order."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)

    @property
    def created(self) -> set[str]:
        return {entry.job_id for entry in self.entries if entry.status == 201 and entry.job_id}

    @property
    def deleted(self) -> set[str]:
        return {entry.job_id for entry in self.entries if entry.asked == "delete" and entry.status == 204}

    @property
    def cancelled(self) -> set[str]:
        return {entry.job_id for entry in self.entries if entry.asked == "cancel" and entry.status == 202}

    def faults(self) -> Iterator[str]:
        """Yield what contradicts a promise or another answer."""
        yield from (f"{entry.asked}: {entry.status} {entry.body}" for entry in self.entries if entry.status >= 500)
        yield from self._keys_with_several_jobs()
        by_job = defaultdict(list)
        for entry in self.entries:
            by_job[entry.job_id].append(entry)
        for job_id in self.created:
            yield from _contradictions(sorted(by_job[job_id], key=lambda entry: entry.began_s))

    def _keys_with_several_jobs(self) -> Iterator[str]:
        """An answer is kept for as long as its job: after a deletion a key makes a new one."""
        jobs = defaultdict(set)
        for entry in self.entries:
            if entry.key and entry.status == 201 and entry.job_id not in self.deleted:
                jobs[entry.key].add(entry.job_id)
        yield from (f"{key} has made {ids}" for key, ids in jobs.items() if len(ids) > 1)


def _contradictions(entries: list[Entry]) -> Iterator[str]:
    """Compare each answer about a job with those that were complete before it was asked for."""
    for earlier in entries:
        for later in entries:
            if earlier.ended_s < later.began_s and (fault := _contradiction(earlier, later)):
                yield f"{earlier.job_id}: {fault}"


def _contradiction(earlier: Entry, later: Entry) -> str | None:
    if earlier.asked == "delete" and earlier.status == 204:
        return None if later.status == 404 else f"deleted, and then {later.asked} was answered {later.status}"
    if later.asked == "submit":
        return None  # a repeated answer tells how the job began
    if not (earlier.body.get("id") and later.body.get("id")):
        return None  # one of them is a refusal
    return _contradiction_of_jobs(earlier, later)


def _contradiction_of_jobs(earlier: Entry, later: Entry) -> str | None:
    before, after = earlier.body["status"], later.body["status"]
    if before in ENDED and after != before:
        return f"{before}, and then {after}"
    if earlier.asked == "cancel" and after not in {"cancelling", "cancelled"}:
        return f"its cancel was accepted, and then it was {after}"
    if earlier.body["attempt"] > later.body["attempt"]:
        return "its attempt fell"
    return None
