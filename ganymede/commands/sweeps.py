"""Commands on sweeps: create, list, show, cancel, delete."""

import json
from typing import TYPE_CHECKING, Any

import click

from ganymede.commands.completion import one_sweep, some_sweeps
from ganymede.commands.connection import with_client
from ganymede.commands.output import as_json, counted, show_json
from ganymede.exit_codes import ExitCode
from ganymede.tables import format_table

if TYPE_CHECKING:
    from ganymede.answers import PlaceAnswer
    from ganymede.client import Client, Sweep

by_metric = click.option("--metric", help="Rank by this metric or column.")
by_goal = click.option("--goal", type=click.Choice(["higher", "lower"]), help="Which values of it are better.")
to_wait = click.option(
    "--wait", "waits", is_flag=True, help="Stay until all members have ended; exit code 1 if none succeeds."
)


@click.group()
def sweep() -> None:
    """Train many jobs, and see which is best."""


@sweep.command()
@click.argument("spec", nargs=-1, required=True)
@click.option(
    "--over", multiple=True, required=True, help="PATH=a,b,c or a JSON array; drawn also PATH=LOW..HIGH[:log or :STEP]."
)
@click.option("--random", "random_count", type=int, help="Draw so many members; without it every combination is one.")
@click.option("--asha", "asha_count", type=int, help="Draw so many, and stop those that fall behind.")
@click.option("--min-steps", type=int, help="Steps of the first rung of --asha.")
@click.option("--reduction", type=int, help="One in so many goes on at each rung; 3 when not given.")
@click.option("--seed", type=int, help="Of the draws.")
@click.option("--name", help="For people.")
@by_metric
@by_goal
@to_wait
@as_json
@with_client
def create(
    client: "Client",
    spec: tuple[str, ...],
    over: tuple[str, ...],
    random_count: int | None,
    asha_count: int | None,
    min_steps: int | None,
    reduction: int | None,
    seed: int | None,
    waits: bool,
    as_json: bool,
    **said: Any,
) -> None:
    """Queue a job for each point of a search.

    SPEC is what all have in common, as of `ganymede submit`; --over says what varies, and may be repeated:

        ganymede sweep create dataset=ring loop.max_steps=2000 --over optimizer.generator.lr=1e-4,3e-4 --over seed=1,2,3

        ganymede sweep create dataset=ring --over optimizer.generator.lr=1e-5..1e-2:log --asha 16 --min-steps 200
    """
    from ganymede.search_arguments import read_search
    from ganymede.spec_arguments import read_spec

    if random_count is not None and asha_count is not None:
        raise click.UsageError("Say one of --random and --asha.")
    count = random_count if asha_count is None else asha_count
    values = read_search(over, draws=count is not None)
    drawn = {"parameters": values, "count": count, "seed": seed, "min_steps": min_steps, "reduction": reduction}
    search = values if count is None else {key: value for key, value in drawn.items() if value is not None}
    method = "grid" if count is None else "random" if asha_count is None else "asha"
    made = client.sweeps.create(read_spec(spec), **{method: search}, **said)
    if waits:
        _await(made)
    _tell(made, as_json=as_json, brief=not waits)
    if waits:
        _exit_by(made)


@sweep.command(name="list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200), help="At most so many.")
@as_json
@with_client
def list_sweeps(client: "Client", limit: int, as_json: bool) -> None:
    """List sweeps, newest first."""
    from itertools import islice

    sweeps = [sweep.data for sweep in islice(client.sweeps.list(), limit)]
    if as_json:
        show_json(sweeps)
        return
    rows = [
        (
            each["id"],
            each["status"],
            each["method"],
            each["members"]["total"],
            each["members"]["succeeded"],
            each["name"],
        )
        for each in sweeps
    ]
    click.echo(format_table(("ID", "STATUS", "METHOD", "MEMBERS", "SUCCEEDED", "NAME"), rows))


@sweep.command()
@one_sweep
@by_metric
@by_goal
@to_wait
@as_json
@with_client
def show(client: "Client", sweep_id: str, metric: str | None, goal: str | None, waits: bool, as_json: bool) -> None:
    """Show the leaderboard of a sweep."""
    shown = client.sweeps.get(sweep_id)
    if waits:
        _await(shown)
    if metric or goal:
        shown.refresh(metric=metric, goal=goal)
    _tell(shown, as_json=as_json, brief=False)
    if waits:
        _exit_by(shown)


@sweep.command()
@one_sweep
@as_json
@with_client
def cancel(client: "Client", sweep_id: str, as_json: bool) -> None:
    """End every member that has not ended; what they made so far stays."""
    _tell(client.sweeps.get(sweep_id).cancel(), as_json=as_json, brief=False)


@sweep.command()
@some_sweeps
@click.option("--keep-members", is_flag=True, help="Leave the members as jobs of their own.")
@as_json
@with_client
def delete(client: "Client", sweep_ids: tuple[str, ...], keep_members: bool, as_json: bool) -> None:
    """Delete sweeps that have ended, with their members and everything these made."""
    for sweep_id in sweep_ids:
        client.sweeps.get(sweep_id).delete(keeps_members=keep_members)
    if as_json:
        show_json({"deleted": list(sweep_ids)})


def _tell(shown: "Sweep", *, as_json: bool, brief: bool) -> None:
    if as_json:
        show_json(shown.data)
    elif brief:
        click.echo(shown.id)
    else:
        board, counts = shown.leaderboard, shown.data["members"]
        told = ", ".join(f"{count} {state}" for state, count in counts.items() if count and state != "total")
        click.echo(f"{shown.id} {shown.status}: {told or 'no members'}; best is {board['best'] or 'nobody yet'}")
        paths = [*board["data"][0]["parameters"]] if board["data"] else []
        header = ("RANK", "JOB", "STATUS", "STEP", board["metric"].upper(), "AT STEP", *paths)
        click.echo(format_table(header, [_row(place) for place in board["data"]]))


def _row(place: "PlaceAnswer") -> tuple[object, ...]:
    values = [json.dumps(each) if isinstance(each, dict | list) else each for each in place["parameters"].values()]
    standing = (place["rank"], place["job"], place["status"], place["step"], place["value"], place["value_step"])
    return (*standing, *values)


def _await(shown: "Sweep") -> None:
    with counted(shown.id) as on_progress:
        shown.wait(on_progress=on_progress)


def _exit_by(shown: "Sweep") -> None:
    if not shown.data["members"]["succeeded"]:
        raise click.exceptions.Exit(ExitCode.FAILED)
