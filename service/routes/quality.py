"""How good what the generator makes is, step by step."""

from flask import Response, request

from service.answers.quality import QualityAnswer, QualityPage
from service.answers.writing import page_answer
from service.api import Reply, Routes
from service.binding import PageQuery
from service.db import reading
from service.routes.jobs import IF_NONE_MATCH, NOT_MODIFIED, PAGED, JobPath
from service.store import quality
from service.store.checkpoints import newest_checkpoints
from service.store.jobs import get_job
from service.web import Caller, Web

routes = Routes("quality", "How good what the generator makes is.")


@routes.add(
    "GET",
    "/jobs/<job_id>/quality",
    replies={200: Reply("A page of measured steps.", QualityPage, headers=PAGED), 304: NOT_MODIFIED},
    request_headers=IF_NONE_MATCH,
)
def list_quality(web: Web, caller: Caller, path: JobPath, query: PageQuery) -> Response:
    """List the metrics of each measured step beside those of real data and of trivial generators."""
    with reading(web.engine) as session:
        job = get_job(session, caller.owner_id, path.job_id)
        page = quality.list_quality(session, job.id, limit=query.limit, cursor=query.cursor)
        saved = [row.step for row in newest_checkpoints(session, job.id)]
        yardstick = quality.get_yardstick(session, job.id)
        followed = job.resolved_spec.get("quality", {}).get("metric")
        data = [QualityAnswer.of(row, saved=saved, yardstick=yardstick, followed=followed) for row in page.data]
    return page_answer(QualityPage, data, page, request)
