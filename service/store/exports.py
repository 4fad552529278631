"""Exports among the orders of owners: found by their checkpoint, and forgotten. All else is in orders."""

import re

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.models import Order, OrderState
from service.spec.exports import Export
from service.store.doomed import doom_rows


def find_ready_export(
    session: Session, owner_id: str, job_id: str, export: Export, *, checkpoint: str, part: str | None
) -> Order | None:
    """Return the newest export of a step that is stored, whether the checkpoint is still kept or not."""
    if not re.fullmatch(r"[0-9]{1,9}", checkpoint):
        return None
    of_step = (Order.generator["step"].as_integer() == int(checkpoint), Order.generator["part"].as_string() == part)
    in_format = (Order.state == OrderState.READY, Order.drawing["export"].as_string() == export.format)
    query = select(Order).where(Order.job_id == job_id, Order.owner_id == owner_id, *of_step, *in_format)
    return session.scalars(query.order_by(Order.id.desc()).limit(1)).first()


def drop_settled(session: Session, order: Order) -> None:
    """Delete an order that was seen settled, so that who asks next has it made anew; somebody may have been first."""
    settled = select(Order).where(Order.id == order.id, Order.version == order.version).with_for_update()
    doom_rows(session, session.scalars(settled).all())
