"""What a client sent, read strictly: JSON bodies and query parameters become models, every fault at once.

flask-openapi could do this too, but it takes a malformed body for none and any media type for JSON.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import orjson
from flask import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.errors import Fault, InvalidInput, NotFound
from service.problems import Refused
from service.spec.faults import faults_of
from service.spec.job import JobSpec
from service.spec.resolve import parse_spec

Model = TypeVar("Model", bound=BaseModel)

_PARSERS: dict[Any, Callable[[object], Any]] = {JobSpec: parse_spec}  # of bodies that hold more than their models know


class Query(BaseModel):
    """Parent of all query models: text is coerced, unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PageQuery(Query):
    """Which page of a list."""

    limit: int = Field(50, ge=1, le=200, description="Most rows in a page.")
    cursor: str | None = Field(None, max_length=500, description="next_cursor of the page before.")


class Path(BaseModel):
    """Parent of all path models. What does not look like an id is simply not there."""

    model_config = ConfigDict(frozen=True)


def read_path(model: type[Model], values: dict[str, Any]) -> Model:
    """Return the variable parts of a path; raise NotFound for what can be no id of ours."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        part = str(error.errors()[0]["loc"][0])
        raise NotFound(part.removesuffix("_id"), values[part]) from None


def read_query(model: type[Model], request: Request) -> Model:
    """Return the query parameters; raise InvalidInput naming each that is unknown, repeated or out of bounds."""
    given = request.args
    many = {name for name, field in model.model_fields.items() if _takes_many(field.annotation)}
    repeated = [name for name in given if len(given.getlist(name)) > 1 and name not in many]
    values = {name: given.getlist(name) if name in many else given[name] for name in given}
    return read_values(model, values, [Fault(name, "repeated", "given more than once") for name in repeated])


def read_values(model: type[Model], values: Mapping[str, Any], faults: Sequence[Fault] = ()) -> Model:
    """Return named values, as of a query or a form; raise InvalidInput naming each that breaks a rule.

    faults are those already found.
    """
    found = [
        *faults,
        *(Fault(name, "nul_character", "must not hold NUL") for name in values if _holds_nul(values[name])),
    ]
    try:
        read = model.model_validate(values)
    except ValidationError as error:
        found += [replace(fault, pointer=fault.pointer.lstrip("/")) for fault in faults_of(error, model)]
        raise InvalidInput(found) from None
    if found:
        raise InvalidInput(found)
    return read


def read_body(model: type[Model], request: Request) -> Model:
    """Return the JSON body; raise Refused for what is not JSON, InvalidInput for JSON that breaks rules.

    Where everything in it may be left out, all of it may.
    """
    data = request.get_data(cache=False)
    request.stream.read(1)  # werkzeug cuts a chunked body at the limit in silence, and refuses whoever reads on
    value = {} if not data and not needs_body(model) else _read_json(request, data)
    if _holds_nul(value):
        raise InvalidInput([Fault("", "nul_character", "text must not hold the NUL character")])
    parse: Callable[[object], Model] = _PARSERS.get(model, model.model_validate)
    try:
        return parse(value)
    except ValidationError as error:
        raise InvalidInput(faults_of(error, model)) from None


def needs_body(model: type[BaseModel]) -> bool:
    """Tell whether a body must say something."""
    return any(field.is_required() for field in model.model_fields.values())


def _read_json(request: Request, data: bytes) -> Any:
    if not request.is_json:
        got = request.content_type or "none"
        raise Refused(
            "unsupported_media_type", f"Send application/json, not {got}.", headers={"Accept": "application/json"}
        )
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Refused("malformed_json", f"The body is not JSON: {error}.") from None


def _takes_many(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", None) is list


def _holds_nul(value: Any) -> bool:
    """Tell whether any text in a JSON value holds NUL, which PostgreSQL cannot store. No recursion: depth is theirs."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str) and "\0" in part:
            return True
        if isinstance(part, dict):
            waiting += [*part.keys(), *part.values()]
        elif isinstance(part, list):
            waiting += part
    return False
