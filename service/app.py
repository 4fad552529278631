"""The Flask application: its routes, and what happens around every request. Everything it uses is passed in."""

import re
import secrets

import structlog
from flask import Flask, Response, g, request
from sqlalchemy import Engine

from service.api import make_api
from service.auth import check_host, check_origin
from service.blobs import BlobStore
from service.compression import compress
from service.metrics import Metrics
from service.problems import install_problems
from service.routes import catalog, checkpoints, control, events, jobs, operation, pages, samples
from service.settings import Settings
from service.web import Announcer, LongPolls, Web

CONTENT_SECURITY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
NOUNS = tuple(noun.routes for noun in (jobs, control, events, checkpoints, samples, catalog, operation, pages))
_REQUEST_ID = re.compile(r"[\w.-]{1,64}")


def create_app(settings: Settings, engine: Engine, blobs: BlobStore, wakeups: Announcer) -> Flask:
    """Return the web application on these parts; it starts nothing."""
    web = Web(settings, engine, blobs, wakeups, LongPolls(settings.web_threads), Metrics(engine))
    app = make_api("service.app", web, NOUNS, static_folder=None, template_folder="dashboard/templates")
    app.config["MAX_CONTENT_LENGTH"] = settings.body_bytes
    app.extensions["web"] = web
    install_problems(app)
    app.before_request(_name_request)
    app.before_request(lambda: check_host(request, settings))
    app.before_request(lambda: check_origin(request))
    app.after_request(_finish)
    return app


def _name_request() -> None:
    """Give the request an id, the client's own where it is one."""
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _finish(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY)
    response.headers.setdefault("Cache-Control", "no-cache")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return compress(response, request)
