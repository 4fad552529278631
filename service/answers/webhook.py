"""Webhooks and the messages to them, as clients see them."""

from datetime import datetime, timedelta
from typing import Any, Literal, cast

import orjson
from pydantic import BaseModel, Field

from service.answers.writing import Moment, PageAnswer
from service.models import Delivery, Webhook

DeliveryStatus = Literal["waiting", "delivered", "failed"]


class WebhookAnswer(BaseModel):
    """Where you are told what happens to your jobs."""

    id: str
    name: str | None
    url: str
    events: list[str] = Field(description="Types of messages that are sent; `*` is all.")
    enabled: bool
    created_at: Moment
    links: dict[str, str]

    @classmethod
    def of(cls, webhook: Webhook) -> "WebhookAnswer":
        """Tell a webhook, without its secret."""
        return cls(**_told(webhook))


class NewWebhookAnswer(WebhookAnswer):
    """A webhook with its secret, which is shown this once."""

    secret: str = Field(description="Messages are signed with it; it is not shown again.")

    @classmethod
    def of(cls, webhook: Webhook) -> "NewWebhookAnswer":
        """Tell a webhook with its secret."""
        return cls(**_told(webhook), secret=webhook.secret)


class WebhookPage(PageAnswer[WebhookAnswer]):
    """Webhooks, newest first."""


class DeliveryAnswer(BaseModel):
    """A message to a webhook."""

    id: str = Field(description="Also its `webhook-id`: the same in every try, and when it is sent again.")
    webhook: str
    job: str | None = Field(description="Null for a test.")
    type: str
    status: DeliveryStatus
    attempts: int = Field(description="How often it was tried.")
    status_code: int | None = Field(description="Of the last answer.")
    error: str | None = Field(description="Why the last try failed.")
    payload: dict[str, Any] = Field(description="What is sent.")
    created_at: Moment
    tried_at: Moment | None
    next_try_at: Moment | None = Field(description="About when, while it waits after a try.")
    finished_at: Moment | None = Field(description="Delivered or given up since.")
    links: dict[str, str]

    @classmethod
    def of(cls, message: Delivery) -> "DeliveryAnswer":
        """Tell a message."""
        url = f"/webhooks/{message.webhook_id}/deliveries/{message.id}"
        return cls(
            id=message.id,
            webhook=message.webhook_id,
            job=message.job_id,
            type=message.type,
            status=cast("DeliveryStatus", message.state),
            attempts=message.attempt,
            status_code=message.status_code,
            error=message.error,
            payload=orjson.loads(message.body),
            created_at=message.created_at,
            tried_at=message.tried_at,
            next_try_at=_next_try(message),
            finished_at=message.finished_at,
            links={"self": url, "redeliver": f"{url}/redeliver"},
        )


class DeliveryPage(PageAnswer[DeliveryAnswer]):
    """Messages to a webhook, newest first."""


def _next_try(message: Delivery) -> datetime | None:
    if message.tried_at is None or message.hold_s is None:
        return None
    return message.tried_at + timedelta(seconds=message.hold_s)


def _told(webhook: Webhook) -> dict[str, Any]:
    url = f"/webhooks/{webhook.id}"
    return {
        "id": webhook.id,
        "name": webhook.name,
        "url": webhook.url,
        "events": webhook.events,
        "enabled": webhook.enabled,
        "created_at": webhook.created_at,
        "links": {"self": url, "deliveries": f"{url}/deliveries", "test": f"{url}/test"},
    }
