"""Reads from the command line which values a sweep varies, such as optimizer.generator.lr=1e-5..1e-2:log."""

import json
import re
from collections.abc import Sequence
from typing import Any

import click

from ganymede.spec_arguments import read_value

_RANGE = re.compile(r"(?P<low>[^,:]+?)\.\.(?P<high>[^,:]+)(:(?P<how>.+))?")


def read_search(arguments: Sequence[str], *, draws: bool) -> dict[str, Any]:
    """Return the values by path: lists for a grid, or what they are drawn from; raise BadParameter for neither."""
    return dict(_read(argument, draws=draws) for argument in arguments)


def _read(argument: str, *, draws: bool) -> tuple[str, Any]:
    path, equals, text = argument.partition("=")
    if not (equals and path and text):
        raise click.BadParameter(f"{argument!r} is no PATH=VALUES")
    bounds = _RANGE.fullmatch(text)
    if bounds is not None and not draws:
        raise click.BadParameter(f"{argument!r}: values between bounds are drawn; say --random or --asha, or list them")
    if bounds is not None:
        return path, _interval(**bounds.groupdict())
    values = _values(text)
    return path, {"choices": values} if draws else values


def _interval(low: str, high: str, how: str | None) -> dict[str, Any]:
    interval = {"low": read_value(low), "high": read_value(high)}
    if how is None:
        return interval
    return interval | ({"log": True} if how == "log" else {"step": read_value(how)})


def _values(text: str) -> list[Any]:
    """Return a JSON array as it is, else what stands between commas."""
    if text.startswith("["):
        try:
            return list(json.loads(text))
        except ValueError as error:
            raise click.BadParameter(f"{text!r} is no JSON array: {error}") from error
    return [read_value(value) for value in text.split(",")]
