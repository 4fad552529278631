"""Sweeps in the client: `client.sweeps`."""

import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, TypedDict, cast

from ganymede.transport import Transport

LOOK_S = 1.0  # between two looks at a sweep that is waited for


class Place(TypedDict):
    """A member of a sweep in its place; rank and value are None before it has been measured."""

    rank: int | None
    job: str
    parameters: dict[str, Any]
    status: str
    reason: str | None
    step: int
    value: float | None
    value_step: int | None


class Leaderboard(TypedDict):
    """The members of a sweep, the best first."""

    metric: str
    goal: str
    best: str | None
    data: list[Place]


class Sweep(TypedDict):
    """A sweep as the service shows it; those of a list come without their leaderboards."""

    id: str
    status: str
    name: str | None
    owner: str
    method: str
    search: dict[str, Any]
    spec: dict[str, Any]
    metric: str
    goal: str
    members: dict[str, int]
    created_at: str
    links: dict[str, str]
    leaderboard: Leaderboard


class Sweeps:
    """Many jobs that differ in some values, and which of them is best."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, spec: Mapping[str, Any], **search: Any) -> Sweep:
        """Queue a job for each point of a search: `grid`, `random` or `asha`, and `metric`, `goal`, `name`."""
        body = {"spec": spec} | {key: value for key, value in search.items() if value is not None}
        key = {"Idempotency-Key": str(uuid.uuid4())}
        return self._sweep("POST", "/sweeps", json=body, may_repeat=True, headers=key)

    def show(self, sweep_id: str, *, metric: str | None = None, goal: str | None = None) -> Sweep:
        """Return a sweep as it is now, ranked by a metric or a column, or else by its own."""
        query = {"metric": metric, "goal": goal}
        return self._sweep("GET", f"/sweeps/{sweep_id}", params={name: said for name, said in query.items() if said})

    def list(self) -> Iterator[Sweep]:
        """Yield your sweeps, newest first, without their leaderboards."""
        return cast("Iterator[Sweep]", self._transport.pages("/sweeps"))

    def wait(self, sweep_id: str, timeout_s: float = float("inf")) -> Sweep:
        """Return the sweep once all its members have ended.

        Raises:
            TimeoutError: they had not within `timeout_s`.
        """
        deadline_s = time.monotonic() + timeout_s
        while (sweep := self.show(sweep_id))["status"] != "ended":
            if (left_s := deadline_s - time.monotonic()) <= 0:
                raise TimeoutError(f"{sweep_id} is still {sweep['status']} after {timeout_s:g} s")
            time.sleep(min(LOOK_S, left_s))
        return sweep

    def cancel(self, sweep_id: str) -> Sweep:
        """Ask for the end of every member; what they made so far stays."""
        return self._sweep("POST", f"/sweeps/{sweep_id}/cancel")

    def delete(self, sweep_id: str, *, keeps_members: bool = False) -> None:
        """Remove a sweep whose members have all ended, with them and everything they made, unless they are kept."""
        params = {"members": "keep"} if keeps_members else {}
        self._transport.send("DELETE", f"/sweeps/{sweep_id}", params=params)

    def _sweep(self, method: str, path: str, **request: Any) -> Sweep:
        return cast("Sweep", self._transport.send(method, path, **request).json())
