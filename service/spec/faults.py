"""Validation errors of pydantic told as faults: where, what was wrong, what would be right."""

import difflib
import json
import re
import reprlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from service.errors import Fault

MOST_FAULTS = 100  # nobody reads more, and to look up a nearest name for each key of a large body takes minutes
MOST_UNKNOWN = 10  # names that a nearest one is looked up for: among a thousand that takes some 40 ms
MOST_NAMES = 100  # of those that would be right, in one fault
_MOST_COMPARED = 1_000

_LIMITS = {"ge": "minimum", "gt": "above", "le": "maximum", "lt": "below"}
_HIDDEN = {"error", "class_name", "field_type", "actual_length"}  # of pydantic's context: tells nothing to a client
_KINDS = {
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "tuple_type": "must be an array",
    "list_type": "must be an array",
}
_QUOTED = re.compile(r"'([^']*)'")  # a name in pydantic's list of those that it expects
_SHORT = 200  # characters of a refused value that an error repeats


def no_such(kind: str, known: Iterable[str]) -> PydanticCustomError:
    """Return what a validator raises for a name that stands for nothing of a kind."""
    return PydanticCustomError("unknown_name", "there is no such {kind}", {"kind": kind, "known": [*known]})


def faults_of(error: ValidationError, model: type[BaseModel]) -> list[Fault]:
    """Return the faults of a refused input, in its order. Unknown keys come with the nearest known name."""
    faults: dict[str, Fault] = {}
    for detail in error.errors(include_url=False)[:MOST_FAULTS]:
        fault = _fault(detail, model)
        if fault.pointer in faults and faults[fault.pointer].code == "literal_error":
            faults[fault.pointer] = _or_else(faults[fault.pointer], fault)
        # Of a union's members the one that took the value's kind tells more than one that did not.
        elif fault.pointer not in faults or (_is_about_kind(faults[fault.pointer]) and not _is_about_kind(fault)):
            faults[fault.pointer] = fault
    # Where a value may be a number or an object, an object's fault comes with one of "not a number": drop that.
    return [
        fault
        for pointer, fault in faults.items()
        if not any(other.startswith(pointer + "/") for other in faults if pointer)
    ]


def unknown_name(kind: str, pointer: str, name: str, known: Iterable[str]) -> Fault:
    """Return the fault of a name that stands for nothing, with the nearest one that does."""
    wrong, names = shorten(name), [shorten(each) for each in islice(known, _MOST_COMPARED)]
    nearest = difflib.get_close_matches(wrong, names, n=1)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    return Fault(pointer, "unknown_name", f"there is no {kind} {wrong!r}{hint}", names[:MOST_NAMES], wrong)


def list_names(names: Iterable[str]) -> list[str]:
    """Return some names fit for an error: the first of them, long ones cut."""
    return [shorten(name) for name in islice(names, MOST_NAMES)]


def _fault(detail: Any, model: type[BaseModel]) -> Fault:
    path, known = _plain_path(detail["loc"], model)
    code, context = detail["type"], detail.get("ctx", {})
    if code == "extra_forbidden":
        return _unknown_key(path, known)
    if code == "unknown_name":
        return unknown_name(context["kind"], pointer_to(path), detail["input"], context["known"])
    allowed: Any = {_LIMITS.get(key, key): value for key, value in context.items() if key not in _HIDDEN} or None
    if code == "literal_error":
        allowed = _QUOTED.findall(context["expected"])
    return Fault(
        pointer=pointer_to(path),
        code=code,
        message=_KINDS.get(code) or _sentence(detail["msg"]),
        allowed=allowed,
        got=None if code == "missing" else shorten(detail["input"]),
    )


def _or_else(names: Fault, other: Fault) -> Fault:
    """Join the faults of a value that may be one of some names or something else."""
    return replace(names, message=f"{names.message}, or {other.message.removeprefix('input should be ')}")


def _is_about_kind(fault: Fault) -> bool:
    """Tell whether the fault is that the value is of another kind, such as a text for a number."""
    return fault.code.endswith("_type")


def _unknown_key(path: list[str | int], known: list[str]) -> Fault:
    key = shorten(str(path[-1]))
    nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    hint = f"did you mean {nearest[0]}?" if nearest else f"known here: {', '.join(known)}"
    return Fault(pointer_to(path), "unknown_key", f"unknown key {key!r}; {hint}", allowed=nearest or known, got=key)


def _plain_path(location: tuple[str | int, ...], model: type[BaseModel]) -> tuple[list[str | int], list[str]]:
    """Drop the names of union members that pydantic puts into a location; also return the keys known at its parent."""
    path: list[str | int] = []
    known: list[str] = sorted(model.model_fields)
    choices: list[Any] = [model]
    for part in location:
        models = [choice for choice in choices if isinstance(choice, type) and issubclass(choice, BaseModel)]
        holder = next((m for m in models if part in m.model_fields), None)
        if holder is not None and isinstance(part, str):
            path.append(part)
            choices = list(_choices(holder.model_fields[part].annotation))
            continue
        named = [m for m in models if m.__name__ == part]
        if named:
            choices = list(named)
        elif not _names_a_type(part, choices):
            path.append(part)
            known = sorted({field for m in models for field in m.model_fields}) or known
            choices = [argument for choice in choices for argument in _choices(choice)]
    return path, known


def _names_a_type(part: str | int, choices: list[Any]) -> bool:
    """Tell whether a part of a location is no key: a member of a union such as `str`, or the mark `[key]`."""
    if not isinstance(part, str):
        return False
    types = {choice.__name__ for choice in choices if isinstance(choice, type)}
    return part in types or part == "[key]" or part.startswith(("constrained-", "function-", "list[", "literal["))


def _choices(annotation: Any) -> Iterator[Any]:
    """Yield the types that an annotation may hold, unions and Annotated opened."""
    arguments = get_args(annotation)
    if not arguments:
        yield annotation
    for argument in arguments:
        yield from _choices(argument)


def pointer_to(path: Iterable[str | int]) -> str:
    """Return the JSON pointer of a path of keys."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _sentence(message: str) -> str:
    message = message.removeprefix("Value error, ").replace(" after validation", "")
    return message if message[:2].isupper() else message[:1].lower() + message[1:]


def shorten(value: Any) -> Any:
    """Return a value fit for an error: scalars as they are, anything long, nested or not finite as a cut text."""
    if value is None or (isinstance(value, int | float) and abs(value) <= sys.float_info.max):
        return value
    text = value if isinstance(value, str) else _AS_JSON.repr(value)
    return text if len(text) <= _SHORT else text[:_SHORT] + "…"


class _AsJson(reprlib.Repr):
    """Leaves out what is long or deep, and spells the rest as clients do."""

    def repr_str(self, text: str, level: int) -> str:
        return json.dumps(text, ensure_ascii=False)

    def repr_bool(self, value: bool, level: int) -> str:
        return json.dumps(value)

    def repr_NoneType(self, value: None, level: int) -> str:  # noqa: N802 (reprlib looks for this name)
        return json.dumps(value)


_AS_JSON = _AsJson()
