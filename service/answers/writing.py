"""How answers become bytes: JSON with a tag for If-None-Match, pages with a link to the next."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlencode

import orjson
from flask import Request, Response
from pydantic import BaseModel, Field, GetJsonSchemaHandler, PlainSerializer
from pydantic_core import CoreSchema

from service.clock import rfc3339
from service.spec.job import JobSpec
from service.store.pages import Page
from service.version import VERSION

T = TypeVar("T")

Moment = Annotated[datetime, PlainSerializer(rfc3339)]


class _DescribedAsSpec:
    """Gives a stored spec the schema of the spec. It is not validated again: bounds may be narrower than they were."""

    @classmethod
    def __get_pydantic_json_schema__(cls, _: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(JobSpec.__pydantic_core_schema__)


StoredSpec = Annotated[dict[str, Any], _DescribedAsSpec]


class PageAnswer(BaseModel, Generic[T]):
    """A page of a list."""

    data: list[T]
    has_more: bool
    next_cursor: str | None = Field(description="The cursor of the next page; also in the Link header.")


def json_answer(answer: BaseModel, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a model as JSON."""
    response = Response(answer.model_dump_json(), status, mimetype="application/json")
    response.headers.extend(dict(headers or {}))
    return response


def tagged(response: Response, request: Request) -> Response:
    """Tag an answer by its content, and answer 304 to a client that has it. Weak, for gzip may change the bytes."""
    response.add_etag(weak=True)
    response.make_conditional(request)
    return response


def page_answer(model: type[PageAnswer[T]], data: list[T], page: Page[Any], request: Request) -> Response:
    """Return a page with a Link header to the next one."""
    answer = model(data=data, has_more=page.next_cursor is not None, next_cursor=page.next_cursor)
    return tagged(json_answer(answer, headers=_link_to_next(page, request)), request)


def tagged_by(request: Request, *facts: object) -> Response:
    """Return an answer without a body, tagged by what it depends on; it is 304 already for a client that has it.

    So nothing need be read or built to know. The facts have to tell everything that can change the answer but its URL.
    """
    moment = repr((VERSION, request.full_path, *facts))
    response = Response(mimetype="application/json")
    response.set_etag(hashlib.sha256(moment.encode()).hexdigest()[:32], weak=True)
    response.make_conditional(request)
    response.headers.remove("Content-Length")  # that of no body, which a streamed one would keep
    return response


def tagged_page(page: Page[Any], request: Request, *facts: object) -> Response:
    """Return a page without a body, tagged by what it depends on, with a Link header to the next one."""
    response = tagged_by(request, page.next_cursor, *facts)
    response.headers.extend(_link_to_next(page, request))
    return response


def join_page(data: Sequence[bytes], page: Page[Any]) -> bytes:
    """Return the JSON of a page of what is JSON already."""
    rest = orjson.dumps({"has_more": page.next_cursor is not None, "next_cursor": page.next_cursor})
    return b'{"data":[' + b",".join(data) + b"]," + rest.removeprefix(b"{")


def _link_to_next(page: Page[Any], request: Request) -> dict[str, str]:
    if page.next_cursor is None:
        return {}
    query = urlencode([*_without_cursor(request), ("cursor", page.next_cursor)])
    return {"Link": f'<{request.path}?{query}>; rel="next"'}


def _without_cursor(request: Request) -> list[tuple[str, str]]:
    return [(name, value) for name, value in request.args.items(multi=True) if name != "cursor"]
