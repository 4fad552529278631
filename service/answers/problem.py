"""The one shape of every refusal (RFC 9457), and the catalogue of its codes."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from service.errors import Fault

MEDIA_TYPE = "application/problem+json"

CODES: dict[str, tuple[int, str]] = {
    "malformed_request": (400, "The request is malformed"),
    "malformed_json": (400, "The body is not JSON"),
    "unauthorized": (401, "A valid API key is needed"),
    "forbidden": (403, "The key does not allow this"),
    "host_not_allowed": (403, "The Host header names another machine"),
    "origin_not_allowed": (403, "Another site may not do this"),
    "not_found": (404, "There is no such thing"),
    "not_yet": (404, "There is no such thing yet"),
    "no_best_yet": (404, "No quality metric has been measured yet"),
    "part_not_found": (404, "The checkpoint has no such part"),
    "method_not_allowed": (405, "The method does not apply here"),
    "format_unavailable": (406, "The format is not available"),
    "request_timeout": (408, "The request did not arrive in time"),
    "job_is_live": (409, "The job has not ended"),
    "job_is_terminal": (409, "The job has ended"),
    "job_is_not_running": (409, "The job does not run"),
    "job_is_cancelling": (409, "The job is being cancelled"),
    "sweep_is_live": (409, "A member of the sweep has not ended"),
    "dataset_in_use": (409, "A job needs the data set"),
    "webhook_is_disabled": (409, "The webhook is disabled"),
    "upload_given_up": (409, "The upload was given up"),
    "idempotency_key_reused": (409, "The Idempotency-Key was used with another body"),
    "file_missing": (410, "The file is gone"),
    "file_damaged": (410, "The file is damaged"),
    "body_too_large": (413, "The body is too large"),
    "uri_too_long": (414, "The address is too long"),
    "unsupported_media_type": (415, "The body is of another type"),
    "range_not_satisfiable": (416, "The range lies outside the file"),
    "invalid_input": (422, "The input breaks rules"),
    "too_rare": (422, "Next to no row meets the conditions"),
    "samples_too_large": (422, "The samples need more memory than there is"),
    "samples_too_slow": (422, "The samples take too long"),
    "quota_exceeded": (429, "A quota is used up"),
    "header_too_large": (431, "The headers are too large"),
    "internal_error": (500, "The service failed"),
    "sampling_failed": (500, "The samples could not be drawn"),
    "export_failed": (500, "The generator could not be exported"),
    "too_many_pictures": (503, "Too many pictures are made at once"),
    "too_many_uploads": (503, "Too many uploads come in at once"),
    "too_many_watchers": (503, "Too many clients watch at once"),
    "database_unavailable": (503, "The database is away"),
    "storage_unavailable": (503, "The storage is away"),
    "storage_full": (507, "The storage is full"),
}
PROBLEM_HEADERS: dict[int, dict[str, str]] = {
    401: {"WWW-Authenticate": "How to send a key."},
    404: {"Retry-After": "Seconds to wait for what is not there yet."},
    415: {"Accept": "The media type to send."},
    416: {"Content-Range": "The size of the file."},
    429: {"Retry-After": "Seconds to wait."},
    503: {"Retry-After": "Seconds to wait."},
    507: {"Retry-After": "Seconds to wait."},
}
RETRYABLE = frozenset(
    {
        "not_yet",
        "no_best_yet",
        "request_timeout",
        "quota_exceeded",
        "internal_error",
        "sampling_failed",
        "export_failed",
        "upload_given_up",
        "too_many_pictures",
        "too_many_uploads",
        "too_many_watchers",
        "database_unavailable",
        "storage_unavailable",
        "storage_full",
    }
)


class FaultAnswer(BaseModel):
    """One thing that is wrong with an input."""

    pointer: str = Field(description="JSON pointer into the body, or the name of a parameter.")
    code: str = Field(description="Stable name of the rule.")
    message: str = Field(description="What is wrong, for people.")
    allowed: Any = Field(description="What would be right, where it can be said.")
    got: Any = Field(description="What came.")

    @classmethod
    def of(cls, fault: Fault) -> "FaultAnswer":
        """Tell a fault of the domain."""
        return cls.model_validate(fault, from_attributes=True)


class Problem(BaseModel):
    """A refusal. Programs go by `code`, people read `detail`."""

    type: str = Field(description="URN of the code.")
    title: str = Field(description="What the code means.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened this time.")
    instance: str = Field(description="Path of the request.")
    code: str = Field(description="Stable name of the problem.", json_schema_extra={"enum": [*sorted(CODES)]})
    errors: list[FaultAnswer] = Field(description="Every fault of an invalid input, else empty.")
    request_id: str = Field(description="Id of the request, also in X-Request-Id and in the log.")
    retryable: bool = Field(description="Whether the same request may succeed later.")

    @classmethod
    def of(cls, code: str, detail: str, *, instance: str, request_id: str, faults: Sequence[Fault] = ()) -> "Problem":
        """Tell a refusal of the catalogue."""
        status, title = CODES[code]
        return cls(
            type=f"urn:ganymede:problem:{code}",
            title=title,
            status=status,
            detail=detail,
            instance=instance,
            code=code,
            errors=[FaultAnswer.of(fault) for fault in faults],
            request_id=request_id,
            retryable=code in RETRYABLE,
        )
