"""How routes are declared, and the OpenAPI document made of them. The only module that knows flask-openapi.

The library collects paths and parameters. What it gets wrong is done here: bodies and queries are read by
service.binding, problems are documented on every route, schemas come whole from pydantic.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from http import HTTPStatus
from typing import Any, get_type_hints

from flask import Response, request
from flask_openapi.models.info import Info
from flask_openapi.models.tag import Tag
from flask_openapi.openapi import OpenAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.answers.problem import CODES, MEDIA_TYPE, PROBLEM_HEADERS, Problem
from service.auth import admit
from service.binding import Query, needs_body, read_body, read_path, read_query
from service.problems import Refused
from service.store.keys import Scope
from service.version import VERSION
from service.web import Web

OPENAPI_VERSION = "3.1.1"
REFERENCE = "#/components/schemas/{model}"
DESCRIPTION = "GAN training as a service: post a job, watch every number the theory defines, download samples."

View = Callable[..., Response]


@dataclass(frozen=True)
class Reply:
    """A successful answer as the document tells it: a JSON model, or bytes of some media types."""

    description: str
    model: type[BaseModel] | None = None
    media_types: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Route:
    """One operation. `scope` is what a key must allow, None for what everybody may see."""

    method: str
    rule: str
    view: View
    replies: Mapping[int, Reply]
    problems: tuple[int, ...]
    scope: Scope | None
    request_headers: Mapping[str, str]
    request_content: Mapping[str, Any]

    @property
    def needs_database(self) -> bool:
        """Tell whether nothing can be answered while the database is away."""
        return self.scope is not None or 503 in self.problems

    @cached_property
    def hints(self) -> dict[str, type[BaseModel]]:
        """The models of what the view reads: path, query, body."""
        hints = get_type_hints(self.view)
        return {name: hints[name] for name in ("path", "query", "body") if name in hints}


class Routes:
    """The routes of one noun. A view names what it needs among web, caller, path, query and body."""

    def __init__(self, noun: str, description: str) -> None:
        self.tag = Tag(name=noun, description=description)
        self.routes: list[Route] = []

    def add(
        self,
        method: str,
        rule: str,
        *,
        replies: Mapping[int, Reply],
        problems: tuple[int, ...] = (),
        scope: Scope | None = "read",
        request_headers: Mapping[str, str] | None = None,
        request_content: Mapping[str, Any] | None = None,
    ) -> Callable[[View], View]:
        """Declare an operation; its docstring is its documentation for users.

        request_content describes by media type a body that the view reads itself.
        """

        def declare(view: View) -> View:
            self.routes.append(
                Route(method, rule, view, replies, problems, scope, request_headers or {}, request_content or {})
            )
            return view

        return declare


def make_api(import_name: str, web: Web, nouns: Sequence[Routes], **flask_options: Any) -> OpenAPI:
    """Return a Flask application with these routes, their document at /openapi.json."""
    api = OpenAPI(
        import_name,
        info=Info(title="Ganymede", version=VERSION, description=DESCRIPTION),
        security_schemes={"key": {"type": "http", "scheme": "bearer", "description": "From `ganymede keys create`."}},
        doc_ui=False,
        **flask_options,
    )
    api.url_map.merge_slashes = False  # an empty id is not there; werkzeug would redirect to a page in HTML
    for noun in nouns:
        for route in noun.routes:
            _register(api, web, noun.tag, route)
    document = _document(api, [route for noun in nouns for route in noun.routes])
    api.extensions["openapi_document"] = document
    return api


def _register(api: OpenAPI, web: Web, tag: Tag, route: Route) -> None:
    summary, _, description = inspect.cleandoc(route.view.__doc__ or "").partition("\n")
    declare = {"GET": api.get, "POST": api.post, "PATCH": api.patch, "DELETE": api.delete}[route.method]
    declare(
        route.rule,
        tags=[tag],
        operation_id=route.view.__name__,
        summary=summary.rstrip(".").replace("`", ""),  # plain text, unlike descriptions
        description=description.strip() or None,
        responses=dict(_documented_answers(route)),
        security=[{"key": [route.scope]}] if route.scope and web.settings.keys_required else None,
    )(_make_endpoint(web, route))


def _make_endpoint(web: Web, route: Route) -> View:
    """Return the function that flask-openapi registers: it admits the caller and reads what the view names."""
    wanted = frozenset(inspect.signature(route.view).parameters)
    hints = route.hints
    # Where the API knows no parameter, one that is given is refused all the same, never ignored.
    read_names = [name for name in ("path", "query", "body") if name in wanted or (name == "query" and route.scope)]
    readers: dict[str, Callable[[dict[str, str]], BaseModel]] = {
        "path": lambda values: read_path(hints["path"], values),
        "query": lambda _: read_query(hints.get("query", Query), request),
        "body": lambda _: read_body(hints["body"], request),
    }

    def endpoint(**path_values: str) -> Response:
        if route.needs_database and web.probe.is_away():
            raise Refused("database_unavailable", "The database does not answer. Try again soon.")
        given: dict[str, Any] = {"web": web}
        if route.scope:
            given["caller"] = admit(request, engine=web.engine, settings=web.settings, scope=route.scope)
        given |= {name: readers[name](path_values) for name in read_names}
        return route.view(**{name: value for name, value in given.items() if name in wanted})

    endpoint.__name__ = route.view.__name__
    endpoint.__annotations__ = {name: hint for name, hint in hints.items() if name != "body"}
    endpoint.__delay_validate_request__ = True  # type: ignore[attr-defined]  # the library's way to leave reading to us
    return endpoint


def _documented_answers(route: Route) -> Iterator[tuple[str, dict[str, Any]]]:
    for status, reply in sorted(route.replies.items()):
        yield str(status), _documented_reply(reply)
    for status in sorted({*_implied_problems(route), *route.problems}):
        yield str(status), _documented_problem(status)


def _documented_reply(reply: Reply) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if reply.model is not None:  # first, for generators of clients take the first that they know
        content["application/json"] = {"schema": {"$ref": REFERENCE.format(model=reply.model.__name__)}}
    content |= {name: {"schema": {}} for name in reply.media_types}
    headers = _documented_headers(reply.headers)
    return {"description": reply.description, "content": content or None, "headers": headers}


def _documented_problem(status: int) -> dict[str, Any]:
    codes = ", ".join(f"`{code}`" for code, (its_status, _) in CODES.items() if its_status == status)
    return {
        "description": f"{HTTPStatus(status).phrase}: {codes}.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": REFERENCE.format(model=Problem.__name__)}}},
        "headers": _documented_headers(PROBLEM_HEADERS.get(status, {})),
    }


def _documented_headers(headers: Mapping[str, str]) -> dict[str, Any]:
    named = {"X-Request-Id": "Id of the request, also in the log.", **headers}
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in named.items()}


def _implied_problems(route: Route) -> set[int]:
    """Name the refusals that follow from what a route reads."""
    implied = {400, 403, 414, 431, 500}
    if route.scope:
        implied |= {401}
    if route.scope == "submit":
        implied |= {507}
    if route.needs_database:
        implied |= {503}
    if "path" in route.hints:
        implied |= {404}
    if "query" in route.hints or route.scope:
        implied |= {422}
    if "body" in route.hints or route.request_content:
        implied |= {408, 413, 415, 422}
    return implied


def _document(api: OpenAPI, routes: Sequence[Route]) -> dict[str, Any]:
    """Finish the library's document: the version, bodies and request headers, schemas that lose no keyword."""
    api.openapi_version = OPENAPI_VERSION
    document: dict[str, Any] = api.api_doc
    for route in routes:
        path = route.rule.replace("<", "{").replace(">", "}")
        operation = document["paths"][path][route.method.lower()]
        documented = {str(status) for status in (*route.replies, *_implied_problems(route), *route.problems)}
        operation["responses"] = {status: operation["responses"][status] for status in sorted(documented)}
        if "body" in route.hints:
            schema = {"$ref": REFERENCE.format(model=route.hints["body"].__name__)}
            content = {"application/json": {"schema": schema}}
            operation["requestBody"] = {"required": needs_body(route.hints["body"]), "content": content}
        if route.request_content:
            operation["requestBody"] = {"required": True, "content": dict(route.request_content)}
        operation.setdefault("parameters", []).extend(
            {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
            for name, text in route.request_headers.items()
        )
    document["components"]["schemas"] = _schemas(tuple(_models(routes)))
    return document


def _models(routes: Sequence[Route]) -> dict[type[BaseModel], None]:
    """Return every model that an operation refers to, each once, in order."""
    models: dict[type[BaseModel], None] = {Problem: None}
    for route in routes:
        models |= {reply.model: None for reply in route.replies.values() if reply.model is not None}
        models |= {hint: None for name, hint in route.hints.items() if name == "body"}
    return models


@cache
def _schemas(models: tuple[type[BaseModel], ...]) -> dict[str, Any]:
    _, schemas = models_json_schema([(model, "validation") for model in models], ref_template=REFERENCE)
    return dict(sorted(schemas["$defs"].items()))
