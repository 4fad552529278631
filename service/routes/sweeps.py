"""Sweeps: create many jobs at once that differ in some values, rank them, cancel and delete them."""

import secrets
from collections import Counter
from typing import Any, Literal

from flask import Response, request
from pydantic import Field
from sqlalchemy.orm import Session

from service.admission import REQUEST_HEADERS, Created, admit, digest_of, replay
from service.answers.sweep import SweepAnswer, SweepPage, SweepSummary
from service.answers.writing import json_answer, page_answer, tagged
from service.api import Reply, Routes
from service.binding import PageQuery, Path, Query
from service.db import reading, writing
from service.models import Sweep
from service.routes.jobs import IF_NONE_MATCH, NOT_MODIFIED, PAGED, TAGGED
from service.search import choose_points
from service.spec.job import LARGEST_SEED
from service.spec.members import check_metric, goal_for, resolve_members
from service.spec.sweep import Goal, SweepSpec
from service.store import sweeps
from service.store.datasets import hold_for_job, uploads_of
from service.store.jobs import upload_of
from service.store.leaderboard import leaderboard
from service.web import Caller, Web

routes = Routes("sweeps", "Many jobs that differ in some values, and which of them is best.")

HEADERS = {"Location": "Path of the sweep.", "Idempotent-Replayed": "true for a repeated answer."}
LARGEST_DRAW = 2**32 - 1  # that a sampler takes for a seed


class SweepPath(Path):
    """Path of a sweep."""

    sweep_id: str = Field(pattern=r"^swp_[0-9a-z]{22}$", description="Id of a sweep.")


class RankQuery(Query):
    """How to rank the members."""

    metric: str | None = Field(
        None, max_length=32, description="A metric or a column from /catalog; the sweep's own when not given."
    )
    goal: Goal | None = Field(None, description="Which values are better, where the catalogue does not say.")


class DeleteQuery(Query):
    """What becomes of the members."""

    members: Literal["delete", "keep"] = Field("delete", description="keep leaves them as jobs of their own.")


@routes.add(
    "POST",
    "/sweeps",
    scope="submit",
    replies={201: Reply("The new sweep.", SweepAnswer, headers=HEADERS)},
    problems=(409, 429, 507),
    request_headers=REQUEST_HEADERS,
)
def create_sweep(web: Web, caller: Caller, body: SweepSpec) -> Response:
    """Create many jobs at once: a spec, and which of its values vary.

    `grid` takes every combination of some values; `random` draws `count` of them; `asha` does so too and stops members
    that fall behind at its rungs. Members are ordinary jobs of one seed, unless it varies, measured against the same
    rows, and train together where they can (`resources.cohort`). All of them are created or none.
    """
    digest = digest_of({"sweep": body.model_dump(mode="json", exclude_unset=True)})
    if (first := replay(web, caller, digest)) is not None:
        return first
    search = _search_of(body)
    points = choose_points(body, 0 if body.drawn is None else search["seed"])
    dataset_id = upload_of(body.spec)
    with reading(web.engine) as session:  # and no longer than it takes to look the one data set up
        uploads = {dataset_id: uploads_of(session, caller.owner_id)(dataset_id)} if dataset_id else {}
    members = resolve_members(
        body,
        points,
        seed=secrets.randbelow(LARGEST_SEED + 1),
        memory_limit_bytes=web.settings.job_memory_bytes,
        find_upload=uploads.get,
    )
    metric = body.metric or members[0].resolved.quality.metric or ""
    goal = goal_for(metric, body.goal)

    def create(session: Session) -> Created:
        if dataset_id:
            hold_for_job(session, dataset_id)
        sweep = sweeps.create_sweep(
            session, members, owner_id=caller.owner_id, posted=body, search=search, metric=metric, goal=goal
        )
        session.flush()
        return Created(sweep.id, _ranked(session, sweep).model_dump_json().encode())

    return admit(web, caller, digest, create, count=len(members))


def _search_of(body: SweepSpec) -> dict[str, Any]:
    """Return what was posted under the method, with the seed that was drawn where none was given."""
    if body.drawn is None:
        return dict(body.grid or {})
    posted = body.drawn.model_dump(mode="json", exclude_none=True)
    return {"seed": secrets.randbelow(LARGEST_DRAW + 1), **posted}


@routes.add(
    "GET",
    "/sweeps",
    replies={200: Reply("A page of sweeps.", SweepPage, headers=PAGED), 304: NOT_MODIFIED},
    request_headers=IF_NONE_MATCH,
)
def list_sweeps(web: Web, caller: Caller, query: PageQuery) -> Response:
    """List sweeps, newest first."""
    with reading(web.engine) as session:
        page = sweeps.list_sweeps(session, caller.owner_id, limit=query.limit, cursor=query.cursor)
        counts = sweeps.count_members(session, [sweep.id for sweep in page.data])
    data = [SweepSummary.of(sweep, counts.get(sweep.id, Counter())) for sweep in page.data]
    return page_answer(SweepPage, data, page, request)


@routes.add(
    "GET",
    "/sweeps/<sweep_id>",
    replies={200: Reply("The sweep.", SweepAnswer, headers=TAGGED), 304: NOT_MODIFIED},
    request_headers=IF_NONE_MATCH,
)
def show_sweep(web: Web, caller: Caller, path: SweepPath, query: RankQuery) -> Response:
    """Show a sweep with its leaderboard.

    A metric of quality counts by its best measured step, a column of the losses by its last recorded one; columns and
    metrics without a better end need a `goal`.
    """
    check_metric(query.metric, pointer="metric")
    with reading(web.engine) as session:
        answer = _ranked(session, sweeps.get_sweep(session, caller.owner_id, path.sweep_id), query)
    return tagged(json_answer(answer), request)


@routes.add(
    "POST", "/sweeps/<sweep_id>/cancel", scope="submit", replies={202: Reply("The sweep, as it is now.", SweepAnswer)}
)
def cancel_sweep(web: Web, caller: Caller, path: SweepPath) -> Response:
    """Ask for the end of every member that has not ended. What they made so far stays."""
    with writing(web.engine) as session:
        sweep = sweeps.get_sweep(session, caller.owner_id, path.sweep_id)
        sweeps.cancel_sweep(session, sweep)
    with reading(web.engine) as session:  # the ranking reads much: nobody shall wait for it who wants to write
        answer = _ranked(session, sweeps.get_sweep(session, caller.owner_id, path.sweep_id))
    return json_answer(answer, status=202)


@routes.add("DELETE", "/sweeps/<sweep_id>", scope="submit", replies={204: Reply("Gone.")}, problems=(409,))
def delete_sweep(web: Web, caller: Caller, path: SweepPath, query: DeleteQuery) -> Response:
    """Delete a sweep whose members have all ended, with them and everything they left, or without them."""
    with writing(web.engine) as session:
        sweep = sweeps.get_sweep(session, caller.owner_id, path.sweep_id)
        sweeps.delete_sweep(session, sweep, keeps_members=query.members == "keep")
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response


def _ranked(session: Session, sweep: Sweep, query: RankQuery | None = None) -> SweepAnswer:
    """Tell a sweep, ranked as its owner asks for or else by its own metric."""
    metric, goal = sweep.metric, sweep.goal
    if query is not None and (query.metric, query.goal) != (None, None):
        metric = query.metric or sweep.metric
        goal = goal_for(metric, query.goal or (sweep.goal if metric == sweep.metric else None), pointer="goal")
    return SweepAnswer.ranked(sweep, leaderboard(session, sweep, metric=metric, goal=goal), metric=metric, goal=goal)
