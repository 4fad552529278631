"""Pages for browsers: the landing page, the documentation, the files they load. Nothing comes from elsewhere."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path as FilePath

from flask import Response, render_template, request
from pydantic import Field
from sqlalchemy.orm import Session

from service.answers.job import JobAnswer
from service.answers.job_json import describe_all
from service.answers.writing import tagged
from service.api import Reply, Routes
from service.binding import Path
from service.db import reading
from service.errors import NotFound
from service.routes.jobs import IF_NONE_MATCH, NOT_MODIFIED, TAGGED
from service.store.jobs import find_all, list_jobs
from service.store.keys import LOCAL_OWNER
from service.store.samples import latest_samples
from service.version import VERSION
from service.web import Web

routes = Routes("pages", "Pages for browsers.")

NEWEST = 20
# Swagger UI sets styles from its script and draws its icons from data: URLs; scripts stay our own files all the same.
DOCS_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_OURS = FilePath(__file__).parent.parent / "dashboard" / "static"
_SWAGGER = FilePath(str(files("flask_openapi_swagger"))) / "templates" / "swagger"
ASSETS = {
    "docs.js": (_OURS / "docs.js", "text/javascript"),
    "docs.css": (_OURS / "docs.css", "text/css"),
    "icon.svg": (_OURS / "icon.svg", "image/svg+xml"),
    "pages.css": (_OURS / "pages.css", "text/css"),
    "swagger-ui.css": (_SWAGGER / "css" / "swagger-ui.css", "text/css"),
    "swagger-ui.js": (_SWAGGER / "js" / "swagger-ui-bundle.js", "text/javascript"),
}


class AssetPath(Path):
    """Path of a file that pages load."""

    name: str = Field(max_length=40, description="Name of the file.")


@dataclass(frozen=True)
class Card:
    """A job on the landing page, with a picture where its latest samples have one."""

    job: JobAnswer
    has_picture: bool


@routes.add("GET", "/", scope=None, replies={200: Reply("A page.", media_types=("text/html",))}, problems=(503,))
def show_landing_page(web: Web) -> Response:
    """Show the newest jobs, to a browser.

    Where keys are required it shows none, for a browser sends no key.
    """
    cards = None
    if not web.settings.keys_required:
        with reading(web.engine) as session:
            cards = _newest(session)
    return Response(render_template("landing.html", cards=cards, version=VERSION))


@routes.add("GET", "/docs", scope=None, replies={200: Reply("A page.", media_types=("text/html",))})
def show_docs_page() -> Response:
    """Show every operation, to a browser, to read and to try."""
    page = render_template("docs.html", version=VERSION)
    return Response(page, headers={"Content-Security-Policy": DOCS_SECURITY})


@routes.add(
    "GET",
    "/static/<name>",
    scope=None,
    replies={
        200: Reply("The file.", media_types=tuple(sorted({kind for _, kind in ASSETS.values()})), headers=TAGGED),
        304: NOT_MODIFIED,
    },
    request_headers=IF_NONE_MATCH,
)
def show_asset(path: AssetPath) -> Response:
    """Send a file that the pages load."""
    if path.name not in ASSETS:
        raise NotFound("file", path.name)
    file, media_type = ASSETS[path.name]
    return tagged(Response(file.read_bytes(), mimetype=media_type), request)


def _newest(session: Session) -> list[Card]:
    newest = [job.id for job in list_jobs(session, LOCAL_OWNER, limit=NEWEST).data]
    samples = latest_samples(session, newest)
    with_picture = {job_id for job_id, sample in samples.items() if "png" in sample.files}
    return [Card(job, job.id in with_picture) for job in describe_all(session, find_all(session, newest))]
