"""Saved states of training, and their files."""

from collections.abc import Sequence
from typing import Literal

from flask import Response, request
from pydantic import Field
from sqlalchemy.orm import Session

from service.answers.artifact import CheckpointAnswer, CheckpointPage
from service.answers.writing import json_answer, page_answer, tagged
from service.api import Reply, Routes
from service.binding import PageQuery, Query
from service.db import reading
from service.downloads import HEADERS, REQUEST_HEADERS, SAME_FILE, send_file
from service.errors import NotFound
from service.models import Checkpoint, Job
from service.routes.jobs import IF_NONE_MATCH, NOT_MODIFIED, PAGED, TAGGED, JobPath
from service.spec.health import look_back_for
from service.spec.job import CheckpointsSpec, HealthSpec
from service.store import checkpoints
from service.store.jobs import get_job
from service.store.orders import steps_in_demand
from service.store.quality import best_steps, quality_at
from service.web import Caller, Web

routes = Routes("checkpoints", "Durable states of training.")

FILE = ("application/octet-stream",)


class CheckpointPath(JobPath):
    """Path of a checkpoint."""

    checkpoint: str = Field(max_length=20, description="A step, `latest` or `best`.")


class PartQuery(Query):
    """Which file."""

    part: Literal["all", "generator", "ema"] = Field(
        "all", description="Everything a resume needs, the generator's raw weights, or their moving average."
    )


@routes.add(
    "GET",
    "/jobs/<job_id>/checkpoints",
    replies={200: Reply("A page of checkpoints.", CheckpointPage, headers=PAGED), 304: NOT_MODIFIED},
    request_headers=IF_NONE_MATCH,
)
def list_checkpoints(web: Web, caller: Caller, path: JobPath, query: PageQuery) -> Response:
    """List the checkpoints that are kept, ascending by step."""
    with reading(web.engine) as session:
        job = get_job(session, caller.owner_id, path.job_id)
        page = checkpoints.list_checkpoints(session, job.id, limit=query.limit, cursor=query.cursor)
        data = _describe(session, job, page.data)
    return page_answer(CheckpointPage, data, page, request)


@routes.add(
    "GET",
    "/jobs/<job_id>/checkpoints/<checkpoint>",
    replies={200: Reply("The checkpoint.", CheckpointAnswer, headers=TAGGED), 304: NOT_MODIFIED},
    request_headers=IF_NONE_MATCH,
)
def show_checkpoint(web: Web, caller: Caller, path: CheckpointPath) -> Response:
    """Show a checkpoint."""
    with reading(web.engine) as session:
        job = get_job(session, caller.owner_id, path.job_id)
        [answer] = _describe(session, job, [_find(session, caller, path)])
    return tagged(json_answer(answer), request)


@routes.add(
    "GET",
    "/jobs/<job_id>/checkpoints/<checkpoint>/file",
    replies={
        200: Reply("The file, in the safetensors format.", media_types=FILE, headers=HEADERS),
        206: Reply("The range that was asked for.", media_types=FILE, headers=HEADERS | {"Content-Range": "Which."}),
        304: SAME_FILE,
    },
    problems=(410, 416),
    request_headers=REQUEST_HEADERS,
)
def download_checkpoint(web: Web, caller: Caller, path: CheckpointPath, query: PartQuery) -> Response:
    """Download a checkpoint.

    `generator` and `ema` hold no job id, attempt or time: equal training gives equal bytes.
    """
    with reading(web.engine) as session:
        checkpoint = _find(session, caller, path)
    if query.part not in checkpoint.files:
        raise NotFound("part", f"{query.part} of this checkpoint", code="part_not_found")
    name = f"{checkpoint.job_id}-{checkpoint.step}-{query.part}.safetensors"
    return send_file(web, checkpoint.files[query.part], name=name, request=request)


def _find(session: Session, caller: Caller, path: CheckpointPath) -> Checkpoint:
    job = get_job(session, caller.owner_id, path.job_id)
    return checkpoints.get_checkpoint(session, job.id, path.checkpoint)


def _describe(session: Session, job: Job, rows: Sequence[Checkpoint]) -> list[CheckpointAnswer]:
    rules = CheckpointsSpec.model_validate(job.resolved_spec["checkpoints"])
    health = HealthSpec.model_validate(job.resolved_spec.get("health", {}))
    steps = [row.step for row in checkpoints.newest_checkpoints(session, job.id)]
    kept = checkpoints.why_kept(
        steps,
        keep_last=rules.keep_last,
        keep_every=rules.keep_every,
        best=best_steps(session, job.id, rules.keep_best),
        look_back=look_back_for(health),
        wanted=steps_in_demand(session, job.id),
        branch=job.parent_step,
    )
    measured = quality_at(session, job.id, [row.step for row in rows])
    return [CheckpointAnswer.of(row, kept_because=kept[row.step], quality=measured.get(row.step)) for row in rows]
