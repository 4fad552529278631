"""What an owner asks of a job: cancel, pause, resume, save. The answer is 202, for a worker follows."""

from collections.abc import Callable

from flask import Response
from sqlalchemy.orm import Session

from service.answers.job import JobAnswer
from service.answers.job_json import describe
from service.answers.writing import json_answer
from service.api import Reply, Routes
from service.db import writing
from service.models import Job
from service.routes.jobs import JobPath
from service.store.jobs import get_job
from service.store.transitions import request_cancel, request_pause, request_resume, request_save
from service.web import Caller, Web

routes = Routes("control", "Cancel, pause, resume and save.")

ACCEPTED = {202: Reply("The job, as it is now.", JobAnswer)}


@routes.add("POST", "/jobs/<job_id>/cancel", scope="submit", replies=ACCEPTED, problems=(409,))
def cancel_job(web: Web, caller: Caller, path: JobPath) -> Response:
    """Ask for the end of a job. What it made so far stays.

    Cancelling a cancelled job is accepted again; one that has succeeded or failed is a conflict.
    """
    return _ask(web, caller, path, request_cancel)


@routes.add("POST", "/jobs/<job_id>/pause", scope="submit", replies=ACCEPTED, problems=(409,))
def pause_job(web: Web, caller: Caller, path: JobPath) -> Response:
    """Ask a job to save itself and give up its place."""
    return _ask(web, caller, path, request_pause)


@routes.add("POST", "/jobs/<job_id>/resume", scope="submit", replies=ACCEPTED, problems=(409,))
def resume_job(web: Web, caller: Caller, path: JobPath) -> Response:
    """Let a paused job continue where it was."""
    response = _ask(web, caller, path, request_resume)
    web.wakeups.announce()
    return response


@routes.add("POST", "/jobs/<job_id>/checkpoints", scope="submit", replies=ACCEPTED, problems=(409,))
def save_job(web: Web, caller: Caller, path: JobPath) -> Response:
    """Ask a running job to save a checkpoint now.

    Its worker hears of it within moments and saves after the step that it is at; then `checkpoints/latest` is the new
    one. A job that does not run is a conflict: it was saved when it stopped.
    """
    return _ask(web, caller, path, request_save)


def _ask(web: Web, caller: Caller, path: JobPath, wish: Callable[[Session, Job], None]) -> Response:
    with writing(web.engine) as session:
        job = get_job(session, caller.owner_id, path.job_id)
        wish(session, job)
        session.flush()
        answer = describe(session, job)
    return json_answer(answer, status=202)
