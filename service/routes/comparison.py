"""Several jobs side by side: the same columns of each, for one chart."""

import re
from typing import Any

from flask import Response, request
from pydantic import Field

from service.answers.losses import ComparisonAnswer
from service.answers.writing import tagged
from service.api import Reply, Routes
from service.binding import Query
from service.db import reading
from service.errors import Fault, InvalidInput
from service.history import formats
from service.history import query as question
from service.routes.jobs import IF_NONE_MATCH, NOT_MODIFIED, TAGGED
from service.routes.losses import read_losses, tell
from service.store.jobs import glimpse
from service.web import Caller, Web

routes = Routes("comparison", "Several jobs side by side.")

MOST_JOBS = 32
MOST_POINTS = 200_000  # of all jobs together: all of them are in memory before the answer begins
_ID = re.compile(r"job_[0-9a-z]{22}")


class ComparisonQuery(Query):
    """Which jobs, and which of their numbers."""

    jobs: str = Field(max_length=1000, description=f"Ids of jobs with commas between, {MOST_JOBS} at most.")
    columns: str | None = Field(None, max_length=1000, description="Names with commas between; all when not given.")
    max_points: int = Field(
        1000, ge=1, le=100_000, description=f"Most steps of each job; of all together {MOST_POINTS:,}."
    )
    downsample: question.Downsample = Field(
        "minmax", description="How to choose where there are more, as for the losses of one job."
    )


@routes.add(
    "GET",
    "/losses/compare",
    replies={200: Reply("The numbers of each job.", ComparisonAnswer, headers=TAGGED), 304: NOT_MODIFIED},
    problems=(404,),
    request_headers=IF_NONE_MATCH,
)
def compare_losses(web: Web, caller: Caller, query: ComparisonQuery) -> Response:
    """Show the losses of several jobs, as `GET /jobs/{job_id}/losses` shows those of one, in the order asked for."""
    asked = question.Query(
        columns=tuple(query.columns.split(",")) if query.columns else None,
        max_points=query.max_points,
        downsample=query.downsample,
    )
    ids = _ids(query.jobs)
    _refuse_too_much(len(ids), query.max_points)
    data = [_tell_one(web, caller, job_id, asked) for job_id in ids]
    return tagged(Response(formats.to_json({"data": data}), mimetype="application/json"), request)


def _tell_one(web: Web, caller: Caller, job_id: str, asked: question.Query) -> dict[str, Any]:
    """Read and tell one job, in a transaction of its own: with a rollback journal whoever writes waits for that."""
    with reading(web.engine) as session:
        meaning, result = read_losses(web, session, glimpse(session, caller.owner_id, job_id).id, asked)
    return tell(job_id, meaning, result)


def _refuse_too_much(count: int, max_points: int) -> None:
    if count * max_points > MOST_POINTS:
        most = {"maximum": MOST_POINTS // count}
        message = f"{count} jobs of so many steps would be more than {MOST_POINTS:,} steps in all"
        raise InvalidInput([Fault("max_points", "too_many", message, allowed=most, got=max_points)])


def _ids(text: str) -> list[str]:
    """Return the ids, each once; raise InvalidInput for what is none, and for too many."""
    ids = list(dict.fromkeys(text.split(",")))
    if wrong := [each for each in ids if not _ID.fullmatch(each)]:
        raise InvalidInput([Fault("jobs", "bad_id", "must be ids of jobs with commas between", got=wrong[0])])
    if len(ids) > MOST_JOBS:
        raise InvalidInput(
            [Fault("jobs", "too_many", f"{len(ids)} jobs are too many", allowed={"maximum": MOST_JOBS}, got=len(ids))]
        )
    return ids
