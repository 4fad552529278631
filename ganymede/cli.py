"""The console script `ganymede`: the group of all commands. Each topic's commands stand in ganymede.commands."""

import click

from ganymede.commands import completion, datasets, home, jobs, keys, results, sampling, service, sweeps, webhooks
from ganymede.exit_codes import MEANING


def _exit_codes() -> str:
    return "\n".join(f"{code.value:>5}  {meaning}" for code, meaning in MEANING.items())


class InOrder(click.Group):
    """A group that lists its commands as they were added, not by alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of a user's day."""
        return list(self.commands)


@click.group(cls=InOrder, epilog=f"\b\nExit codes:\n{_exit_codes()}")
@click.option("--url", envvar="GANYMEDE_URL", default="http://127.0.0.1:8000", show_default=True, help="The service.")
@click.option("--key", envvar="GANYMEDE_KEY", help="API key.")
@click.version_option(package_name="ganymede-gan", prog_name="ganymede")
@click.pass_context
def main(ctx: click.Context, url: str, key: str | None) -> None:
    """GAN training as a service: start it, post jobs, watch every number, fetch what they make."""
    ctx.obj = (url, key)


for command in (
    service.up,
    service.api,
    service.worker,
    service.migrate,
    service.doctor,
    keys.keys,
    home.backup,
    home.restore,
    service.demo,
    datasets.datasets,
    jobs.submit,
    jobs.fork,
    jobs.list_jobs,
    jobs.show,
    jobs.watch,
    sweeps.sweep,
    results.events,
    results.losses,
    results.compare,
    results.diagnosis,
    results.samples,
    sampling.sample,
    results.checkpoints,
    results.export,
    results.quality,
    results.archive,
    jobs.extend,
    jobs.save,
    jobs.cancel,
    jobs.pause,
    jobs.resume,
    jobs.delete,
    webhooks.webhooks,
    jobs.catalog,
    completion.completion,
):
    main.add_command(command)
