"""Commands on data sets: upload, list, show, preview, delete."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganymede.commands.completion import one_dataset, some_datasets
from ganymede.commands.connection import with_client
from ganymede.commands.output import as_json, bytes_moved, show_file, show_json, waiting
from ganymede.exit_codes import ExitCode
from ganymede.tables import format_table

if TYPE_CHECKING:
    from ganymede.answers import DatasetEntry
    from ganymede.client import Client, Dataset


@click.group()
def datasets() -> None:
    """Upload data of your own, and see what there is."""


@datasets.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="For people; the file's name when not given.")
@click.option("--modality", type=click.Choice(["vector", "image", "table", "audio"]), help="What it must be.")
@click.option("--label", help="Column of a table that holds the classes.")
@click.option("--sample-rate", type=int, help="Frames a second that sounds are converted to.")
@click.option("--seconds", type=float, help="Length that sounds are cut or padded to.")
@click.option("--wait", "waits", is_flag=True, help="Stay until it is ready; exit code 1 unless it becomes so.")
@as_json
@with_client
def upload(
    client: "Client",
    file: Path,
    name: str | None,
    modality: str | None,
    label: str | None,
    sample_rate: int | None,
    seconds: float | None,
    waits: bool,
    as_json: bool,
) -> None:
    """Upload a data set: a zip of pictures or sounds, npy, npz, CSV, Parquet or WAV.

    The same file is the same data set, however often it is sent.
    """
    said = {"name": name, "modality": modality, "label": label, "sample_rate": sample_rate, "seconds": seconds}
    with bytes_moved(file.name) as on_progress:
        dataset = client.datasets.upload(file, on_progress=on_progress, **said)  # type: ignore[arg-type]
    if waits:
        _await(dataset)
    _tell(dataset.data, as_json=as_json, brief=not waits)
    _exit_by(dataset)


@datasets.command(name="list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200), help="At most so many.")
@as_json
@with_client
def list_datasets(client: "Client", limit: int, as_json: bool) -> None:
    """List your data sets, newest first, then the built-in ones."""
    from itertools import islice

    entries = [dataset.data for dataset in islice(client.datasets.list(), limit)]
    if as_json:
        show_json(entries)
    else:
        header = ("ID", "STATUS", "KIND", "SHAPE", "COUNT", "BYTES", "NAME")
        click.echo(format_table(header, [_row(entry) for entry in entries]))


@datasets.command()
@one_dataset
@click.option("--wait", "waits", is_flag=True, help="Stay until it is ready; exit code 1 unless it becomes so.")
@as_json
@with_client
def show(client: "Client", dataset_id: str, waits: bool, as_json: bool) -> None:
    """Show one data set, with its warnings or why it failed."""
    dataset = client.datasets.get(dataset_id)
    if waits:
        _await(dataset)
    _tell(dataset.data, as_json=as_json, brief=False)
    if waits:
        _exit_by(dataset)


@datasets.command()
@one_dataset
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file to write."
)
@as_json
@with_client
def preview(client: "Client", dataset_id: str, output: Path, as_json: bool) -> None:
    """Fetch a sheet of its pictures or sounds (PNG), or its first rows (CSV)."""
    show_file(output, client.datasets.get(dataset_id).preview(output), as_json=as_json)


@datasets.command()
@some_datasets
@as_json
@with_client
def delete(client: "Client", dataset_ids: tuple[str, ...], as_json: bool) -> None:
    """Delete data sets that no live job needs."""
    for dataset_id in dataset_ids:
        client.datasets.get(dataset_id).delete()
    if as_json:
        show_json({"deleted": list(dataset_ids)})


def _await(dataset: "Dataset") -> None:
    with waiting(f"preparing {dataset.data['name']}"):
        dataset.wait()


def _tell(dataset: "DatasetEntry", *, as_json: bool, brief: bool) -> None:
    if as_json:
        show_json(dataset)
    elif brief:
        click.echo(dataset["id"])
    else:
        header = ("ID", "STATUS", "KIND", "SHAPE", "COUNT", "BYTES", "NAME")
        click.echo(format_table(header, [_row(dataset)]))
        for remark in [*dataset["warnings"], *([dataset["error"]] if dataset["error"] else [])]:
            click.echo(f"{remark['code']}: {remark['message']}")


def _row(dataset: "DatasetEntry") -> tuple[object, ...]:
    content = dataset["content"] or {}
    shape = " x ".join(str(length) for length in content.get("shape", ()))
    return (
        dataset["id"],
        dataset["status"],
        content.get("modality"),
        shape or None,
        content.get("count"),
        dataset["size_bytes"],
        dataset["name"],
    )


def _exit_by(dataset: "Dataset") -> None:
    if dataset.status == "failed":
        raise click.exceptions.Exit(ExitCode.FAILED)
