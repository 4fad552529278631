"""Reads a job's spec from the command line: files and assignments such as loop.max_steps=300."""

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click


def read_spec(arguments: Sequence[str]) -> dict[str, Any]:
    """Merge JSON files (`-` is standard input) and assignments from left to right; later ones win."""
    spec: dict[str, Any] = {}
    for argument in arguments:
        merge(spec, _assignment(argument) if "=" in argument else _document(argument))
    return spec


def merge(target: dict[str, Any], overrides: dict[str, Any]) -> None:
    """Put the overrides into the target; objects are merged, everything else is replaced."""
    for key, value in overrides.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            merge(target[key], value)
        else:
            target[key] = value


def _assignment(argument: str) -> dict[str, Any]:
    path, _, text = argument.partition("=")
    spec: Any = read_value(text)
    for key in reversed(path.split(".")):
        spec = {key: spec}
    return dict(spec)


def read_value(text: str) -> Any:
    """Return the JSON that a text is, else the text itself."""
    try:
        return _parse(text)
    except ValueError:
        return text  # dataset=digits needs no quotes


def _parse(text: str) -> Any:
    """Return the value of a JSON text; raise ValueError for numbers that JSON has not, which Python would take."""
    return json.loads(text, parse_constant=_finite, parse_float=_finite)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"JSON has no number {text}")
    return number


def _document(name: str) -> dict[str, Any]:
    try:
        spec = _parse(sys.stdin.read() if name == "-" else Path(name).read_text())
    except FileNotFoundError as error:
        raise click.BadParameter(f"{name} is neither a file nor KEY=VALUE") from error
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{name}: {error}") from error
    if not isinstance(spec, dict):
        raise click.BadParameter(f"{name} holds no JSON object")
    return spec
