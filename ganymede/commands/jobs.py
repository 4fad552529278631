"""Commands on jobs: submit, fork, list, show, watch, extend, save, cancel, pause, resume, delete, catalog."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from ganymede.commands.connection import with_client
from ganymede.exit_codes import ExitCode
from ganymede.tables import format_table

if TYPE_CHECKING:
    from ganymede.client import Client, Job, Parent

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def show_json(value: object) -> None:
    """Print a value as indented JSON."""
    click.echo(json.dumps(value, indent=2))


@click.command()
@click.argument("spec", nargs=-1, required=True)
@click.option("--watch", "watches", is_flag=True, help="Stay and show progress; exit code 1 unless it succeeds.")
@click.option("--dry-run", is_flag=True, help="Print the resolved spec and its estimate; queue nothing.")
@as_json
@with_client
def submit(client: "Client", spec: tuple[str, ...], watches: bool, dry_run: bool, as_json: bool) -> None:
    """Queue a training job.

    SPEC is any mix of JSON files, `-` for standard input, and assignments:

        ganymede submit dataset=digits loop.max_steps=300 --watch
    """
    from ganymede.spec_arguments import read_spec

    if dry_run:
        show_json(client.plan_job(read_spec(spec)))
        return
    _announce(client, client.create_job(read_spec(spec)), watches=watches, as_json=as_json)


@click.command()
@click.argument("job_id", metavar="JOB")
@click.argument("overrides", nargs=-1)
@click.option("--checkpoint", default="latest", show_default=True, help="A step, latest or best.")
@click.option("--watch", "watches", is_flag=True, help="Stay and show progress; exit code 1 unless it succeeds.")
@as_json
@with_client
def fork(
    client: "Client", job_id: str, overrides: tuple[str, ...], checkpoint: str, watches: bool, as_json: bool
) -> None:
    """Queue a job that continues JOB from a checkpoint.

    OVERRIDES change its spec from there on: JSON files, `-` for standard input, and assignments. Steps count on, so
    that more of them are asked for by the step to end at:

        ganymede fork JOB loop.max_steps=5000 optimizer.generator.lr=0.0001
    """
    from ganymede.spec_arguments import read_spec, read_value

    job = client.fork(job_id, read_value(checkpoint), read_spec(overrides))
    _announce(client, job, watches=watches, as_json=as_json)


@click.command(name="list")
@click.option("--status", help="Only jobs of this status.")
@click.option("--label", help="Only jobs with this label, as key:value.")
@click.option("--parent", help="Only forks of this job.")
@click.option("--sweep", help="Only members of this sweep.")
@click.option("-q", "text", help="Only jobs whose name holds this text.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200), help="At most so many.")
@as_json
@with_client
def list_jobs(client: "Client", text: str | None, limit: int, as_json: bool, **filters: str | None) -> None:
    """List jobs, newest first."""
    from itertools import islice

    given = {name: value for name, value in {**filters, "q": text}.items() if value}
    jobs = list(islice(client.jobs(limit=limit, **given), limit))
    if as_json:
        show_json(jobs)
    else:
        header = ("ID", "STATUS", "STEP", "OF", "D_LOSS", "G_LOSS", "CREATED", "NAME")
        click.echo(format_table(header, [_row(job) for job in jobs]))


@click.command()
@click.argument("job_id", metavar="JOB")
@as_json
@with_client
def show(client: "Client", job_id: str, as_json: bool) -> None:
    """Show one job."""
    from ganymede.watching import outcome

    job = client.job(job_id)
    if as_json:
        show_json(job)
    else:
        click.echo(outcome(job))
        click.echo(format_table(("", ""), _details(job).items()).lstrip())


def _details(job: "Job") -> dict[str, object]:
    return {
        "name": job["name"],
        "parent": _told(job.get("parent")),
        "attempt": job["attempt"],
        "worker": job["worker"],
        "created": job["created_at"],
        "started": job["started_at"],
        "finished": job["finished_at"],
        **(job["losses"] or {}),
    }


def _told(parent: "Parent | None") -> str | None:
    return parent and f"{parent['job']} at step {parent['step']}"


@click.command()
@click.argument("job_id", metavar="JOB")
@as_json
@with_client
def watch(client: "Client", job_id: str, as_json: bool) -> None:
    """Show progress until the job ends; exit code 1 unless it succeeds."""
    job = _watched(client, job_id, quiet=as_json)
    if as_json:
        show_json(job)
    _exit_by(job)


@click.command()
@click.argument("job_id", metavar="JOB")
@click.argument("max_steps", type=click.IntRange(min=1))
@as_json
@with_client
def extend(client: "Client", job_id: str, max_steps: int, as_json: bool) -> None:
    """Let a job that has not ended train up to step MAX_STEPS; one that has ended is forked."""
    job = client.change_job(job_id, max_steps=max_steps)
    if as_json:
        show_json(job)
    else:
        click.echo(f"{job_id} {job['status']}, step {job['progress']['step']} of {job['progress']['max_steps']}")


@click.command()
@click.argument("job_ids", metavar="JOB...", nargs=-1, required=True)
@with_client
def delete(client: "Client", job_ids: tuple[str, ...]) -> None:
    """Delete finished jobs with everything they made."""
    for job_id in job_ids:
        client.delete_job(job_id)


@click.command()
@as_json
@with_client
def catalog(client: "Client", as_json: bool) -> None:
    """List data sets, networks and objectives to choose from."""
    offers = client.catalog()
    if as_json:
        show_json(offers)
        return
    rows = [(kind, entry["name"], entry.get("description", "")) for kind in offers for entry in _named(offers[kind])]
    click.echo(format_table(("KIND", "NAME", "DESCRIPTION"), rows))


def _named(entries: Any) -> list[dict[str, Any]]:
    return [entry for entry in entries if isinstance(entry, dict) and "name" in entry]


def _asking(name: str, verb: str, change: "Callable[[Client, str], Job]") -> click.Command:
    """Make the command that asks for one change of status."""

    @click.command(name=name, help=f"{verb}.")
    @click.argument("job_ids", metavar="JOB...", nargs=-1, required=True)
    @with_client
    def ask(client: "Client", job_ids: tuple[str, ...]) -> None:
        for job_id in job_ids:
            click.echo(f"{job_id} {change(client, job_id)['status']}")

    return ask


cancel = _asking("cancel", "End jobs; what they made so far stays", lambda client, job_id: client.cancel(job_id))
pause = _asking(
    "pause", "Let jobs save themselves and give up their place", lambda client, job_id: client.pause(job_id)
)
save = _asking("save", "Save checkpoints of running jobs now", lambda client, job_id: client.save(job_id))
resume = _asking("resume", "Continue paused jobs where they were", lambda client, job_id: client.resume(job_id))


def _announce(client: "Client", job: "Job", *, watches: bool, as_json: bool) -> None:
    """Print a job that was just queued, or watch it to its end."""
    if watches:
        job = _watched(client, job["id"], quiet=as_json)
    if as_json:
        show_json(job)
    elif not watches:
        click.echo(job["id"])
    _exit_by(job)


def _watched(client: "Client", job_id: str, *, quiet: bool) -> "Job":
    from rich.console import Console

    from ganymede.watching import outcome, watch

    console = Console()
    try:
        job = client.wait(job_id) if quiet else watch(client, job_id, console)
    except KeyboardInterrupt:
        click.echo(f"\n{job_id} goes on without you. Come back with: ganymede watch {job_id}", err=True)
        raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None
    if not quiet:
        console.print(outcome(job), soft_wrap=True, highlight=False)
    return job


def _exit_by(job: "Job") -> None:
    if job["status"] in {"failed", "cancelled"}:
        raise click.exceptions.Exit(ExitCode.UNSUCCESSFUL)


def _row(job: "Job") -> tuple[object, ...]:
    progress, losses = job["progress"], job["losses"] or {}
    return (
        job["id"],
        job["status"],
        progress["step"],
        progress["max_steps"],
        losses.get("d_loss"),
        losses.get("g_loss"),
        job["created_at"],
        job["name"],
    )
