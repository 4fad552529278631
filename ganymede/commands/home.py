"""Commands on the data directory: backup and restore."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganymede.commands.output import as_json, show_json
from ganymede.commands.service import load_settings

if TYPE_CHECKING:
    from ganymede.backup import Contents

file_argument = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))


@click.command()
@file_argument
@as_json
def backup(file: Path, as_json: bool) -> None:
    """Write the data directory into a tar archive.

    The service may run on.
    """
    from ganymede.backup import BackupError, back_up

    try:
        contents = back_up(load_settings(), file)
    except (BackupError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        show_json({"file": str(file), "size_bytes": file.stat().st_size, **_told(contents)})
    else:
        click.echo(f"{file}: {contents.summary()}, {file.stat().st_size:,} bytes")


@click.command()
@file_argument
@as_json
def restore(file: Path, as_json: bool) -> None:
    """Unpack an archive into the data directory, verified.

    The directory must not exist yet, or be empty.
    """
    from ganymede.backup import BackupError, restore

    settings = load_settings()
    try:
        contents = restore(settings, file)
    except (BackupError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        show_json({"home": str(settings.home), **_told(contents)})
    else:
        click.echo(f"{settings.home}: {contents.summary()}, written by version {contents.version}")


def _told(contents: "Contents") -> dict[str, object]:
    return {"version": contents.version, "files": len(contents.files)}
