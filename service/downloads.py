"""Sending a blob: verified, streamed, in parts where a client asks for a range."""

from typing import IO, Any, cast

from flask import Request, Response
from werkzeug.wsgi import FileWrapper

from service.api import Reply
from service.blobs import open_verified
from service.web import Web

PIECE_BYTES = 64 * 1024
MEDIA_TYPES = {
    "csv": "text/csv",
    "gif": "image/gif",
    "npz": "application/octet-stream",
    "onnx": "application/octet-stream",
    "parquet": "application/vnd.apache.parquet",
    "png": "image/png",
    "pt2": "application/octet-stream",
    "safetensors": "application/octet-stream",
    "wav": "audio/wav",
    "zip": "application/zip",
}
HEADERS = {
    "Accept-Ranges": "bytes.",
    "Content-Disposition": "A name for the file.",
    "Content-Length": "Bytes that follow.",
    "ETag": "SHA-256 of the whole file.",
}
SAME_FILE = Reply("Not modified since the ETag of If-None-Match.", headers=HEADERS)
REQUEST_HEADERS = {
    "If-None-Match": "ETag of what the client has; 304 when nothing changed.",
    "If-Range": "Send the range only while the file has this ETag, else all of it.",
    "Range": "The part of the file that is wanted, as bytes=FIRST-LAST.",
}


def send_file(web: Web, file: dict[str, Any], *, name: str, request: Request) -> Response:
    """Stream a recorded file; raise BlobMissing or BlobDamaged before the first byte is sent.

    Content encodings are left alone: the ETag is the hash of the bytes as they are.
    """
    # Every time anew: a disk may rot after the first download. From the same open file: nothing comes in between.
    reader = open_verified(web.blobs, file)
    try:
        response = Response(
            FileWrapper(cast("IO[bytes]", reader), PIECE_BYTES), mimetype=MEDIA_TYPES[name.rpartition(".")[2]]
        )
        response.direct_passthrough = True
        response.content_length = file["size"]
        response.headers["Content-Disposition"] = f'inline; filename="{name}"'
        response.set_etag(file["sha256"])
        response.headers["Accept-Ranges"] = "bytes"
        response.make_conditional(request, accept_ranges=_asks_for_one_range(request), complete_length=file["size"])
    except BaseException:
        reader.close()
        raise
    response.call_on_close(reader.close)
    return response


def _asks_for_one_range(request: Request) -> bool:
    """Tell whether a range is to be sent; a malformed one and several at once are ignored (RFC 9110, section 14.2)."""
    return request.range is not None and request.range.units == "bytes" and len(request.range.ranges) == 1
