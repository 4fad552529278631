"""What goes on between the two players of a job."""

from flask import Response, request

from service.answers.diagnosis import DiagnosisAnswer
from service.answers.writing import json_answer, tagged
from service.api import Reply, Routes
from service.db import reading
from service.routes.jobs import IF_NONE_MATCH, NOT_MODIFIED, TAGGED, JobPath
from service.spec.job import JobSpec
from service.store.jobs import get_job
from service.web import Caller, Web

routes = Routes("diagnosis", "What goes on between the two players.")


@routes.add(
    "GET",
    "/jobs/<job_id>/diagnosis",
    replies={200: Reply("Every rule.", DiagnosisAnswer, headers=TAGGED), 304: NOT_MODIFIED},
    request_headers=IF_NONE_MATCH,
)
def diagnose(web: Web, caller: Caller, path: JobPath) -> Response:
    """Show each rule of the diagnosis: its state and since when, the numbers behind it, and what to try."""
    with reading(web.engine) as session:
        job = get_job(session, caller.owner_id, path.job_id)
    return tagged(json_answer(DiagnosisAnswer.of(job, JobSpec.model_validate(job.resolved_spec))), request)
