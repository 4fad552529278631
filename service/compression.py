"""Gzip for answers that shrink by it. Files are left as they are, for their ETag is the hash of their bytes."""

import gzip

from flask import Request, Response

SMALLEST_BYTES = 1_400  # an answer that fits one packet gains nothing
LEVEL = 5  # JSON of losses: a third larger than level 9 at a fifth of the time
TEXTUAL = frozenset(
    {
        "application/json",
        "application/problem+json",
        "application/x-ndjson",
        "image/svg+xml",
        "text/css",
        "text/csv",
        "text/html",
        "text/javascript",
        "text/plain",
    }
)


def compress(response: Response, request: Request) -> Response:
    """Compress a textual answer where the client takes gzip."""
    if response.mimetype not in TEXTUAL or response.direct_passthrough or response.status_code in (204, 206, 304):
        return response
    response.vary.add("Accept-Encoding")
    if not request.accept_encodings.quality("gzip") or "Content-Encoding" in response.headers:
        return response
    data = response.get_data()
    if len(data) >= SMALLEST_BYTES:
        response.set_data(gzip.compress(data, LEVEL, mtime=0))  # no time: the same answer is the same bytes
        response.headers["Content-Encoding"] = "gzip"
    return response
