"""Webhooks in the client: `client.webhooks`."""

from collections.abc import Iterator, Sequence
from typing import Any, NotRequired, TypedDict, cast

from ganymede.transport import Transport


class Webhook(TypedDict):
    """A webhook as the service shows it; the secret is there once, in the answer to `create`."""

    id: str
    name: str | None
    url: str
    events: list[str]
    enabled: bool
    created_at: str
    links: dict[str, str]
    secret: NotRequired[str]


class Delivery(TypedDict):
    """A message to a webhook as the service shows it."""

    id: str
    webhook: str
    job: str | None
    type: str
    status: str
    attempts: int
    status_code: int | None
    error: str | None
    payload: dict[str, Any]
    created_at: str
    tried_at: str | None
    next_try_at: str | None
    finished_at: str | None
    links: dict[str, str]


class Webhooks:
    """Being told what happens to your jobs."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, url: str, events: Sequence[str] | None = None, name: str | None = None) -> Webhook:
        """Be told at an address, of the ends of jobs unless events say of what; keep the secret, it is shown once."""
        wish = {"url": url, "events": None if events is None else [*events], "name": name}
        said = {key: value for key, value in wish.items() if value is not None}
        return cast("Webhook", self._transport.object("POST", "/webhooks", json=said))

    def show(self, webhook_id: str) -> Webhook:
        """Return a webhook, without its secret."""
        return cast("Webhook", self._transport.object("GET", f"/webhooks/{webhook_id}"))

    def list(self) -> Iterator[Webhook]:
        """Yield your webhooks, newest first."""
        return cast("Iterator[Webhook]", self._transport.pages("/webhooks"))

    def change(self, webhook_id: str, **changes: Any) -> Webhook:
        """Change url, events, name or enabled."""
        return cast("Webhook", self._transport.object("PATCH", f"/webhooks/{webhook_id}", json=changes))

    def delete(self, webhook_id: str) -> None:
        """Remove a webhook with all messages to it."""
        self._transport.send("DELETE", f"/webhooks/{webhook_id}")

    def test(self, webhook_id: str) -> Delivery:
        """Have a message sent that tells nothing; what became of it is among the deliveries."""
        return cast("Delivery", self._transport.object("POST", f"/webhooks/{webhook_id}/test"))

    def deliveries(self, webhook_id: str, **filters: str | int) -> Iterator[Delivery]:
        """Yield the messages to a webhook, newest first; filters are the query of GET /webhooks/ID/deliveries."""
        return cast("Iterator[Delivery]", self._transport.pages(f"/webhooks/{webhook_id}/deliveries", filters))

    def redeliver(self, webhook_id: str, delivery_id: str) -> Delivery:
        """Have a message sent again."""
        path = f"/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver"
        return cast("Delivery", self._transport.object("POST", path))
