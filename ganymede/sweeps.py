"""Sweeps in the client: `client.sweeps`."""

import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Self, cast

from ganymede.answers import LeaderboardAnswer, SweepAnswer
from ganymede.job import TERMINAL
from ganymede.resource import Resource, path_of, without_none
from ganymede.transport import OnProgress, Transport, ignore

LOOK_S = 1.0  # between two looks at a sweep that is waited for


class Sweep(Resource[SweepAnswer]):
    """Many jobs that differ in some values, and which of them is best."""

    @property
    def status(self) -> str:
        """What was heard last: live, or ended once every member has."""
        return self.data["status"]

    @property
    def leaderboard(self) -> LeaderboardAnswer:
        """The members, the best first; those of a list are asked for."""
        return self.data["leaderboard"] if "leaderboard" in self.data else self.refresh().data["leaderboard"]

    def refresh(self, *, metric: str | None = None, goal: str | None = None) -> Self:
        """Hear of the sweep again, ranked by a metric or a column, or else by its own."""
        return self._ask("GET", params=without_none(metric=metric, goal=goal))

    def wait(self, timeout_s: float = float("inf"), *, on_progress: OnProgress = ignore) -> Self:
        """Return once all members have ended; on_progress is called with how many have, and how many there are.

        Raises:
            TimeoutError: they had not within `timeout_s`.
        """
        deadline_s = time.monotonic() + timeout_s
        while self.refresh().status != "ended":
            members = self.data["members"]
            on_progress(sum(members[state] for state in TERMINAL), members["total"])
            if (left_s := deadline_s - time.monotonic()) <= 0:
                raise TimeoutError(f"{self.id} is still {self.status} after {timeout_s:g} s")
            time.sleep(min(LOOK_S, left_s))
        return self

    def cancel(self) -> Self:
        """Ask for the end of every member; what they made so far stays."""
        return self._ask("POST", "/cancel")

    def delete(self, *, keeps_members: bool = False) -> None:
        """Remove the sweep, whose members have all ended, with them and everything they made, unless they are kept."""
        self._transport.send("DELETE", self.path, params={"members": "keep"} if keeps_members else {})


class Sweeps:
    """Sweeps: create them, find them. Their members are `client.jobs.list(sweep=...)`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, spec: Mapping[str, Any], **search: Any) -> Sweep:
        """Queue a job for each point of a search: `grid`, `random` or `asha`, and `metric`, `goal`, `name`."""
        body = {"spec": spec, **without_none(**search)}
        key = {"Idempotency-Key": str(uuid.uuid4())}
        return self._made(self._transport.object("POST", "/sweeps", json=body, may_repeat=True, headers=key))

    def get(self, sweep_id: str) -> Sweep:
        """Return a sweep as it is now."""
        return self._made(self._transport.object("GET", path_of("sweeps", sweep_id)))

    def list(self) -> Iterator[Sweep]:
        """Yield your sweeps, newest first."""
        return map(self._made, self._transport.pages("/sweeps"))

    def _made(self, answer: dict[str, Any]) -> Sweep:
        return Sweep(self._transport, cast("SweepAnswer", answer))
