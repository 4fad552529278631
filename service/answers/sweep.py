"""Sweeps as clients see them, with their leaderboards."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field

from service.answers.job import Reason, Status
from service.answers.writing import Moment, PageAnswer, StoredSpec
from service.models import TERMINAL, State, Sweep
from service.spec.sweep import Goal, Method
from service.store.leaderboard import Place

SweepStatus = Literal["live", "ended"]


class MembersAnswer(BaseModel):
    """How many members there are, and how many in each state."""

    total: int
    queued: int
    running: int
    paused: int
    cancelled: int
    succeeded: int
    failed: int

    @classmethod
    def of(cls, counts: Counter[str]) -> "MembersAnswer":
        """Tell numbers by state."""
        return cls(total=counts.total(), **{state.value: counts[state.value] for state in State})


class SweepSummary(BaseModel):
    """A sweep."""

    id: str
    status: SweepStatus = Field(description="ended once every member has.")
    name: str | None
    owner: str
    method: Method
    search: dict[str, Any] = Field(description="What was posted under the method, with its seed.")
    spec: StoredSpec = Field(description="As it was posted: what all members have in common.")
    metric: str = Field(description="What members are ranked by.")
    goal: Goal = Field(description="Which values of it are better.")
    members: MembersAnswer
    created_at: Moment
    links: dict[str, str]

    @classmethod
    def of(cls, sweep: Sweep, counts: Counter[str]) -> "SweepSummary":
        """Tell a sweep."""
        return cls(**_told(sweep, counts))


class PlaceAnswer(BaseModel):
    """A member."""

    rank: int | None = Field(description="1 is the best; null before it has a value.")
    job: str
    parameters: dict[str, Any] = Field(description="The values that are its own, by path.")
    status: Status
    reason: Reason | None
    step: int = Field(description="How far it is.")
    value: float | None = Field(description="Of a metric its best one, of a column its last.")
    value_step: int | None = Field(description="The step that the value is of.")

    @classmethod
    def of(cls, number: int, place: Place) -> "PlaceAnswer":
        """Tell a member in a place, counted from 1."""
        job, reached = place.job, place.reached
        return cls(
            rank=number if reached else None,
            job=job.id,
            parameters=dict(place.parameters),
            status=job.status,
            reason=job.reason,
            step=job.step,
            value=reached and reached.value,
            value_step=reached and reached.step,
        )


class LeaderboardAnswer(BaseModel):
    """The members in the order of their values."""

    metric: str
    goal: Goal
    best: str | None = Field(description="Id of the best member; null before any has a value.")
    data: list[PlaceAnswer] = Field(description="The best first, those without a value last.")

    @classmethod
    def of(cls, places: Sequence[Place], *, metric: str, goal: Goal) -> "LeaderboardAnswer":
        """Tell places in their order."""
        data = [PlaceAnswer.of(number, place) for number, place in enumerate(places, 1)]
        best = data[0].job if data and data[0].rank else None
        return cls(metric=metric, goal=goal, best=best, data=data)


class SweepAnswer(SweepSummary):
    """A sweep with its leaderboard."""

    leaderboard: LeaderboardAnswer

    @classmethod
    def ranked(cls, sweep: Sweep, places: Sequence[Place], *, metric: str, goal: Goal) -> "SweepAnswer":
        """Tell a sweep whose members stand in these places."""
        counts = Counter(State(place.job.state).value for place in places)
        return cls(**_told(sweep, counts), leaderboard=LeaderboardAnswer.of(places, metric=metric, goal=goal))


class SweepPage(PageAnswer[SweepSummary]):
    """Sweeps, newest first."""


def _told(sweep: Sweep, counts: Counter[str]) -> dict[str, Any]:
    url = f"/sweeps/{sweep.id}"
    has_ended = not any(count for state, count in counts.items() if state not in TERMINAL)
    return {
        "id": sweep.id,
        "status": "ended" if has_ended else "live",
        "name": sweep.name,
        "owner": sweep.owner_id,
        "method": sweep.method,
        "search": sweep.search,
        "spec": sweep.spec,
        "metric": sweep.metric,
        "goal": sweep.goal,
        "members": MembersAnswer.of(counts),
        "created_at": sweep.created_at,
        "links": {"self": url, "jobs": f"/jobs?sweep={sweep.id}", "cancel": f"{url}/cancel"},
    }
