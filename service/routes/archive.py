"""Everything of a job in one file."""

from flask import Response, request

from service.answers.writing import tagged_by
from service.api import Reply, Routes
from service.archive import list_entries, read_contents
from service.db import reading
from service.routes.jobs import IF_NONE_MATCH, NOT_MODIFIED, TAGGED, JobPath
from service.store.jobs import get_job
from service.web import Caller, Web
from service.zips import stream_zip

routes = Routes("archive", "Everything of a job in one file.")

NAMED = {"Content-Disposition": "A name for the file."}


@routes.add(
    "GET",
    "/jobs/<job_id>/archive.zip",
    replies={
        200: Reply("The archive.", media_types=("application/zip",), headers=TAGGED | NAMED),
        304: NOT_MODIFIED,
    },
    request_headers=IF_NONE_MATCH,
)
def download_archive(web: Web, caller: Caller, path: JobPath) -> Response:
    """Download everything that a job has left: spec, losses, samples, generator, quality, events.

    While nothing of the job changes the bytes are the same. It is made as it is sent, so that its size is not known
    before. A file that is gone or damaged is named in `MISSING.txt` and left out.
    """
    with reading(web.engine) as session:
        job = get_job(session, caller.owner_id, path.job_id)
        response = tagged_by(request, job.id, job.version, job.attempt)
        if response.status_code == 304:
            return response
        contents = read_contents(session, job)
    response.response = stream_zip(list_entries(contents, web.engine, web.blobs))
    response.mimetype = "application/zip"
    response.headers["Content-Disposition"] = f'attachment; filename="{job.id}.zip"'
    return response
