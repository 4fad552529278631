"""Gzip for answers that shrink by it. Files are left as they are, for their ETag is the hash of their bytes."""

import zlib
from collections.abc import Iterable, Iterator

from flask import Request, Response

SMALLEST_BYTES = 1_400  # an answer that fits one packet gains nothing
LEVEL = 3
_GZIP = 31  # zlib's word for a gzip header, which it writes without a time: the same answer is the same bytes
TEXTUAL = frozenset(
    {
        "application/json",
        "application/problem+json",
        "application/schema+json",
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
    if response.mimetype not in TEXTUAL or response.direct_passthrough or response.status_code in (204, 304):
        return response
    response.vary.add("Accept-Encoding")
    if "Content-Encoding" in response.headers or not request.accept_encodings.quality("gzip"):
        return response
    if not response.is_streamed and len(response.get_data()) < SMALLEST_BYTES:
        return response
    packed = _pack(response.iter_encoded())
    if response.is_streamed:
        response.response = packed
        response.headers.pop("Content-Length", None)
    else:
        response.set_data(b"".join(packed))
    response.headers["Content-Encoding"] = "gzip"
    return response


def _pack(pieces: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, _GZIP)
    for piece in pieces:
        yield packer.compress(piece)
    yield packer.flush()
