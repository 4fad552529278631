"""Answers kept as they are sent, by their tag: of many who ask for the same news, one has it built and compressed."""

from collections.abc import Callable
from typing import TypeVar

from flask import Request, Response
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from service.compression import compress
from service.db import glancing, reading
from service.recent import Recent

MOST = 256
LARGEST_BYTES = 64 * 1024  # so that all of them take 16 MiB at most
Key = tuple[str, bool]
Found = TypeVar("Found")


class KeptAnswers:
    """Remembers the bodies sent last. A tag must tell everything that a body depends on, who may see it included."""

    def __init__(self, most: int = MOST) -> None:
        self._known: Recent[Key, tuple[bytes, str | None]] = Recent(most)

    def answer(
        self,
        engine: Engine,
        request: Request,
        look: Callable[[Session], tuple[Response, Found]],
        build: Callable[[Session, Found], bytes],
    ) -> Response:
        """Answer with what is kept, or build it from one state of the database.

        `look` returns an answer that has its tag and no body yet, and what it has found to build that of. Where nothing
        is new, which is most often, a glance is all that the database is asked for.
        """
        with glancing(engine) as session:
            response, _ = look(session)
        if self.fill(response, request):
            return response
        with reading(engine) as session:
            response, found = look(session)
            if self.fill(response, request):
                return response
            response.set_data(build(session, found))
        return self.keep(response, request)

    def fill(self, response: Response, request: Request) -> bool:
        """Give a tagged answer the body that is kept; tell whether nothing need be built, as for a 304 either."""
        if response.status_code == 304:
            return True
        kept = self._known.recall(_key(response, request))
        if kept is None:
            return False
        body, encoding = kept
        response.set_data(body)
        if encoding is not None:
            response.headers["Content-Encoding"] = encoding
        return True

    def keep(self, response: Response, request: Request) -> Response:
        """Compress a whole tagged answer where its client takes gzip, and remember it unless it is large."""
        compress(response, request)
        body = response.get_data()
        if len(body) <= LARGEST_BYTES:
            self._known.remember(_key(response, request), (body, response.headers.get("Content-Encoding")))
        return response


def _key(response: Response, request: Request) -> Key:
    return response.headers["ETag"], bool(request.accept_encodings.quality("gzip"))
