"""The Flask application: its routes, and what happens around every request. Everything it uses is passed in."""

import re
import secrets
import threading
from urllib.parse import quote

import structlog
from flask import Flask, Response, g, request
from sqlalchemy import Engine

from service.answers.job_json import JobJson
from service.answers.kept import KeptAnswers
from service.api import make_api
from service.auth import SAFE_METHODS, check_host, check_origin
from service.blobs import BlobStore
from service.clock import monotonic_s
from service.compression import compress
from service.errands import Errands
from service.metrics import Metrics
from service.probe import DatabaseProbe
from service.problems import install_problems
from service.recent import Recent
from service.routes import (
    archive,
    catalog,
    charts,
    checkpoints,
    comparison,
    control,
    datasets,
    diagnosis,
    events,
    exports,
    forks,
    jobs,
    losses,
    operation,
    orders,
    pages,
    quality,
    samples,
    stream,
    sweeps,
    timeline,
    webhooks,
)
from service.settings import Settings
from service.streams import Streams
from service.tidings import Listener
from service.web import Announcer, LongPolls, Web

CONTENT_SECURITY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
NOUNS = tuple(
    noun.routes
    for noun in (
        jobs,
        forks,
        sweeps,
        control,
        events,
        stream,
        losses,
        comparison,
        charts,
        diagnosis,
        checkpoints,
        exports,
        samples,
        timeline,
        orders,
        quality,
        archive,
        datasets,
        webhooks,
        catalog,
        operation,
        pages,
    )
)
log = structlog.get_logger(__name__)
REMEMBERED_MEANINGS = 1_000
REMEMBERED_HEADERS = 100
PICTURES = 2  # made at once, each by a thread that computes all the while
_REQUEST_ID = re.compile(r"[\w.-]{1,64}")


def create_app(settings: Settings, engine: Engine, blobs: BlobStore, wakeups: Announcer) -> Flask:
    """Return the web application on these parts; it starts nothing."""
    web = Web(
        settings,
        engine,
        blobs,
        wakeups,
        LongPolls(settings.web_threads),
        Listener(settings),
        Errands(settings, engine),
        Metrics(engine),
        DatabaseProbe(engine),
        threading.BoundedSemaphore(max(1, settings.web_threads // 2)),
        threading.BoundedSemaphore(PICTURES),
        JobJson(),
        KeptAnswers(),
        Recent(REMEMBERED_MEANINGS),
        Recent(REMEMBERED_HEADERS),
        Streams(engine, most=settings.web_watchers),
    )
    app = make_api("service.app", web, NOUNS, static_folder=None, template_folder="dashboard/templates")
    app.config["MAX_CONTENT_LENGTH"] = settings.body_bytes
    app.extensions["web"] = web
    install_problems(app)
    app.before_request(_begin)
    app.before_request(lambda: check_host(request, settings))
    app.before_request(lambda: check_origin(request))
    app.after_request(lambda response: _finish(response, web))
    return app


def _begin() -> None:
    """Start the clock and give the request an id, the client's own where it is one."""
    g.began_at = monotonic_s()
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def _finish(response: Response, web: Web) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY)
    response.headers.setdefault("Cache-Control", "no-cache")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    compress(response, request)
    _record(response, web, monotonic_s() - g.began_at)
    return response


def _record(response: Response, web: Web, seconds: float) -> None:
    web.metrics.observe(request, response, seconds)
    is_poll = request.method in SAFE_METHODS and response.status_code < 400
    (log.debug if is_poll else log.info)(
        "request",
        request_id=g.request_id,
        method=request.method,
        path=quote(request.path),  # on a terminal, what a page of another site has chosen could be commands
        status=response.status_code,
        ms=round(seconds * 1000, 1),
    )
