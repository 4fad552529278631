"""Commands on jobs: submit, fork, list, show, watch, extend, save, cancel, pause, resume, delete, catalog."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from ganymede.commands.completion import one_job, some_jobs
from ganymede.commands.connection import with_client
from ganymede.commands.output import as_json, show_json
from ganymede.exit_codes import ExitCode
from ganymede.tables import format_table

if TYPE_CHECKING:
    from ganymede.answers import JobAnswer, ParentAnswer
    from ganymede.client import Client, Job

to_watch = click.option(
    "--watch", "watches", is_flag=True, help="Stay and show progress; the exit code tells how it ends."
)


@click.command()
@click.argument("spec", nargs=-1, required=True)
@to_watch
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
        show_json(client.jobs.plan(**read_spec(spec)))
        return
    _announce(client.jobs.create(**read_spec(spec)), watches=watches, as_json=as_json)


@click.command()
@one_job
@click.argument("overrides", nargs=-1)
@click.option("--checkpoint", default="latest", show_default=True, help="A step, latest or best.")
@to_watch
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

    job = client.jobs.get(job_id).fork(read_value(checkpoint), **read_spec(overrides))
    _announce(job, watches=watches, as_json=as_json)


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
    given = {name: value for name, value in {**filters, "q": text}.items() if value}
    jobs = [job.data for job in client.jobs.list(limit=limit, **given)]
    if as_json:
        show_json(jobs)
    else:
        header = ("ID", "STATUS", "STEP", "OF", "D_LOSS", "G_LOSS", "CREATED", "TRAINS", "NAME")
        click.echo(format_table(header, [_row(job) for job in jobs]))


@click.command()
@one_job
@as_json
@with_client
def show(client: "Client", job_id: str, as_json: bool) -> None:
    """Show one job."""
    from ganymede.watching import outcome

    job = client.jobs.get(job_id).data
    if as_json:
        show_json(job)
    else:
        click.echo(outcome(job))
        click.echo(format_table(("", ""), _details(job).items()).lstrip())


def _details(job: "JobAnswer") -> dict[str, object]:
    return {
        "name": job["name"],
        "trains": _what_trains(job),
        "seed": job["resolved_spec"]["seed"],
        "parent": _told(job["parent"]),
        "attempt": job["attempt"],
        "worker": job["worker"],
        "created": job["created_at"],
        "started": job["started_at"],
        "finished": job["finished_at"],
        **(job["losses"] or {}),
    }


def _told(parent: "ParentAnswer | None") -> str | None:
    return parent and f"{parent['job']} at step {parent['step']}"


@click.command()
@one_job
@as_json
@with_client
def watch(client: "Client", job_id: str, as_json: bool) -> None:
    """Show progress until the job ends.

    The exit code tells how it did.
    """
    with _staying(job_id):
        job = client.jobs.get(job_id)
        _see_through(job, quiet=as_json)
    if as_json:
        show_json(job.data)
    _exit_by(job)


@click.command()
@one_job
@click.argument("max_steps", type=click.IntRange(min=1))
@as_json
@with_client
def extend(client: "Client", job_id: str, max_steps: int, as_json: bool) -> None:
    """Let a job train up to step MAX_STEPS.

    One that has ended cannot; a fork trains on: ganymede fork.
    """
    job = client.jobs.get(job_id).change(max_steps=max_steps)
    if as_json:
        show_json(job.data)
    else:
        click.echo(f"{job_id} {job.status}, step {job.step} of {job.data['progress']['max_steps']}")
        *_, told = (event["message"] for event in job.events() if event["type"] == "note")
        click.echo(told)


@click.command()
@some_jobs
@as_json
@with_client
def delete(client: "Client", job_ids: tuple[str, ...], as_json: bool) -> None:
    """Delete finished jobs with everything they made."""
    deleted = []
    try:
        for job_id in job_ids:
            client.jobs.get(job_id).delete()
            deleted.append(job_id)
    finally:
        if as_json:
            show_json({"deleted": deleted})


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


def _asking(name: str, verb: str, ask: "Callable[[Job], Job]") -> click.Command:
    """Make the command that asks for one change of status."""

    @click.command(name=name, help=f"{verb}.")
    @some_jobs
    @as_json
    @with_client
    def command(client: "Client", job_ids: tuple[str, ...], as_json: bool) -> None:
        jobs = []
        try:
            for job_id in job_ids:
                jobs.append(ask(client.jobs.get(job_id)).data)
                if not as_json:
                    click.echo(f"{job_id} {jobs[-1]['status']}")
        finally:  # what was done before a refusal is told, too
            if as_json:
                show_json(jobs)

    return command


cancel = _asking("cancel", "End jobs; what they made so far stays", lambda job: job.cancel())
pause = _asking("pause", "Let jobs save themselves and give up their place", lambda job: job.pause())
save = _asking("save", "Save checkpoints of running jobs now", lambda job: job.save())
resume = _asking("resume", "Continue paused jobs where they were", lambda job: job.resume())


def _announce(job: "Job", *, watches: bool, as_json: bool) -> None:
    """Print a job that was just queued, or watch it to its end."""
    if watches:
        with _staying(job.id):
            _see_through(job, quiet=as_json)
    if as_json:
        show_json(job.data)
    elif not watches:
        click.echo(job.id)
    _exit_by(job)


@contextmanager
def _staying(job_id: str) -> Iterator[None]:
    """Say how to come back when somebody leaves with Ctrl-C, or the service has gone for long."""
    from ganymede.client import ServiceUnreachable

    come_back = f"Come back with: ganymede watch {job_id}"
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"\n{job_id} goes on without you. {come_back}", err=True)
        raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None
    except ServiceUnreachable as error:
        raise ServiceUnreachable(f"{error}\nOnce it is back, {job_id} goes on. {come_back}") from error


def _see_through(job: "Job", *, quiet: bool) -> None:
    """Stay until the job has ended, and show how far it is unless only its end is to be printed."""
    from rich.console import Console

    from ganymede.watching import outcome, watch

    console = Console(quiet=quiet, markup=False)
    watch(job, console)
    console.print(outcome(job.data), soft_wrap=True, highlight=False)


def _exit_by(job: "Job") -> None:
    endings = {"failed": ExitCode.FAILED, "cancelled": ExitCode.CANCELLED}
    if job.status in endings:
        raise click.exceptions.Exit(endings[job.status])


def _row(job: "JobAnswer") -> tuple[object, ...]:
    progress, losses = job["progress"], job["losses"] or {}
    return (
        job["id"],
        job["status"],
        progress["step"],
        progress["max_steps"],
        losses.get("d_loss"),
        losses.get("g_loss"),
        job["created_at"],
        _what_trains(job),
        job["name"],
    )


def _what_trains(job: "JobAnswer") -> str:
    """Tell a job's data, networks, loss and loop."""
    spec = job["resolved_spec"]
    parts = (spec["dataset"]["name"], spec["model"]["architecture"], spec["objective"]["loss"], spec["loop"]["variant"])
    return " ".join(parts)
