"""What a client sent, read strictly: JSON bodies and query parameters become models, every fault at once.

flask-openapi could do this too, but it takes a malformed body for none and any media type for JSON.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeVar

import orjson
from flask import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.errors import Fault, InvalidInput, NotFound
from service.problems import Refused
from service.spec.faults import MOST_FAULTS, faults_of, pointer_to
from service.spec.job import JobSpec
from service.spec.resolve import parse_spec

_REPEATED = "given more than once"
_NUL = "must not hold the NUL character"  # which PostgreSQL cannot store
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
    return read_values(model, values, [Fault(name, "repeated", _REPEATED) for name in repeated])


def read_values(model: type[Model], values: Mapping[str, Any], faults: Sequence[Fault] = ()) -> Model:
    """Return named values, as of a query or a form; raise InvalidInput naming each that breaks a rule.

    faults are those already found.
    """
    found = [
        *faults,
        *(Fault(name, "nul_character", _NUL) for name in values if _holds_nul(values[name])),
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
        value = orjson.loads(data)
        as_written = json.loads(data, object_pairs_hook=_Pairs, parse_int=str, parse_float=str)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise Refused("malformed_json", f"The body is not JSON: {error}.") from None
    if faults := [*islice(_faults_as_written(as_written), MOST_FAULTS)]:
        raise InvalidInput(faults)
    return value


class _Pairs(list[tuple[str, Any]]):
    """An object as it is written: its names with their values."""


@dataclass(frozen=True)
class _Place:
    """Where a value stands: its name in what holds it. A whole path for each of many deep values would be too much."""

    name: str | int
    within: "_Place | None"

    @property
    def pointer(self) -> str:
        names, place = [self.name], self.within
        while place is not None:
            names.append(place.name)
            place = place.within
        return pointer_to(reversed(names))


def _faults_as_written(body: Any) -> Iterator[Fault]:
    """Yield what no model sees: names that an object has more than once, of which readers take any one, and NUL.

    No recursion: the depth is the client's.
    """
    waiting: list[tuple[_Place | None, Any]] = [(None, body)]
    while waiting:
        place, part = waiting.pop()
        if isinstance(part, _Pairs):
            times = Counter(name for name, _ in part)
            yield from (Fault(_Place(name, place).pointer, "repeated", _REPEATED) for name in times if times[name] > 1)
            yield from (Fault(place.pointer if place else "", "nul_character", _NUL) for name in times if "\0" in name)
            waiting += [(_Place(name, place), value) for name, value in part]
        elif isinstance(part, list):
            waiting += [(_Place(number, place), value) for number, value in enumerate(part)]
        elif isinstance(part, str) and "\0" in part:
            yield Fault(place.pointer if place else "", "nul_character", _NUL)


def _takes_many(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", None) is list


def _holds_nul(value: str | list[str]) -> bool:
    return any("\0" in text for text in ([value] if isinstance(value, str) else value))
