"""Every refusal as problem+json: one table maps the domain's exceptions, one function writes the answer."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import structlog
from flask import Flask, Response, g, request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException, InternalServerError

from service.answers.problem import CODES, MEDIA_TYPE, Problem
from service.blobs import NO_SPACE
from service.db import DATABASE_AWAY
from service.errors import (
    BlobDamaged,
    BlobMissing,
    Conflict,
    Fault,
    GanymedeError,
    InvalidInput,
    NotFound,
    NotYet,
    QuotaExceeded,
    StorageAway,
)

RETRY_AFTER_S = {
    "not_yet": 5,
    "no_best_yet": 5,
    "quota_exceeded": 30,
    "database_unavailable": 2,
    "storage_unavailable": 5,
    "storage_full": 60,
    "too_many_pictures": 5,
    "too_many_uploads": 10,
    "too_many_watchers": 10,
}

DOMAIN: dict[type[GanymedeError], str] = {
    QuotaExceeded: "quota_exceeded",
    BlobMissing: "file_missing",
    BlobDamaged: "file_damaged",
    StorageAway: "storage_unavailable",
}
HTTP = {
    400: "malformed_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "body_too_large",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    431: "header_too_large",
}
log = structlog.get_logger(__name__)


class Refused(GanymedeError):
    """A refusal that only HTTP knows; the code names its status."""

    def __init__(
        self, code: str, detail: str, *, faults: Sequence[Fault] = (), headers: Mapping[str, str] = {}
    ) -> None:
        super().__init__(detail)
        self.code, self.faults, self.headers = code, list(faults), dict(headers)


def make_problem(
    code: str, detail: str, *, faults: Sequence[Fault] = (), headers: Mapping[str, str] | None = None
) -> Response:
    """Return the answer of a refusal."""
    problem = Problem.of(code, detail, instance=request.path, request_id=g.request_id, faults=faults)
    response = Response(problem.model_dump_json(), problem.status, mimetype=MEDIA_TYPE)
    response.headers.extend(dict(headers or {}))
    if code in RETRY_AFTER_S:
        response.headers["Retry-After"] = str(RETRY_AFTER_S[code])
    return response


def install_problems(app: Flask) -> None:
    """Answer every exception of a request as a problem."""
    app.register_error_handler(GanymedeError, _answer_domain)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(PoolTimeout, _answer_database)
    app.register_error_handler(DBAPIError, _answer_database)
    app.register_error_handler(OSError, _answer_storage)
    app.register_error_handler(Exception, _answer_crash)


def _answer_domain(error: GanymedeError) -> Response:
    match error:
        case Refused():
            return make_problem(error.code, str(error), faults=error.faults, headers=error.headers)
        case NotFound() | NotYet() | Conflict():
            return make_problem(error.code, str(error))
        case InvalidInput():
            return make_problem("invalid_input", str(error).removeprefix(": "), faults=error.faults)
    if type(error) not in DOMAIN:
        return _answer_crash(error)
    return make_problem(DOMAIN[type(error)], str(error))


def _answer_http(error: HTTPException) -> Any:
    code = HTTP.get(error.code or 500)
    if code is None:
        return error.get_response() if (error.code or 500) < 400 else _answer_crash(error)
    headers = {name: value for name, value in error.get_headers(request.environ) if name != "Content-Type"}
    return make_problem(code, _say_http(error), headers=headers)


def _say_http(error: HTTPException) -> str:
    match error.code:
        case 404:
            return f"There is nothing at {request.path}. What there is stands in /openapi.json and /docs."
        case 408:
            return "The body came too slowly, or not at all."
        case 413:
            return f"The body is larger than {request.max_content_length} bytes, which is the limit."
        case 405:
            allowed = sorted(getattr(error, "valid_methods", None) or ())
            return f"{request.method} does not apply to {request.path}; allowed are {', '.join(allowed)}."
        case _:
            return error.description or CODES[HTTP[error.code or 500]][1]


def _answer_database(error: Exception) -> Response:
    """Say that the database is away or full, never in a driver's words; other faults of a query are crashes of ours."""
    if _is_full(error):
        return make_problem("storage_full", "The database has no space left.")
    if isinstance(error, DATABASE_AWAY) or getattr(error, "connection_invalidated", False):
        log.warning("database unavailable", request_id=g.request_id, error=str(getattr(error, "orig", error)))
        return make_problem("database_unavailable", "The database does not answer. Try again soon.")
    return _answer_crash(error)


def _is_full(error: Exception) -> bool:
    driver_error = getattr(error, "orig", None)
    is_full_sqlite = getattr(driver_error, "sqlite_errorname", None) == "SQLITE_FULL"
    return is_full_sqlite or getattr(driver_error, "sqlstate", None) == "53100"


def _answer_storage(error: OSError) -> Response:
    if error.errno in NO_SPACE:
        return make_problem("storage_full", "The disk has no space left.")
    return _answer_crash(error)


def _answer_crash(error: Exception) -> Response:
    """The rim of a request: whatever nobody foresaw is logged whole and answered without detail."""
    cause = error.original_exception if isinstance(error, InternalServerError) else error
    log.error("request failed", request_id=g.request_id, path=quote(request.path), exc_info=cause or error)
    return make_problem("internal_error", "The service failed. The log has the reason under this request_id.")
