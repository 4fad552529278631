"""Pages for browsers: the dashboard, the documentation, the files they load. Nothing comes from elsewhere."""

from importlib.resources import files
from pathlib import Path as FilePath
from typing import Literal

from flask import Response, render_template, request
from pydantic import Field

from service.answers.writing import tagged
from service.api import Reply, Routes
from service.binding import Path
from service.errors import NotFound
from service.routes.jobs import IF_NONE_MATCH, NOT_MODIFIED, TAGGED
from service.version import VERSION

routes = Routes("pages", "Pages for browsers.")

# Pictures that need an API key are fetched by a script, which shows them from memory: blob: URLs.
DASHBOARD_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Swagger UI sets styles from its script and draws its icons from data: URLs; scripts stay our own files all the same.
DOCS_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PageName = Literal["compare", "data", "job", "new", "sweeps"]
TITLES: dict[str, str] = {
    "jobs": "Jobs",
    "compare": "Compare jobs",
    "data": "Data",
    "job": "Job",
    "new": "New job",
    "sweeps": "Sweeps",
}
_KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_OURS = FilePath(__file__).parent.parent / "dashboard" / "static"
_SWAGGER = FilePath(str(files("flask_openapi_swagger"))) / "templates" / "swagger"
ASSETS = {file.name: (file, _KINDS[file.suffix]) for file in sorted(_OURS.iterdir()) if file.suffix in _KINDS} | {
    "swagger-ui.css": (_SWAGGER / "css" / "swagger-ui.css", "text/css"),
    "swagger-ui.js": (_SWAGGER / "js" / "swagger-ui-bundle.js", "text/javascript"),
}


class PagePath(Path):
    """Path of a page of the dashboard."""

    page: PageName = Field(description="Name of the page.")


class AssetPath(Path):
    """Path of a file that pages load."""

    name: str = Field(max_length=40, description="Name of the file.")


PAGE = {200: Reply("A page.", media_types=("text/html",))}


@routes.add("GET", "/", scope=None, replies=PAGE)
def show_jobs_page() -> Response:
    """Show the jobs, to a browser. What it shows it asks for itself, with a key where one is required."""
    return _dashboard("jobs")


@routes.add("GET", "/dashboard/<page>", scope=None, replies=PAGE)
def show_dashboard(path: PagePath) -> Response:
    """Show another page of the dashboard, to a browser: a job, a new one, data sets, sweeps, a comparison."""
    return _dashboard(path.page)


@routes.add("GET", "/docs", scope=None, replies=PAGE)
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


def _dashboard(name: str) -> Response:
    page = render_template("dashboard.html", name=name, title=TITLES[name], version=VERSION)
    return Response(page, headers={"Content-Security-Policy": DASHBOARD_SECURITY})
