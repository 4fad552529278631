"""Webhooks in the client: `client.webhooks`."""

from collections.abc import Iterator, Sequence
from typing import Any, Self, cast

from ganymede.answers import DeliveryAnswer, NewWebhookAnswer
from ganymede.resource import Resource, path_of, without_none
from ganymede.transport import Transport


class Webhook(Resource[NewWebhookAnswer]):
    """An address that is told what happens to your jobs."""

    @property
    def secret(self) -> str:
        """What its messages are signed with. It is told once: raises KeyError unless the webhook was just created."""
        return self.data["secret"]

    def change(self, **changes: Any) -> Self:
        """Change url, events, name or enabled."""
        return self._ask("PATCH", json=changes)

    def delete(self) -> None:
        """Remove the webhook with all messages to it."""
        self._transport.send("DELETE", self.path)

    def test(self) -> DeliveryAnswer:
        """Have a message sent that tells nothing; what became of it is among the deliveries."""
        return cast("DeliveryAnswer", self._transport.object("POST", f"{self.path}/test"))

    def deliveries(self, **filters: str | int) -> Iterator[DeliveryAnswer]:
        """Yield the messages, newest first; filters are the query of GET /webhooks/ID/deliveries."""
        return cast("Iterator[DeliveryAnswer]", self._transport.pages(f"{self.path}/deliveries", filters))

    def redeliver(self, delivery_id: str) -> DeliveryAnswer:
        """Have a message sent again."""
        path = f"{self.path}{path_of('deliveries', delivery_id)}/redeliver"
        return cast("DeliveryAnswer", self._transport.object("POST", path))


class Webhooks:
    """Being told what happens to your jobs."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, url: str, events: Sequence[str] | None = None, name: str | None = None) -> Webhook:
        """Be told at an address, of the ends of jobs unless events say of what; keep the secret, it is shown once."""
        wish = without_none(url=url, events=None if events is None else [*events], name=name)
        return self._made(self._transport.object("POST", "/webhooks", json=wish))

    def get(self, webhook_id: str) -> Webhook:
        """Return a webhook, without its secret."""
        return self._made(self._transport.object("GET", path_of("webhooks", webhook_id)))

    def list(self) -> Iterator[Webhook]:
        """Yield your webhooks, newest first."""
        return map(self._made, self._transport.pages("/webhooks"))

    def _made(self, answer: dict[str, Any]) -> Webhook:
        return Webhook(self._transport, cast("NewWebhookAnswer", answer))
