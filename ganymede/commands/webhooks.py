"""Commands on webhooks: create, list, change, delete, test, deliveries, redeliver."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ganymede.commands.completion import one_webhook, some_webhooks
from ganymede.commands.connection import with_client
from ganymede.commands.output import as_json, show_json
from ganymede.tables import format_table

if TYPE_CHECKING:
    from ganymede.answers import DeliveryAnswer, WebhookAnswer
    from ganymede.client import Client

some_events = click.option(
    "--event",
    "events",
    multiple=True,
    help="Type of message, such as job.started; several times for several, * is all.",
)


@click.group()
def webhooks() -> None:
    """Be told at an address of yours what happens to your jobs."""


@webhooks.command()
@click.argument("url")
@some_events
@click.option("--name", help="For people.")
@as_json
@with_client
def create(client: "Client", url: str, events: tuple[str, ...], name: str | None, as_json: bool) -> None:
    """Create a webhook and print its id and its secret, which is shown this once.

    Without --event it is told how jobs end.
    """
    webhook = client.webhooks.create(url, events or None, name).data
    if as_json:
        show_json(webhook)
        return
    click.echo(f"{webhook['id']} is told of {', '.join(webhook['events'])}. Its secret is shown only now:", err=True)
    click.echo(webhook["secret"])


@webhooks.command(name="list")
@as_json
@with_client
def list_webhooks(client: "Client", as_json: bool) -> None:
    """List your webhooks, newest first."""
    _tell([webhook.data for webhook in client.webhooks.list()], as_json=as_json)


@webhooks.command()
@one_webhook
@click.option("--url", help="The new address.")
@some_events
@click.option("--name", help="For people.")
@click.option("--enable/--disable", "enabled", default=None, help="Whether anything is sent.")
@as_json
@with_client
def change(
    client: "Client",
    webhook_id: str,
    url: str | None,
    events: tuple[str, ...],
    name: str | None,
    enabled: bool | None,
    as_json: bool,
) -> None:
    """Change a webhook; what is not given stays."""
    wish = {"url": url, "events": [*events] or None, "name": name, "enabled": enabled}
    changes = {key: value for key, value in wish.items() if value is not None}
    _tell([client.webhooks.get(webhook_id).change(**changes).data], as_json=as_json)


@webhooks.command()
@some_webhooks
@as_json
@with_client
def delete(client: "Client", webhook_ids: tuple[str, ...], as_json: bool) -> None:
    """Delete webhooks with all messages to them."""
    for webhook_id in webhook_ids:
        client.webhooks.get(webhook_id).delete()
    if as_json:
        show_json({"deleted": list(webhook_ids)})


@webhooks.command()
@one_webhook
@as_json
@with_client
def test(client: "Client", webhook_id: str, as_json: bool) -> None:
    """Have a message sent that tells nothing, and print its id."""
    message = client.webhooks.get(webhook_id).test()
    if as_json:
        show_json(message)
    else:
        click.echo(message["id"])


@webhooks.command()
@one_webhook
@click.option("--status", type=click.Choice(["waiting", "delivered", "failed"]), help="Only of this status.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="At most so many.")
@as_json
@with_client
def deliveries(client: "Client", webhook_id: str, status: str | None, limit: int, as_json: bool) -> None:
    """List the messages to a webhook, newest first, with what became of them."""
    from itertools import islice

    filters = {"status": status} if status else {}
    messages = [*islice(client.webhooks.get(webhook_id).deliveries(**filters), limit)]
    if as_json:
        show_json(messages)
    else:
        header = ("ID", "TYPE", "JOB", "STATUS", "TRIES", "NEXT", "ERROR")
        click.echo(format_table(header, [_row(message) for message in messages]))


@webhooks.command()
@one_webhook
@click.argument("delivery_ids", metavar="DELIVERY...", nargs=-1, required=True)
@as_json
@with_client
def redeliver(client: "Client", webhook_id: str, delivery_ids: tuple[str, ...], as_json: bool) -> None:
    """Have messages sent again."""
    webhook = client.webhooks.get(webhook_id)
    messages = [webhook.redeliver(each) for each in delivery_ids]
    if as_json:
        show_json(messages)


def _tell(entries: "Sequence[WebhookAnswer]", *, as_json: bool) -> None:
    if as_json:
        show_json(entries)
        return
    header = ("ID", "ENABLED", "EVENTS", "NAME", "URL")
    rows = [(each["id"], each["enabled"], ",".join(each["events"]), each["name"], each["url"]) for each in entries]
    click.echo(format_table(header, rows))


def _row(message: "DeliveryAnswer") -> tuple[object, ...]:
    return (
        message["id"],
        message["type"],
        message["job"],
        message["status"],
        message["attempts"],
        message["next_try_at"],
        message["error"],
    )
