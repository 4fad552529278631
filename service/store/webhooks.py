"""Webhooks as their owners see them: create, find, change, delete. Messages to them are in deliveries."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from service.clock import now
from service.errors import NotFound
from service.ids import make_id
from service.models import Webhook
from service.signing import make_secret
from service.store.pages import Page, decode_cursor, make_page


def create_webhook(
    session: Session, *, owner_id: str, url: str, events: Sequence[str], name: str | None = None
) -> Webhook:
    """Store a webhook with a secret of its own; it is told of what happens from the next transaction on."""
    webhook = Webhook(
        id=make_id("whk"),
        owner_id=owner_id,
        name=name,
        url=url,
        events=[*events],
        secret=make_secret(),
        enabled=True,
        created_at=now(),
    )
    session.add(webhook)
    session.flush()
    return webhook


def get_webhook(session: Session, owner_id: str, webhook_id: str) -> Webhook:
    """Return an owner's webhook; raise NotFound for an unknown id and for somebody else's alike."""
    webhook = session.get(Webhook, webhook_id)
    if webhook is None or webhook.owner_id != owner_id:
        raise NotFound("webhook", webhook_id)
    return webhook


def list_webhooks(session: Session, owner_id: str, *, limit: int = 50, cursor: str | None = None) -> Page[Webhook]:
    """Return an owner's webhooks, newest first."""
    query = select(Webhook).where(Webhook.owner_id == owner_id).order_by(Webhook.id.desc()).limit(limit + 1)
    if cursor:
        query = query.where(Webhook.id < decode_cursor(cursor))
    rows: Sequence[Webhook] = session.scalars(query).all()
    return make_page(rows, limit, [row.id for row in rows])


def count_webhooks(session: Session, owner_id: str) -> int:
    """Return how many webhooks an owner has."""
    return session.scalars(select(func.count()).select_from(Webhook).where(Webhook.owner_id == owner_id)).one()


def change_webhook(webhook: Webhook, changes: Mapping[str, Any]) -> None:
    """Set name, url, events or enabled. What waits while it is disabled is sent once it is enabled again."""
    for key, value in changes.items():
        setattr(webhook, key, value)


def delete_webhook(session: Session, webhook: Webhook) -> None:
    """Delete a webhook with all messages to it, those too that wait."""
    session.execute(delete(Webhook).where(Webhook.id == webhook.id))
