"""Jobs: create, find, change, delete. What is asked of a running one is in routes.control."""

from collections.abc import Mapping
from typing import Any

from flask import Response, request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from service.admission import HEADERS, REQUEST_HEADERS, admit_job, digest_of, replay
from service.answers.job import EstimateAnswer, JobAnswer, JobPage, PlanAnswer, Status
from service.answers.job_json import describe
from service.answers.writing import join_page, json_answer, tagged_by, tagged_page
from service.api import Reply, Routes
from service.binding import PageQuery, Path, Query
from service.db import reading, writing
from service.errors import Fault, InvalidInput
from service.models import Job
from service.spec.job import JobSpec, Label, LabelValue
from service.spec.parts.strict import MAX_STEPS
from service.spec.resolve import resolve
from service.store import jobs
from service.store.datasets import hold_for_job, uploads_of
from service.store.jobs import Glimpse
from service.store.pages import Page
from service.waiting import WaitQuery, wait_for_change
from service.web import Caller, Web

routes = Routes("jobs", "Training jobs.")

TAGGED = {"ETag": "Changes with the content."}
PAGED = {"Link": "The next page."} | TAGGED
IF_NONE_MATCH = {"If-None-Match": "ETag of what the client has; 304 when nothing changed."}
NOT_MODIFIED = Reply("Not modified since the ETag of If-None-Match.", headers=PAGED)


class JobPath(Path):
    """Path of a job."""

    job_id: str = Field(pattern=r"^job_[0-9a-z]{22}$", description="Id of a job.")


class CreateQuery(Query):
    """How to create."""

    dry_run: bool = Field(False, description="Answer with the resolved spec and an estimate; store nothing.")


class JobsQuery(PageQuery):
    """Which jobs."""

    status: Status | None = Field(None, description="Only jobs of this status.")
    label: list[str] = Field([], max_length=64, description="key:value; given several times, all must match.")
    q: str | None = Field(None, max_length=200, description="Part of the name or id.")
    parent: str | None = Field(None, max_length=32, description="Only forks of this job.")
    sweep: str | None = Field(None, max_length=32, description="Only members of this sweep.")


def _without_defaults(schema: dict[str, Any]) -> None:
    for field in schema["properties"].values():
        field.pop("default")


class JobChanges(BaseModel):
    """What can change after creation. What is left out stays. Schedules keep the horizon of creation."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=_without_defaults)

    name: str | None = Field(None, max_length=200, description="For people.")
    labels: dict[Label, LabelValue] = Field({}, max_length=64, description="Replaces all labels.")
    priority: int = Field(0, ge=-100, le=100, description="Higher runs first.")
    max_steps: int = Field(0, ge=1, le=MAX_STEPS, description="While the job has not ended.")


@routes.add(
    "POST",
    "/jobs",
    scope="submit",
    replies={
        200: Reply("The plan of a dry run.", PlanAnswer),
        201: Reply("The new job.", JobAnswer, headers=HEADERS),
    },
    problems=(409, 429, 507),
    request_headers=REQUEST_HEADERS,
)
def create_job(web: Web, caller: Caller, query: CreateQuery, body: JobSpec) -> Response:
    """Create a job. Only `dataset` is required.

    What the spec leaves open is filled from the recipe of the data; the answer's `resolved_spec` holds every value.
    """
    spec = body.model_dump(mode="json", exclude_unset=True)
    digest = digest_of(spec)
    if not query.dry_run and (first := replay(web, caller, digest)) is not None:
        return first
    with reading(web.engine) as session:
        find_upload = uploads_of(session, caller.owner_id)
        resolved = resolve(body, memory_limit_bytes=web.settings.job_memory_bytes, find_upload=find_upload)
    if query.dry_run:
        return json_answer(PlanAnswer(resolved_spec=resolved.spec, estimate=EstimateAnswer.of(resolved.estimate)))

    def create(session: Session) -> Job:
        if dataset_id := jobs.upload_of(resolved.spec):
            hold_for_job(session, dataset_id)
        return jobs.create_job(session, owner_id=caller.owner_id, spec=spec, resolved=resolved.spec)

    return admit_job(web, caller, digest, create)


@routes.add(
    "GET",
    "/jobs",
    replies={200: Reply("A page of jobs.", JobPage, headers=PAGED), 304: NOT_MODIFIED},
    request_headers=IF_NONE_MATCH,
)
def list_jobs(web: Web, caller: Caller, query: JobsQuery) -> Response:
    """List jobs, newest first."""
    labels = [_label(text) for text in query.label]

    def look(session: Session) -> tuple[Response, tuple[Page[Glimpse], Mapping[str, int]]]:
        page = jobs.list_jobs(
            session,
            caller.owner_id,
            status=query.status,
            labels=labels,
            q=query.q,
            parent=query.parent,
            sweep=query.sweep,
            limit=query.limit,
            cursor=query.cursor,
        )
        places = jobs.places_of(session, page.data)
        facts = ((job.id, job.version, places.get(job.id)) for job in page.data)
        return tagged_page(page, request, *facts), (page, places)

    def build(session: Session, found: tuple[Page[Glimpse], Mapping[str, int]]) -> bytes:
        page, places = found
        return join_page(web.job_json.of(session, page.data, places), page)

    return web.kept.answer(web.engine, request, look, build)


def _label(text: str) -> tuple[str, str]:
    key, colon, value = text.partition(":")
    if not colon:
        raise InvalidInput([Fault("label", "bad_label", "must be key:value", got=text)])
    return key, value


@routes.add(
    "GET",
    "/jobs/<job_id>",
    replies={200: Reply("The job.", JobAnswer, headers=TAGGED), 304: NOT_MODIFIED},
    request_headers=IF_NONE_MATCH,
)
def show_job(web: Web, caller: Caller, path: JobPath, query: WaitQuery) -> Response:
    """Show a job, at once or as soon as it has changed."""
    wait_for_change(web, query, lambda session: jobs.version_of(session, caller.owner_id, path.job_id))

    def look(session: Session) -> tuple[Response, tuple[Glimpse, Mapping[str, int]]]:
        job = jobs.glimpse(session, caller.owner_id, path.job_id)
        places = jobs.places_of(session, [job])
        return tagged_by(request, job.id, job.version, places.get(job.id)), (job, places)

    def build(session: Session, found: tuple[Glimpse, Mapping[str, int]]) -> bytes:
        job, places = found
        [answer] = web.job_json.of(session, [job], places)
        return answer

    return web.kept.answer(web.engine, request, look, build)


@routes.add("PATCH", "/jobs/<job_id>", scope="submit", replies={200: Reply("The job.", JobAnswer)}, problems=(409,))
def change_job(web: Web, caller: Caller, path: JobPath, body: JobChanges) -> Response:
    """Change the name, labels, priority or max_steps of a job."""
    changes = body.model_dump(exclude_unset=True)
    with writing(web.engine) as session:
        job = jobs.get_job(session, caller.owner_id, path.job_id)
        if changes:
            jobs.patch_job(session, job, changes)
        answer = describe(session, job)
    return json_answer(answer)


@routes.add("DELETE", "/jobs/<job_id>", scope="submit", replies={204: Reply("Gone.")}, problems=(409,))
def delete_job(web: Web, caller: Caller, path: JobPath) -> Response:
    """Delete a job that has ended, with everything it left."""
    with writing(web.engine) as session:
        jobs.delete_job(session, jobs.get_job(session, caller.owner_id, path.job_id))
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response
