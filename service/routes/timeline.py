"""The samples of a job through its training, as one picture."""

from collections.abc import Callable, Sequence

from flask import Response, request
from pydantic import Field

from service.answers.writing import tagged_by
from service.api import Reply, Routes
from service.binding import Query
from service.blobs import read_verified
from service.charts.timeline import MOST_CELLS, MOST_FRAMES, Point, spread, to_gif, to_sheet
from service.db import reading
from service.errors import Fault, NotYet
from service.models import Sample
from service.problems import Refused
from service.routes.jobs import IF_NONE_MATCH, NOT_MODIFIED, TAGGED, JobPath
from service.store.jobs import get_job
from service.store.samples import all_samples
from service.web import Caller, Web

routes = Routes("timeline", "The samples through training, as one picture.")


class GifQuery(Query):
    """How fast."""

    fps: float = Field(8, ge=1, le=50, description="Sampling points a second.")


@routes.add(
    "GET",
    "/jobs/<job_id>/timeline.gif",
    replies={200: Reply("The animation.", media_types=("image/gif",), headers=TAGGED), 304: NOT_MODIFIED},
    problems=(406, 410),
    request_headers=IF_NONE_MATCH,
)
def show_timeline_moving(web: Web, caller: Caller, path: JobPath, query: GifQuery) -> Response:
    """Show what the generator made of the fixed latents through training, moving: 60 sampling points at most."""
    return _show(web, caller, path, MOST_FRAMES, lambda points: to_gif(points, fps=query.fps), "image/gif")


@routes.add(
    "GET",
    "/jobs/<job_id>/timeline.png",
    replies={200: Reply("The sheet.", media_types=("image/png",), headers=TAGGED), 304: NOT_MODIFIED},
    problems=(406, 410),
    request_headers=IF_NONE_MATCH,
)
def show_timeline_as_sheet(web: Web, caller: Caller, path: JobPath) -> Response:
    """Show what the generator made of the fixed latents through training, side by side: 12 sampling points at most."""
    return _show(web, caller, path, MOST_CELLS, to_sheet, "image/png")


def _show(
    web: Web, caller: Caller, path: JobPath, most: int, draw: Callable[[Sequence[Point]], bytes], media_type: str
) -> Response:
    with reading(web.engine) as session:
        job = get_job(session, caller.owner_id, path.job_id)
        chosen = _choose(all_samples(session, job.id), most)
        response = tagged_by(request, job.id, *(sample.files["png"]["sha256"] for sample in chosen))
        if response.status_code == 304:
            return response
    if not web.pictures.acquire(blocking=False):
        raise Refused("too_many_pictures", "Too many pictures are made at once. Try again soon.")
    try:
        points = [Point(sample.step, read_verified(web.blobs, sample.files["png"])) for sample in chosen]
        response.set_data(draw(points))
    finally:
        web.pictures.release()
    response.mimetype = media_type
    return response


def _choose(found: Sequence[Sample], most: int) -> list[Sample]:
    """Return the sampling points to show; raise NotYet where there is none, Refused where the data has no pictures."""
    if not found:
        raise NotYet("The job has no samples yet.")
    if "png" not in found[0].files:
        formats = sorted(found[0].files)
        fault = Fault("format", "format_unavailable", "these samples have no pictures", allowed=formats)
        raise Refused("format_unavailable", "These samples have no pictures to show.", faults=[fault])
    by_step = {sample.step: sample for sample in found}
    return [by_step[step] for step in spread(list(by_step), most)]
