"""Reads conditions on columns from the command line, such as contract=permanent or age=30..40."""

from collections.abc import Sequence
from typing import Any

import click

from ganymede.spec_arguments import read_value

BETWEEN = ".."


def read_conditions(arguments: Sequence[str]) -> dict[str, Any]:
    """Return what `where` takes; a column that is named several times may have any of the values.

    Raises:
        click.BadParameter: an argument is no condition, or one of several on a column is a range.
    """
    where: dict[str, Any] = {}
    for argument in arguments:
        column, is_given, text = argument.partition("=")
        if not is_given:
            raise click.BadParameter(f"{argument} is no condition; write COLUMN=VALUE or COLUMN=MINIMUM..MAXIMUM")
        where.setdefault(column, []).append(_wanted(text))
    for column, wanted in where.items():
        if len(wanted) > 1 and any(isinstance(each, dict) for each in wanted):
            raise click.BadParameter(f"{column} is named several times; it may have one range or any of several values")
    return {column: wanted[0] if len(wanted) == 1 else wanted for column, wanted in where.items()}


def _wanted(text: str) -> Any:
    minimum, is_range, maximum = text.partition(BETWEEN)
    if not is_range or text.startswith('"'):
        return read_value(text)
    bounds = {"minimum": minimum, "maximum": maximum}
    return {name: read_value(bound) for name, bound in bounds.items() if bound}
