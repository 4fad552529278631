"""Webhooks: where to tell what happens to jobs, what was told, and telling it again."""

import ipaddress
from typing import Any

from flask import Response, request
from pydantic import Field, HttpUrl

from service.answers.webhook import (
    DeliveryAnswer,
    DeliveryPage,
    DeliveryStatus,
    NewWebhookAnswer,
    WebhookAnswer,
    WebhookPage,
)
from service.answers.writing import json_answer, page_answer, tagged
from service.api import Reply, Routes
from service.binding import PageQuery, Path
from service.db import reading, writing
from service.errors import Fault, InvalidInput, QuotaExceeded
from service.outgoing import may_reach
from service.routes.jobs import IF_NONE_MATCH, NOT_MODIFIED, PAGED, TAGGED
from service.spec.webhook import WebhookChanges, WebhookSpec
from service.store import deliveries, webhooks
from service.store.keys import lock_owner
from service.web import Caller, Web

routes = Routes("webhooks", "Being told what happens to your jobs.")

LOCATED = {"Location": "Path of what was made."}


class WebhookPath(Path):
    """Path of a webhook."""

    webhook_id: str = Field(pattern=r"^whk_[0-9a-z]{22}$", description="Id of a webhook.")


class DeliveryPath(WebhookPath):
    """Path of a message to a webhook."""

    delivery_id: str = Field(pattern=r"^dlv_[0-9a-z]{22}$", description="Id of a message.")


class DeliveriesQuery(PageQuery):
    """Which messages."""

    status: DeliveryStatus | None = Field(None, description="Only messages of this status.")


@routes.add(
    "POST",
    "/webhooks",
    scope="submit",
    replies={201: Reply("The webhook with its secret.", NewWebhookAnswer, headers=LOCATED)},
    problems=(429,),
)
def create_webhook(web: Web, caller: Caller, body: WebhookSpec) -> Response:
    """Be told of what happens to your jobs at an address of yours.

    Messages are small JSON, `{type, timestamp, data: {job, status, step, version, seq, links}}`, signed as Standard
    Webhooks says with the `secret` that this answer shows once. Whatever is answered with 2xx is delivered; all else
    is sent again for a day. Messages of one job come in order, each at least once: a repeated one has the same
    `webhook-id`.
    """
    _refuse_inner(web, body.url)
    with writing(web.engine) as session:
        lock_owner(session, caller.owner_id)
        if webhooks.count_webhooks(session, caller.owner_id) >= web.settings.max_webhooks:
            raise QuotaExceeded(f"You have {web.settings.max_webhooks} webhooks already, which is the limit.")
        wish: dict[str, Any] = {"url": str(body.url), "events": body.events, "name": body.name}
        answer = NewWebhookAnswer.of(webhooks.create_webhook(session, owner_id=caller.owner_id, **wish))
    return json_answer(answer, status=201, headers={"Location": f"/webhooks/{answer.id}"})


@routes.add(
    "GET",
    "/webhooks",
    replies={200: Reply("A page of webhooks.", WebhookPage, headers=PAGED), 304: NOT_MODIFIED},
    request_headers=IF_NONE_MATCH,
)
def list_webhooks(web: Web, caller: Caller, query: PageQuery) -> Response:
    """List your webhooks, newest first."""
    with reading(web.engine) as session:
        page = webhooks.list_webhooks(session, caller.owner_id, limit=query.limit, cursor=query.cursor)
        data = [WebhookAnswer.of(webhook) for webhook in page.data]
    return page_answer(WebhookPage, data, page, request)


@routes.add(
    "GET",
    "/webhooks/<webhook_id>",
    replies={200: Reply("The webhook.", WebhookAnswer, headers=TAGGED), 304: NOT_MODIFIED},
    request_headers=IF_NONE_MATCH,
)
def show_webhook(web: Web, caller: Caller, path: WebhookPath) -> Response:
    """Show a webhook, without its secret."""
    with reading(web.engine) as session:
        answer = WebhookAnswer.of(webhooks.get_webhook(session, caller.owner_id, path.webhook_id))
    return tagged(json_answer(answer), request)


@routes.add("PATCH", "/webhooks/<webhook_id>", scope="submit", replies={200: Reply("The webhook.", WebhookAnswer)})
def change_webhook(web: Web, caller: Caller, path: WebhookPath, body: WebhookChanges) -> Response:
    """Change the address, the events, the name of a webhook, or whether it is enabled.

    What waits is sent to the new address. While a webhook is disabled, what waits stays, and nothing is added.
    """
    changes = body.model_dump(mode="json", exclude_unset=True)
    if "url" in changes:
        _refuse_inner(web, body.url)
    with writing(web.engine) as session:
        webhook = webhooks.get_webhook(session, caller.owner_id, path.webhook_id)
        webhooks.change_webhook(webhook, changes)
        answer = WebhookAnswer.of(webhook)
    return json_answer(answer)


@routes.add("DELETE", "/webhooks/<webhook_id>", scope="submit", replies={204: Reply("Gone.")})
def delete_webhook(web: Web, caller: Caller, path: WebhookPath) -> Response:
    """Delete a webhook with all messages to it, also those that wait."""
    with writing(web.engine) as session:
        webhooks.delete_webhook(session, webhooks.get_webhook(session, caller.owner_id, path.webhook_id))
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response


@routes.add(
    "POST",
    "/webhooks/<webhook_id>/test",
    scope="submit",
    replies={202: Reply("The message, soon on its way.", DeliveryAnswer, headers=LOCATED)},
    problems=(409, 429),
)
def test_webhook(web: Web, caller: Caller, path: WebhookPath) -> Response:
    """Send a message of the type `webhook.test`, to see whether it arrives."""
    with writing(web.engine) as session:
        webhook = webhooks.get_webhook(session, caller.owner_id, path.webhook_id)
        answer = DeliveryAnswer.of(deliveries.add_test(session, webhook))
    return json_answer(answer, status=202, headers={"Location": answer.links["self"]})


@routes.add(
    "GET",
    "/webhooks/<webhook_id>/deliveries",
    replies={200: Reply("A page of messages.", DeliveryPage, headers=PAGED), 304: NOT_MODIFIED},
    request_headers=IF_NONE_MATCH,
)
def list_deliveries(web: Web, caller: Caller, path: WebhookPath, query: DeliveriesQuery) -> Response:
    """List the messages to a webhook, newest first: what waits, and the last 1,000 that were delivered or given up."""
    with reading(web.engine) as session:
        webhook = webhooks.get_webhook(session, caller.owner_id, path.webhook_id)
        wish: dict[str, Any] = {"status": query.status, "limit": query.limit, "cursor": query.cursor}
        page = deliveries.list_deliveries(session, webhook.id, **wish)
        data = [DeliveryAnswer.of(message) for message in page.data]
    return page_answer(DeliveryPage, data, page, request)


@routes.add(
    "GET",
    "/webhooks/<webhook_id>/deliveries/<delivery_id>",
    replies={200: Reply("The message.", DeliveryAnswer, headers=TAGGED), 304: NOT_MODIFIED},
    request_headers=IF_NONE_MATCH,
)
def show_delivery(web: Web, caller: Caller, path: DeliveryPath) -> Response:
    """Show a message to a webhook, and what became of it."""
    with reading(web.engine) as session:
        webhook = webhooks.get_webhook(session, caller.owner_id, path.webhook_id)
        answer = DeliveryAnswer.of(deliveries.get_delivery(session, webhook, path.delivery_id))
    return tagged(json_answer(answer), request)


@routes.add(
    "POST",
    "/webhooks/<webhook_id>/deliveries/<delivery_id>/redeliver",
    scope="submit",
    replies={202: Reply("The message, soon on its way.", DeliveryAnswer)},
    problems=(409,),
)
def redeliver(web: Web, caller: Caller, path: DeliveryPath) -> Response:
    """Send a message again, whatever became of it; one that waits after a try is sent at once."""
    with writing(web.engine) as session:
        webhook = webhooks.get_webhook(session, caller.owner_id, path.webhook_id)
        answer = DeliveryAnswer.of(deliveries.redeliver(session, webhook, path.delivery_id))
    return json_answer(answer, status=202)


def _refuse_inner(web: Web, url: HttpUrl) -> None:
    """Raise InvalidInput for an address inside. What a name stands for is looked up when something is sent."""
    host = (url.host or "").strip("[]")
    try:
        address = str(ipaddress.ip_address(host))
    except ValueError:
        if host != "localhost" and not host.endswith(".localhost"):
            return
        address = "127.0.0.1"
    if not may_reach(host, address, web.settings.inner_hosts):
        message = "must be on the open Internet; GANYMEDE_WEBHOOK_HOSTS names hosts inside that are allowed"
        raise InvalidInput([Fault("/url", "not_open", message, got=str(url))])
