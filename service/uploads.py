"""An upload as it comes in, in pieces: the framing of a form is read here, nothing of the file itself ever is."""

from collections.abc import Iterator
from typing import IO

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData, Preamble

from service.errors import Fault, InvalidInput
from service.problems import Refused

FORM = "multipart/form-data"
RAW = "application/octet-stream"
FILE_PART = "file"
PIECE_BYTES = 64 * 1024
MAX_PARTS = 32
_MAX_BOUNDARY = 70  # characters (RFC 2046, section 5.1.1)
_MAX_FIELD_BYTES = 4 * 1024
_MAX_HELD_BYTES = 2 * PIECE_BYTES  # a piece, behind the headers of a part or what may be half a boundary


class Whole:
    """A body that is read to the length it was announced with; one that ends early is no body at all.

    Werkzeug trusts a server that ends the stream by itself, and Gunicorn ends it in silence when the client goes away.
    """

    def __init__(self, stream: IO[bytes], length: int | None) -> None:
        self._stream, self._missing = stream, length

    def read(self, size: int) -> bytes:
        """Return at most so many bytes, none at the end; raise Refused when the client has gone away."""
        piece = self._stream.read(size)
        if self._missing is not None:
            self._missing -= len(piece)
            if not piece and self._missing > 0:
                raise Refused("malformed_request", f"The body broke off {self._missing} bytes before its end.")
        return piece


class RawBody:
    """A body that is the file itself; what else there is to say stands in the query."""

    def __init__(self, stream: Whole) -> None:
        self.fields: dict[str, str] = {}
        self._stream = stream

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes of the file."""
        while piece := self._stream.read(PIECE_BYTES):
            yield piece


class FormBody:
    """A form with one file; `fields` is whole once the pieces have been read to their end."""

    def __init__(self, stream: Whole, boundary: str) -> None:
        self.fields: dict[str, str] = {}
        self._stream = stream
        self._boundary = boundary.encode("latin-1")

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes of the file; raise Refused for what is no form, InvalidInput for one without a file."""
        has_file = False
        part, value = "", b""
        for event in self._events():
            match event:
                case File(name=name) | Field(name=name):
                    part, value = self._check_name(name, has_file=has_file), b""
                    has_file = has_file or part == FILE_PART
                case Data(data=data) if part == FILE_PART:
                    yield data
                case Data(data=data, more_data=more_data):
                    value += data
                    self._keep_field(part, value, is_whole=not more_data)
        if not has_file:
            raise InvalidInput([Fault(FILE_PART, "missing", "the form has no file of this name")])

    def _check_name(self, name: str | None, *, has_file: bool) -> str:
        if not name:
            raise Refused("malformed_request", "A part of the form has no name.")
        if name in self.fields or (name == FILE_PART and has_file):
            raise InvalidInput([Fault(name[:64], "repeated", "given more than once")])
        return name

    def _keep_field(self, name: str, value: bytes, *, is_whole: bool) -> None:
        if len(value) > _MAX_FIELD_BYTES:
            message = f"longer than {_MAX_FIELD_BYTES} bytes; the data goes into the part {FILE_PART}"
            raise InvalidInput([Fault(name[:64], "too_long", message)])
        if is_whole:
            try:
                self.fields[name] = value.decode()
            except UnicodeDecodeError:
                raise InvalidInput([Fault(name[:64], "not_utf8", "must be UTF-8 text")]) from None

    def _events(self) -> Iterator[Event]:
        decoder = MultipartDecoder(self._boundary, _MAX_HELD_BYTES, max_parts=MAX_PARTS)
        is_over = False
        while not is_over:
            piece = self._stream.read(PIECE_BYTES)
            is_over = not piece
            try:
                decoder.receive_data(piece or None)
                while not isinstance(event := decoder.next_event(), NeedData | Epilogue):
                    if not isinstance(event, Preamble):
                        yield event
            except RequestEntityTooLarge:
                detail = f"The form has more than {MAX_PARTS} parts, or headers without end."
                raise Refused("body_too_large", detail) from None
            except ValueError as error:
                raise Refused("malformed_request", f"The form cannot be read: {error}.") from None


def open_body(request: Request, max_bytes: int) -> RawBody | FormBody:
    """Return the body of an upload of at most so many bytes; raise Refused for one that is neither form nor file."""
    request.max_content_length = max_bytes
    media_type, options = parse_options_header(request.content_type or "")
    if media_type == RAW:
        return RawBody(Whole(request.stream, request.content_length))
    if media_type != FORM:
        detail = f"Send {FORM} or {RAW}, not {media_type or 'none'}."
        raise Refused("unsupported_media_type", detail, headers={"Accept": f"{FORM}, {RAW}"})
    boundary = options.get("boundary", "")
    if not 1 <= len(boundary) <= _MAX_BOUNDARY or not boundary.isascii():
        raise Refused("malformed_request", "The Content-Type names no boundary of 1 to 70 characters.")
    return FormBody(Whole(request.stream, request.content_length), boundary)
