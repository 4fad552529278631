"""What commands print: for people, or JSON for programs; and how far long work is, on a terminal."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

    from ganymede.transport import OnProgress

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def show_json(value: object) -> None:
    """Print a value as indented JSON."""
    click.echo(json.dumps(value, indent=2))


def show_file(path: Path, size_bytes: int, *, as_json: bool) -> None:
    """Tell that a file was written."""
    if as_json:
        show_json({"file": str(path), "size_bytes": size_bytes})
    else:
        click.echo(f"{path} ({size_bytes:,} bytes)")


@contextmanager
def bytes_moved(label: str) -> "Iterator[OnProgress]":
    """Yield what shows how many bytes have been moved, on a terminal."""
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn

    with _bar(label, TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()) as show:
        yield show


@contextmanager
def counted(label: str) -> "Iterator[OnProgress]":
    """Yield what shows how many of all there are, on a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

    with _bar(label, TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()) as show:
        yield show


@contextmanager
def _bar(label: str, *columns: "ProgressColumn") -> "Iterator[OnProgress]":
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as display:
        task = display.add_task(label, total=None)
        yield lambda moved, total: display.update(task, completed=moved, total=total)


@contextmanager
def waiting(label: str) -> Iterator[None]:
    """Show that something is waited for, on a terminal."""
    from rich.console import Console

    console = Console(stderr=True)
    with console.status(label) if console.is_terminal else nullcontext():
        yield
