"""The command that draws new samples of a job."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganymede.commands.completion import one_job
from ganymede.commands.connection import with_client
from ganymede.commands.output import as_json, counted, show_json
from ganymede.condition_arguments import read_conditions
from ganymede.spec_arguments import read_value

if TYPE_CHECKING:
    from ganymede.client import Client

_OPEN: tuple[Any, ...] = (None, "", [], {})  # options that were not given


@click.command()
@one_job
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file.")
@click.option("-n", "count", type=int, help="How many.")
@click.option("--checkpoint", default="latest", show_default=True, help="A step, latest or best.")
@click.option("--seed", type=int, help="The same seed, the same samples.")
@click.option("--class", "classes", multiple=True, help="Name or place of a class; may be repeated.")
@click.option("--where", multiple=True, metavar="COLUMN=VALUE", help="Or COLUMN=MINIMUM..MAXIMUM; may be repeated.")
@click.option("--truncation", type=float, help="Below 1: more typical, less varied.")
@click.option("--interpolate", "is_path", is_flag=True, help="Draw a path: n frames, from one sample to the next.")
@click.option("--keys", type=int, help="Samples that the path leads through.")
@click.option("--open", "is_open", is_flag=True, help="End the path at its last sample; it leads back to the first.")
@click.option("--fps", type=float, help="Frames a second of a gif.")
@click.option("--latents", type=click.File(), help="Latents of the samples or of the keys: a line of numbers for each.")
@click.option("--format", "format_", help="When the name does not tell.")
@as_json
@with_client
def sample(
    client: "Client",
    job_id: str,
    output: Path,
    count: int | None,
    classes: Sequence[str],
    where: Sequence[str],
    is_path: bool,
    is_open: bool,
    latents: Any,
    format_: str | None,
    as_json: bool,
    **wish: Any,
) -> None:
    """Draw new samples of a job into a file.

    Its format follows its name, or is npz. Whoever interrupts the drawing calls it off.

    Of a table, --where keeps rows that meet a condition: contract=permanent, age=30..40, age=..40; null is a missing
    cell. A column that is named twice may have either value. A path of pictures moves:

        ganymede sample JOB --interpolate -n 160 --keys 8 --class 3 -o path.gif
    """
    wish |= {
        "checkpoint": read_value(wish["checkpoint"]),
        "n": count,
        "classes": list(classes),
        "where": read_conditions(where),
        "mode": "interpolate" if is_path else None,
        "closed": False if is_open else None,
        "latents": _read_latents(latents) if latents else None,
        "format": format_ or output.suffix[1:] or None,
    }
    given = {name: value for name, value in wish.items() if value not in _OPEN}
    try:
        with counted(f"drawing {output.name}") as on_progress:
            samples = client.jobs.get(job_id).sample(on_progress=on_progress, **given)
        size_bytes = samples.download(output)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        show_json({"file": str(output), "size_bytes": size_bytes, "seed": samples.seed})
    else:
        click.echo(f"{output} ({size_bytes:,} bytes)")


def _read_latents(lines: Sequence[str]) -> list[list[float]]:
    try:
        return [[float(number) for number in line.replace(",", " ").split()] for line in lines if line.strip()]
    except ValueError as error:
        raise click.BadParameter(f"latents are lines of numbers: {error}") from None
