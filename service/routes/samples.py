"""What the generator made of a job's fixed latents, point by point."""

from typing import get_args

from flask import Response, request
from pydantic import Field

from service.answers.artifact import SampleAnswer, SamplePage
from service.answers.writing import page_answer
from service.api import Reply, Routes
from service.binding import PageQuery, Query
from service.db import reading
from service.downloads import HEADERS, MEDIA_TYPES, REQUEST_HEADERS, SAME_FILE, send_file
from service.errors import Fault
from service.models import Sample
from service.problems import Refused
from service.routes.jobs import IF_NONE_MATCH, NOT_MODIFIED, PAGED, JobPath
from service.spec.drawing import Format
from service.store import samples
from service.store.jobs import get_job
from service.web import Caller, Web

routes = Routes("samples", "What the generator makes.")

FOR_PEOPLE: tuple[Format, ...] = ("png", "wav", "csv", "npz")  # what a person would look at comes first
FILE = tuple(sorted({MEDIA_TYPES[name] for name in get_args(Format)}))


class SamplePath(JobPath):
    """Path of a sampling point."""

    step: str = Field(max_length=20, description="A step or `latest`.")


class FormatQuery(Query):
    """Which file."""

    format: Format | None = Field(
        None,
        description="png, csv, wav, npz, parquet or zip, as far as the data has it; else what a person would look at.",
    )


@routes.add(
    "GET",
    "/jobs/<job_id>/samples",
    replies={200: Reply("A page of sampling points.", SamplePage, headers=PAGED), 304: NOT_MODIFIED},
    request_headers=IF_NONE_MATCH,
)
def list_samples(web: Web, caller: Caller, path: JobPath, query: PageQuery) -> Response:
    """List the sampling points, ascending by step: the same latents through all of training."""
    with reading(web.engine) as session:
        job = get_job(session, caller.owner_id, path.job_id)
        page = samples.list_samples(session, job.id, limit=query.limit, cursor=query.cursor)
        data = [SampleAnswer.of(sample) for sample in page.data]
    return page_answer(SamplePage, data, page, request)


@routes.add(
    "GET",
    "/jobs/<job_id>/samples/<step>",
    replies={
        200: Reply("The file.", media_types=FILE, headers=HEADERS),
        206: Reply("The range that was asked for.", media_types=FILE, headers=HEADERS | {"Content-Range": "Which."}),
        304: SAME_FILE,
    },
    problems=(406, 410, 416),
    request_headers=REQUEST_HEADERS,
)
def download_samples(web: Web, caller: Caller, path: SamplePath, query: FormatQuery) -> Response:
    """Download the samples of a step: a picture, sounds, a table or the numbers."""
    with reading(web.engine) as session:
        job = get_job(session, caller.owner_id, path.job_id)
        sample = samples.get_sample(session, job.id, path.step)
    chosen = _choose(sample, query.format)
    return send_file(web, sample.files[chosen], name=f"{job.id}-{sample.step}.{chosen}", request=request)


def _choose(sample: Sample, wanted: Format | None) -> str:
    if wanted is None:
        return next(name for name in FOR_PEOPLE if name in sample.files)
    if wanted not in sample.files:
        formats = sorted(sample.files)
        fault = Fault("format", "format_unavailable", "this data has no such format", allowed=formats, got=wanted)
        detail = f"These samples have no {wanted}; they have {', '.join(formats)}."
        raise Refused("format_unavailable", detail, faults=[fault])
    return wanted
