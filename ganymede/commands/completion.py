"""Completion in a shell: the script that a shell reads, and arguments that are completed from what the service has."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem, get_completion_class

if TYPE_CHECKING:
    from ganymede.client import Client
    from ganymede.resource import Resource

PATIENCE_S = 0.5  # whoever presses Tab waits for no service
MOST = 50
VARIABLE = "_GANYMEDE_COMPLETE"

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes a shell complete commands.

    And options, and the ids of jobs and more, also by their names, where the service answers.

    For bash, in ~/.bashrc:

        eval "$(ganymede completion bash)"

    For zsh the same in ~/.zshrc; for fish, in ~/.config/fish/config.fish: ganymede completion fish | source
    """
    made_for = get_completion_class(shell)
    if made_for is None:
        raise click.UsageError(f"{shell} cannot be completed.")
    click.echo(made_for(click.get_current_context().find_root().command, {}, "ganymede", VARIABLE).source())


def _completing(listed: "Callable[[Client], Iterator[Resource[Any]]]") -> Complete:
    """Return what completes ids by their beginning or by a part of the name; nothing, where nobody answers soon."""

    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from ganymede.client import Client, GanymedeProblem, ServiceUnreachable

        said = context.find_root().params
        try:
            with Client(said["url"], said["key"], timeout_s=PATIENCE_S) as client:
                found = [each.data for each in islice(listed(client), MOST)]
        except (GanymedeProblem, ServiceUnreachable):
            return []
        return [
            CompletionItem(each["id"], help=" ".join(filter(None, (each.get("status"), each["name"]))))
            for each in found
            if each["id"].startswith(incomplete) or incomplete in (each["name"] or "")
        ]

    return complete


_jobs = _completing(lambda client: client.jobs.list(limit=MOST))
_datasets = _completing(lambda client: client.datasets.list())
_sweeps = _completing(lambda client: client.sweeps.list())
_webhooks = _completing(lambda client: client.webhooks.list())

one_job = click.argument("job_id", metavar="JOB", shell_complete=_jobs)
some_jobs = click.argument("job_ids", metavar="JOB...", nargs=-1, required=True, shell_complete=_jobs)
one_dataset = click.argument("dataset_id", metavar="DATASET", shell_complete=_datasets)
some_datasets = click.argument("dataset_ids", metavar="DATASET...", nargs=-1, required=True, shell_complete=_datasets)
one_sweep = click.argument("sweep_id", metavar="SWEEP", shell_complete=_sweeps)
some_sweeps = click.argument("sweep_ids", metavar="SWEEP...", nargs=-1, required=True, shell_complete=_sweeps)
one_webhook = click.argument("webhook_id", metavar="WEBHOOK", shell_complete=_webhooks)
some_webhooks = click.argument("webhook_ids", metavar="WEBHOOK...", nargs=-1, required=True, shell_complete=_webhooks)
