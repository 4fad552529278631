"""Commands on the data directory: backup and restore."""

from pathlib import Path

import click

from ganymede.commands.service import load_settings

file_argument = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))


@click.command()
@file_argument
def backup(file: Path) -> None:
    """Write the data directory into a tar archive; the service may run on."""
    from ganymede.backup import BackupError, back_up

    try:
        contents = back_up(load_settings(), file)
    except BackupError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{file}: {contents.summary()}, {file.stat().st_size:,} bytes")


@click.command()
@file_argument
def restore(file: Path) -> None:
    """Unpack an archive into the data directory, verified.

    The directory must not exist yet, or be empty.
    """
    from ganymede.backup import BackupError, restore

    settings = load_settings()
    try:
        contents = restore(settings, file)
    except BackupError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{settings.home}: {contents.summary()}, written by version {contents.version}")
