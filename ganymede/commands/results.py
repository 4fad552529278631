"""Commands on what jobs made: events, losses, diagnosis, samples, checkpoints, exports, quality, all of it at once."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganymede.commands.completion import one_job, some_jobs
from ganymede.commands.connection import with_client
from ganymede.commands.output import as_json, bytes_moved, show_file, show_json
from ganymede.tables import format_table

if TYPE_CHECKING:
    from ganymede.answers import ColumnSummaryAnswer, ExtremeAnswer
    from ganymede.client import Client, Job

CHARTS = frozenset({"svg", "png"})
LATEST = "latest"
SUFFIXES = {"onnx": "onnx", "torch_export": "pt2"}

into_file = click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write a file.")


@click.command()
@one_job
@into_file
@click.option("--columns", help="Only these columns, separated by commas.")
@click.option("--max-points", type=click.IntRange(min=4), help="Thin the history to at most so many rows.")
@click.option("--lineage", is_flag=True, help="Begin with the history of what a fork continues.")
@as_json
@with_client
def losses(
    client: "Client",
    job_id: str,
    output: Path | None,
    columns: str | None,
    max_points: int | None,
    lineage: bool,
    as_json: bool,
) -> None:
    """Show each column's last, least and greatest value.

    With -o the history is written instead, one row per step: the format follows the name (.csv .json .ndjson .npz
    .parquet .arrow), or is a chart (.svg .png). With --json the history is printed.
    """
    job = client.jobs.get(job_id)
    if output is not None:
        wanted = {"columns": columns, "max_points": max_points, "lineage": "true" if lineage else None}
        _save_losses(job, output, {name: value for name, value in wanted.items() if value}, as_json=as_json)
    elif as_json:
        show_json(job.losses(*_named(columns), max_points=max_points, lineage=lineage).data)
    else:
        if max_points or lineage:
            raise click.UsageError("--max-points and --lineage go with -o or --json: the table is of all steps.")
        header = ("COLUMN", "LAST", "MIN", "AT STEP", "MAX", "AT STEP", "MEAN", "COUNT", "NONFINITE")
        summary = job.losses_summary()
        rows = [(name, *_summary_row(summary[name])) for name in _chosen(columns, summary)]
        click.echo(format_table(header, rows))


def _named(columns: str | None) -> list[str]:
    return columns.split(",") if columns else []


def _chosen(columns: str | None, recorded: Iterable[str]) -> list[str]:
    """Return the columns that were named, or all that are recorded."""
    every = [*recorded]
    named = _named(columns) or every
    if unknown := [name for name in named if name not in every]:
        raise click.BadParameter(f"there is no column {unknown[0]!r} ({', '.join(every)})", param_hint="--columns")
    return named


@click.command()
@some_jobs
@click.option("--columns", help="Only these columns, separated by commas.")
@as_json
@with_client
def compare(client: "Client", job_ids: tuple[str, ...], columns: str | None, as_json: bool) -> None:
    """Show each column's last value in several jobs, side by side.

    With --json their histories are printed, at most 1,000 steps of each.
    """
    if as_json:
        show_json([losses.data for losses in client.jobs.compare(job_ids, *_named(columns))])
        return
    summaries = [client.jobs.get(job_id).losses_summary() for job_id in job_ids]
    every = dict.fromkeys(column for summary in summaries for column in summary)
    lasts = [{column: told["last"] for column, told in summary.items()} for summary in summaries]
    rows = [(column, *(last.get(column) for last in lasts)) for column in _chosen(columns, every)]
    click.echo(format_table(("COLUMN", *job_ids), rows))


@click.command()
@one_job
@click.option("--after", type=click.IntRange(min=0), default=0, help="Only those after the event of this number.")
@as_json
@with_client
def events(client: "Client", job_id: str, after: int, as_json: bool) -> None:
    """Show what has happened to a job, oldest first."""
    happened = [*client.jobs.get(job_id).events(after)]
    if as_json:
        show_json(happened)
    else:
        rows = [(event["seq"], event["at"], event["type"], event["message"]) for event in happened]
        click.echo(format_table(("NUMBER", "AT", "TYPE", "MESSAGE"), rows))


@click.command()
@one_job
@as_json
@with_client
def diagnosis(client: "Client", job_id: str, as_json: bool) -> None:
    """Show what goes on between the two players.

    What is raised comes with the numbers that raised it and with what to try.
    """
    found = client.jobs.get(job_id).diagnosis()
    if as_json:
        show_json(found)
        return
    rows = [(rule["rule"], rule["state"], rule["since_step"], rule["action"]) for rule in found["rules"]]
    click.echo(format_table(("RULE", "STATE", "SINCE", "ACTION"), rows))
    for rule in found["rules"]:
        if rule["state"] == "raised" and (evidence := rule["evidence"]):
            numbers = ", ".join(f"{name} {_number(value)}" for name, value in evidence["numbers"].items())
            seen = f"steps {evidence['first_step']} to {evidence['last_step']}: {numbers}"
            click.echo(f"\n{rule['rule']}, {seen}\n{rule['description']} {rule['advice']}")


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"


@click.command()
@one_job
@click.argument("step", required=False)
@into_file
@as_json
@with_client
def samples(client: "Client", job_id: str, step: str | None, output: Path | None, as_json: bool) -> None:
    """List the sampling points of a job, or fetch one.

    With -o the point of STEP (default: latest) is written, in the format that the file's suffix names.
    """
    job = client.jobs.get(job_id)
    if output is not None:
        query = {"format": output.suffix[1:]} if output.suffix else {}
        _save(job, f"samples/{step or LATEST}", output, query, as_json=as_json)
        return
    _require_file(step)
    points = list(job.samples())
    if as_json:
        show_json(points)
        return
    header = ("STEP", "COUNT", "CREATED", "FORMATS")
    rows = [(point["step"], point["count"], point["created_at"], " ".join(point["formats"])) for point in points]
    click.echo(format_table(header, rows))


@click.command()
@one_job
@click.argument("step", required=False)
@into_file
@click.option("--part", type=click.Choice(["all", "generator", "ema"]), help="What is written; all by default.")
@as_json
@with_client
def checkpoints(
    client: "Client", job_id: str, step: str | None, output: Path | None, part: str | None, as_json: bool
) -> None:
    """List the checkpoints of a job, or fetch one.

    With -o the checkpoint of STEP (default: latest) is written as a safetensors file.
    """
    job = client.jobs.get(job_id)
    if output is not None:
        _save(job, f"checkpoints/{step or LATEST}/file", output, {"part": part or "all"}, as_json=as_json)
        return
    _require_file(step or part)
    saved = list(job.checkpoints())
    if as_json:
        show_json(saved)
        return
    header = ("STEP", "SIZE", "CREATED", "SHA256")
    rows = [(point["step"], point["size_bytes"], point["created_at"], point["sha256"]) for point in saved]
    click.echo(format_table(header, rows))


@click.command()
@one_job
@click.argument("form", metavar="FORMAT", type=click.Choice([*SUFFIXES]))
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="The file; JOB.onnx or JOB.pt2.")
@click.option("--checkpoint", default="latest", show_default=True, help="A step, latest or best.")
@click.option("--part", type=click.Choice(["generator", "ema"]), help="The average where one is kept, by default.")
@as_json
@with_client
def export(
    client: "Client", job_id: str, form: str, output: Path | None, checkpoint: str, part: str | None, as_json: bool
) -> None:
    """Fetch the generator for other programs.

    FORMAT is onnx or torch_export. A worker renders it when it is first asked for, which takes seconds.
    """
    job, target = client.jobs.get(job_id), output or Path(f"{job_id}.{SUFFIXES[form]}")
    with bytes_moved(f"{form} of {job_id}") as on_progress:
        size_bytes = job.export(form, target, checkpoint=checkpoint, part=part, on_progress=on_progress)
    show_file(target, size_bytes, as_json=as_json)


@click.command()
@one_job
@as_json
@with_client
def quality(client: "Client", job_id: str, as_json: bool) -> None:
    """Show how good the samples are, step by step.

    Below each metric stands what real data and generators without training reach.
    """
    points = list(client.jobs.get(job_id).quality())
    if as_json:
        show_json(points)
        return
    if not points:
        click.echo("Nothing has been measured yet.")
        return
    last = points[-1]
    names = list(last["metrics"])
    compared = {"real": last["real"] or {}, **(last["baselines"] or {})}
    rows: list[tuple[object, ...]] = [(point["step"], *map(point["metrics"].get, names)) for point in points]
    rows += [(name, *map(metrics.get, names)) for name, metrics in compared.items()]
    click.echo(format_table(("STEP", *(name.upper() for name in names)), rows))
    if last["behind"]:
        click.echo(f"Without any training {' and '.join(last['behind'])} would be better than step {last['step']}.")


@click.command()
@one_job
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="The file; JOB.zip by default.")
@as_json
@with_client
def archive(client: "Client", job_id: str, output: Path | None, as_json: bool) -> None:
    """Fetch everything of a job as one zip.

    That is its spec, losses, samples, generator, quality and events.
    """
    job = client.jobs.get(job_id)
    _save(job, "archive.zip", output or Path(f"{job_id}.zip"), {}, as_json=as_json)


def _require_file(choice: str | None) -> None:
    if choice is not None:
        raise click.UsageError(f"{choice} says what is written: name a file with -o. Without one all are listed.")


def _save_losses(job: "Job", output: Path, query: Mapping[str, str | int], *, as_json: bool) -> None:
    kind = output.suffix[1:] or "csv"
    if kind in CHARTS:
        if query:
            raise click.UsageError("--columns, --max-points and --lineage are for numbers; a chart shows the job.")
        _save(job, f"losses.{kind}", output, {}, as_json=as_json)
    else:
        _save(job, "losses", output, {**query, "format": kind}, as_json=as_json)


def _save(job: "Job", what: str, output: Path, query: Mapping[str, str | int], *, as_json: bool) -> None:
    with bytes_moved(output.name) as on_progress:
        size_bytes = job.download(output, what, on_progress=on_progress, **query)
    show_file(output, size_bytes, as_json=as_json)


def _summary_row(column: "ColumnSummaryAnswer") -> tuple[object, ...]:
    extremes = [*_value_and_step(column["min"]), *_value_and_step(column["max"])]
    return (column["last"], *extremes, column["mean"], column["count"], column["nonfinite"])


def _value_and_step(extreme: "ExtremeAnswer | None") -> tuple[object, object]:
    return (extreme["value"], extreme["step"]) if extreme else (None, None)  # a column that was never finite has none
