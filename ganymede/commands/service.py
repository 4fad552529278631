"""Commands that run the service or look after it: up, api, worker, migrate, doctor, demo."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganymede.commands.connection import in_words
from ganymede.commands.output import as_json, show_json
from ganymede.exit_codes import ExitCode

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from service.settings import Settings


def load_settings() -> "Settings":
    """Read the settings; a wrong one ends the command with its name and fault."""
    from pydantic import ValidationError

    from service.settings import Settings

    try:
        return Settings()
    except ValidationError as error:
        raise click.ClickException("\n".join(_explain(Settings, fault) for fault in error.errors())) from error


def _explain(model: "type[Settings]", fault: "ErrorDetails") -> str:
    name = str(fault["loc"][0])
    wrong = "not of the right form" if fault["type"] == "string_pattern_mismatch" else fault["msg"]
    return f"GANYMEDE_{name.upper()}: {wrong}. It is for: {model.model_fields[name].description}"


def at_port(settings: "Settings", port: int) -> "Settings":
    """Return the settings with another port at the same address, which keeps its brackets if it has any."""
    return settings.model_copy(update={"bind": f"{settings.bind.rpartition(':')[0]}:{port}"})


logs_json = click.option("--json", "as_json", is_flag=True, help="Log lines of JSON, as GANYMEDE_LOG_FORMAT=json does.")


def _logging(settings: "Settings", *, as_json: bool) -> "Settings":
    return settings.model_copy(update={"log_format": "json"}) if as_json else settings


@contextmanager
def database() -> Iterator[str]:
    """Yield the database's URL; what it refuses ends the command in words."""
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.exc import TimeoutError as NoTurn

    try:
        yield load_settings().database
    except (DBAPIError, NoTurn) as error:
        reason = str(getattr(error, "orig", error)).partition("\n")[0]
        raise click.ClickException(f"The database refused: {reason}. Ask `ganymede doctor` what is missing.") from error


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Instead of the one in GANYMEDE_BIND; 0 is any free one.")
@logs_json
def up(port: int | None, as_json: bool) -> None:
    """Run everything: broker, worker and web, until Ctrl-C."""
    from ganymede.up import free_port, up

    settings = _logging(load_settings(), as_json=as_json)
    if port is not None:
        settings = at_port(settings, port or free_port())
    up(settings)


@click.command()
@logs_json
def api(as_json: bool) -> None:
    """Run the web process alone."""
    from ganymede.up import refuse_open_bind
    from service.server import serve

    settings = _logging(load_settings(), as_json=as_json)
    refuse_open_bind(settings)
    serve(settings)


@click.command()
@logs_json
def worker(as_json: bool) -> None:
    """Run a worker alone."""
    from worker.machine import UnfitMachine
    from worker.main import run

    try:
        code = run(_logging(load_settings(), as_json=as_json))
    except UnfitMachine as error:
        raise click.ClickException(str(error)) from error
    raise click.exceptions.Exit(code)


@click.command()
@as_json
def migrate(as_json: bool) -> None:
    """Bring the database's schema up to date."""
    from service.db import migrate, newest_revision

    with database() as url:
        migrate(url)
    if as_json:
        show_json({"schema_revision": newest_revision()})


@click.command()
@as_json
def doctor(as_json: bool) -> None:
    """Say what is configured, reachable and missing.

    Exit code 1 if something keeps the service from working.
    """
    from ganymede.doctor import examine

    findings = examine(load_settings())
    if as_json:
        show_json([finding.as_dict() for finding in findings])
    else:
        for finding in findings:
            colour = {"ok": "green", "note": "yellow", "fault": "red"}[finding.verdict]
            click.echo(f"{click.style(finding.verdict.ljust(5), fg=colour)}  {finding.subject}: {finding.detail}")
    if any(finding.verdict == "fault" for finding in findings):
        raise click.exceptions.Exit(ExitCode.FAILED)


@click.command()
@click.argument("changes", nargs=-1)
@click.option("--into", default="demo", show_default=True, type=click.Path(file_okay=False, path_type=Path))
@as_json
def demo(changes: tuple[str, ...], into: Path, as_json: bool) -> None:
    """Start everything, train the digits, keep the results, stop.

    CHANGES are assignments such as loop.max_steps=300, as in submit.
    """
    from rich.console import Console

    from ganymede.demo import demonstrate
    from ganymede.spec_arguments import read_spec

    console = Console(stderr=as_json, soft_wrap=True, highlight=False, markup=False)
    with in_words():
        job = demonstrate(into, read_spec(["dataset=digits", "name=demo", *changes]), console)
    if as_json:
        show_json({"job": job.data, "files": [str(path) for path in sorted(into.iterdir())]})
