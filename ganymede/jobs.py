"""Jobs in the client: `client.jobs` creates and finds them."""

import builtins
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Required, TypedDict, Unpack, cast, overload

from ganymede.answers import JobAnswer, PlanAnswer
from ganymede.job import Job, create_job
from ganymede.losses import Losses
from ganymede.resource import path_of, without_none
from ganymede.transport import Transport

_LARGEST_PAGE = 200


class JobSpec(TypedDict, total=False):
    """What a job can be asked for; only `dataset` is required, /schema/job has every key of the parts."""

    dataset: Required[str | Mapping[str, Any]]
    name: str | None
    labels: Mapping[str, str]
    model: Mapping[str, Any]
    objective: Mapping[str, Any]
    loop: Mapping[str, Any]
    optimizer: Mapping[str, Any]
    seed: int | None
    priority: int
    checkpoints: Mapping[str, Any]
    samples: Mapping[str, Any]
    quality: Mapping[str, Any]
    health: Mapping[str, Any]
    resources: Mapping[str, Any]
    versions: Mapping[str, str] | None


class Jobs:
    """Trainings: create them, find them."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @overload
    def create(self, spec: Mapping[str, Any], /) -> Job: ...
    @overload
    def create(self, /, **parts: Unpack[JobSpec]) -> Job: ...
    def create(self, spec: Mapping[str, Any] | None = None, /, **parts: Any) -> Job:
        """Queue a job: of a spec, or of its parts. Only `dataset` is required; the rest follows from the data."""
        return create_job(self._transport, "/jobs", _whole(spec, parts))

    @overload
    def plan(self, spec: Mapping[str, Any], /) -> PlanAnswer: ...
    @overload
    def plan(self, /, **parts: Unpack[JobSpec]) -> PlanAnswer: ...
    def plan(self, spec: Mapping[str, Any] | None = None, /, **parts: Any) -> PlanAnswer:
        """Return what a spec would become, every value filled in, and what it would need; nothing is stored."""
        request = {"json": _whole(spec, parts), "params": {"dry_run": "true"}}
        return cast("PlanAnswer", self._transport.object("POST", "/jobs", **request))

    def get(self, job_id: str) -> Job:
        """Return a job as it is now."""
        return Job(self._transport, cast("JobAnswer", self._transport.object("GET", path_of("jobs", job_id))))

    def compare(
        self, job_ids: Iterable[str], *columns: str, max_points: int | None = None, downsample: str | None = None
    ) -> "builtins.list[Losses]":
        """Return the histories of several jobs, in their order: these columns, or all, thinned to 1,000 steps each."""
        query = without_none(
            jobs=",".join(job_ids), columns=",".join(columns) or None, max_points=max_points, downsample=downsample
        )
        return [Losses(each) for each in self._transport.object("GET", "/losses/compare", params=query)["data"]]

    def list(self, *, limit: int | None = None, **filters: str) -> Iterator[Job]:
        """Yield jobs, newest first, at most `limit`; filters as of GET /jobs: status, label, parent, sweep, q."""
        page = {} if limit is None else {"limit": min(max(limit, 1), _LARGEST_PAGE)}
        for job in islice(self._transport.pages("/jobs", {**filters, **page}), limit):
            yield Job(self._transport, cast("JobAnswer", job))


def _whole(spec: Mapping[str, Any] | None, parts: Mapping[str, Any]) -> Mapping[str, Any]:
    if spec and parts:
        raise TypeError("a job is made of a spec or of its parts, not of both")
    return spec or parts
