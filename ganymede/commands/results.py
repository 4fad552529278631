"""Commands on what a job made: losses, samples, checkpoints, quality, all of it. New samples are drawn elsewhere."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganymede.commands.connection import with_client
from ganymede.commands.jobs import as_json, show_json
from ganymede.tables import format_table

if TYPE_CHECKING:
    from ganymede.client import Client

CHARTS = frozenset({"svg", "png"})

into_file = click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write a file.")


@click.command()
@click.argument("job_id", metavar="JOB")
@into_file
@click.option("--columns", help="Only these columns, separated by commas.")
@click.option("--max-points", type=click.IntRange(min=2), help="Thin the history to at most so many rows.")
@click.option("--lineage", is_flag=True, help="Begin with the history of what a fork continues.")
@as_json
@with_client
def losses(client: "Client", job_id: str, output: Path | None, lineage: bool, as_json: bool, **query: Any) -> None:
    """Show each column's last, least and greatest value.

    With -o the history is written instead, one row per step: the format follows the name (.csv .json .ndjson .npz),
    or is a chart (.svg .png). With --json the history is printed.
    """
    query |= {"lineage": "true" if lineage else None}
    query = {name: value for name, value in query.items() if value}
    if output is not None:
        _save_losses(client, job_id, output, query)
    elif as_json:
        show_json(client.losses(job_id, **query))
    else:
        header = ("COLUMN", "LAST", "MIN", "AT STEP", "MAX", "AT STEP", "MEAN", "COUNT", "NONFINITE")
        summary = client.losses_summary(job_id)["columns"]
        click.echo(format_table(header, [(name, *_summary_row(column)) for name, column in summary.items()]))


@click.command()
@click.argument("job_id", metavar="JOB")
@click.argument("step", default="latest")
@into_file
@as_json
@with_client
def samples(client: "Client", job_id: str, step: str, output: Path | None, as_json: bool) -> None:
    """List the sampling points of a job, or fetch one.

    With -o the point of STEP (default: latest) is written, in the format that the file's suffix names.
    """
    if output is not None:
        query = {"format": output.suffix[1:]} if output.suffix else {}
        _save(client, f"/jobs/{job_id}/samples/{step}", output, query)
        return
    points = list(client.samples(job_id))
    if as_json:
        show_json(points)
        return
    header = ("STEP", "COUNT", "CREATED", "FORMATS")
    rows = [(point["step"], point["count"], point["created_at"], " ".join(point["formats"])) for point in points]
    click.echo(format_table(header, rows))


@click.command()
@click.argument("job_id", metavar="JOB")
@click.argument("step", default="latest")
@into_file
@click.option("--part", default="all", show_default=True, type=click.Choice(["all", "generator", "ema"]))
@as_json
@with_client
def checkpoints(client: "Client", job_id: str, step: str, output: Path | None, part: str, as_json: bool) -> None:
    """List the checkpoints of a job, or fetch one.

    With -o the checkpoint of STEP (default: latest) is written as a safetensors file.
    """
    if output is not None:
        _save(client, f"/jobs/{job_id}/checkpoints/{step}/file", output, {"part": part})
        return
    saved = list(client.checkpoints(job_id))
    if as_json:
        show_json(saved)
        return
    header = ("STEP", "SIZE", "CREATED", "SHA256")
    rows = [(point["step"], point["size_bytes"], point["created_at"], point["sha256"]) for point in saved]
    click.echo(format_table(header, rows))


@click.command()
@click.argument("job_id", metavar="JOB")
@as_json
@with_client
def quality(client: "Client", job_id: str, as_json: bool) -> None:
    """Show each metric by step, below it what real data and generators without training reach."""
    points = list(client.quality(job_id))
    if as_json:
        show_json(points)
        return
    if not points:
        click.echo("Nothing has been measured yet.")
        return
    last = points[-1]
    names = list(last["metrics"])
    compared = {"real": last["real"] or {}, **(last["baselines"] or {})}
    rows = [(point["step"], *map(point["metrics"].get, names)) for point in points]
    rows += [(name, *map(metrics.get, names)) for name, metrics in compared.items()]
    click.echo(format_table(("STEP", *(name.upper() for name in names)), rows))
    if behind := last.get("behind"):  # services of before do not say
        click.echo(f"Without any training {' and '.join(behind)} would be better than step {last['step']}.")


@click.command()
@click.argument("job_id", metavar="JOB")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="The file; JOB.zip by default.")
@as_json
@with_client
def archive(client: "Client", job_id: str, output: Path | None, as_json: bool) -> None:
    """Fetch everything that a job has left as one zip: spec, losses, samples, generator, quality, events."""
    target = output or Path(f"{job_id}.zip")
    size_bytes = client.archive(job_id, target)
    if as_json:
        show_json({"file": str(target), "size_bytes": size_bytes})
    else:
        click.echo(f"{target} ({size_bytes:,} bytes)")


def _save_losses(client: "Client", job_id: str, output: Path, query: Mapping[str, str | int]) -> None:
    kind = output.suffix[1:] or "csv"
    if kind in CHARTS:
        _save(client, f"/jobs/{job_id}/losses.{kind}", output, {})
    else:
        _save(client, f"/jobs/{job_id}/losses", output, {**query, "format": kind})


def _save(client: "Client", path: str, output: Path, query: Mapping[str, str | int]) -> None:
    size_bytes = client.download(path, output, **query)
    click.echo(f"{output} ({size_bytes:,} bytes)")


def _summary_row(column: dict[str, Any]) -> tuple[object, ...]:
    extremes = [part for name in ("min", "max") for part in _value_and_step(column[name])]
    return (column["last"], *extremes, column["mean"], column["count"], column["nonfinite"])


def _value_and_step(extreme: dict[str, Any] | None) -> tuple[object, object]:
    return (extreme["value"], extreme["step"]) if extreme else (None, None)  # a column that was never finite has none
