"""The chart of a job's losses, drawn on the server."""

from collections.abc import Callable

from flask import Response

from service.api import Reply, Routes
from service.charts.drawing import Drawing
from service.charts.losses import CHART_POINTS, chart_columns, draw_losses
from service.charts.png import to_png
from service.charts.svg import to_svg
from service.db import reading
from service.history import query as question
from service.history.reading import read_history
from service.models import Job
from service.routes.jobs import IF_NONE_MATCH, NOT_MODIFIED, TAGGED, JobPath
from service.routes.losses import tagged_by_history
from service.spec.columns import recorded_columns
from service.spec.job import JobSpec
from service.spec.objectives import references
from service.store import history
from service.store.jobs import get_job
from service.web import Caller, Web

routes = Routes("charts", "Pictures of the losses.")


@routes.add(
    "GET",
    "/jobs/<job_id>/losses.svg",
    replies={200: Reply("The chart.", media_types=("image/svg+xml",), headers=TAGGED), 304: NOT_MODIFIED},
    request_headers=IF_NONE_MATCH,
)
def draw_losses_as_svg(web: Web, caller: Caller, path: JobPath) -> Response:
    """Draw the losses with the lines of the equilibrium, as SVG."""
    return _draw(web, caller, path, to_svg, "image/svg+xml")


@routes.add(
    "GET",
    "/jobs/<job_id>/losses.png",
    replies={200: Reply("The chart.", media_types=("image/png",), headers=TAGGED), 304: NOT_MODIFIED},
    request_headers=IF_NONE_MATCH,
)
def draw_losses_as_png(web: Web, caller: Caller, path: JobPath) -> Response:
    """Draw the losses with the lines of the equilibrium, as PNG."""
    return _draw(web, caller, path, to_png, "image/png")


def _draw(web: Web, caller: Caller, path: JobPath, write: Callable[[Drawing], bytes], media_type: str) -> Response:
    with reading(web.engine) as session:
        job = get_job(session, caller.owner_id, path.job_id)
        title = _title(job)
        response = tagged_by_history(session, job, title)
        if response.status_code == 304:
            return response
        spec = JobSpec.model_validate(job.resolved_spec)
        wanted = question.Query(columns=chart_columns(recorded_columns(spec)), max_points=CHART_POINTS)
        result = read_history(session, history.stretches_of(session, job.id), wanted)
    response.set_data(write(draw_losses(result, references(spec), title=title)))
    response.mimetype = media_type
    return response


def _title(job: Job) -> str:
    return f"{job.name or job.id} \u00b7 {job.resolved_spec['dataset']['name']}"
