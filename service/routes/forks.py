"""Forks: new jobs that continue others from one of their checkpoints."""

from flask import Response
from sqlalchemy.orm import Session

from service.admission import HEADERS, REQUEST_HEADERS, admit_job, digest_of, replay
from service.answers.job import JobAnswer
from service.api import Reply, Routes
from service.db import reading
from service.errors import NotFound
from service.models import Checkpoint, Job
from service.routes.jobs import JobPath
from service.spec.fork import ForkSpec, fork_spec
from service.store.checkpoints import get_checkpoint
from service.store.datasets import hold_for_job, uploads_of
from service.store.forks import branch_at, create_fork
from service.store.jobs import get_job, lock_job, upload_of
from service.web import Caller, Web

routes = Routes("forks", "Continue a job from one of its checkpoints.")


@routes.add(
    "POST",
    "/jobs/<job_id>/fork",
    scope="submit",
    replies={201: Reply("The new job.", JobAnswer, headers=HEADERS)},
    problems=(409, 429, 507),
    request_headers=REQUEST_HEADERS,
)
def fork_job(web: Web, caller: Caller, path: JobPath, body: ForkSpec) -> Response:
    """Create a job that continues another one from a checkpoint, with changes of its spec.

    Steps continue the parent's numbers, and its history begins after the checkpoint; `lineage=true` shows the parent's
    before it. Without overrides the numbers are those of the parent, to the bit. Networks, data and optimisers cannot
    change. Nothing that becomes of the parent hurts the fork.
    """
    digest = digest_of({"fork": path.job_id, **body.model_dump(mode="json")})
    if (first := replay(web, caller, digest)) is not None:
        return first
    with reading(web.engine) as session:
        parent = get_job(session, caller.owner_id, path.job_id)
        checkpoint = get_checkpoint(session, parent.id, str(body.checkpoint))
        spec = fork_spec(
            parent.resolved_spec,
            body.overrides,
            branch_at(session, parent, checkpoint),
            memory_limit_bytes=web.settings.job_memory_bytes,
            find_upload=uploads_of(session, caller.owner_id),
        )

    def create(session: Session) -> Job:
        parent = get_job(session, caller.owner_id, path.job_id)
        lock_job(session, parent)  # or it would let go of the checkpoint meanwhile
        kept = session.get(Checkpoint, (parent.id, checkpoint.step), populate_existing=True)
        if kept is None or kept.files != checkpoint.files:
            raise NotFound("checkpoint", f"{checkpoint.step} any more")
        if dataset_id := upload_of(spec.resolved.spec):
            hold_for_job(session, dataset_id)
        return create_fork(session, parent, kept, spec, overrides=body.overrides)

    return admit_job(web, caller, digest, create)
