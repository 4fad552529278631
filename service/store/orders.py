"""What is asked of generators, samples and exports: the orders of owners, and the attempts of workers at them.

Who works at one passes (order, attempt): a write of an attempt that is over raises AttemptOver. Nothing here commits,
announces work or waits, and no clock decides.
"""

import hashlib
import math
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, select, update
from sqlalchemy.orm import Session

from service.clock import now
from service.errors import AttemptOver, NotFound
from service.ids import make_id
from service.models import Order, OrderState
from service.spec.datasets import canonical_json
from service.spec.drawing import SMALL_N, Drawing
from service.spec.exports import Export, work_to_json
from service.store.conditional import update_one
from service.store.doomed import doom, doom_rows, keys_of

ID_PREFIX = "smp_"
MOST_KEPT = 1_000  # settled orders of one owner, whatever their size
_LIVE = (OrderState.QUEUED, OrderState.RENDERING)

# Made once: to make one of these takes longer than to carry it out, and somebody waits for samples.
_OWNED = Order.owner_id == bindparam("owner")
_IDENTICAL = select(Order).where(Order.job_id == bindparam("job"), Order.identity == bindparam("identity"))
_FOR_SAMPLES = Order.drawing["export"].as_string().is_(None)
_ONE = select(Order.id).where(Order.id == bindparam("order"))
_COUNT_LIVE = select(func.count()).select_from(Order).where(_OWNED, Order.state.in_(_LIVE))
_SETTLED = (_OWNED, Order.state.in_((OrderState.READY, OrderState.FAILED)))
_KEPT = select(func.count(), func.coalesce(func.sum(Order.stored_bytes), 0)).where(*_SETTLED)
_OTHERS = select(Order).where(*_SETTLED, Order.id != bindparam("kept")).order_by(Order.id)
_OLDEST = _OTHERS.limit(1).with_for_update(skip_locked=True)

# What the web does


def identity_of(generator: dict[str, Any], drawing: Drawing | Export) -> str:
    """Return what makes two orders of a job one: the same bytes of a generator, asked for the same."""
    asked = {"generator": generator["sha256"], "drawing": work_to_json(drawing)}
    return hashlib.sha256(canonical_json(asked)).hexdigest()


def find_order(session: Session, job_id: str, identity: str) -> Order | None:
    """Return the job's order of this identity."""
    return session.scalars(_IDENTICAL, {"job": job_id, "identity": identity}).first()


def make_order_id() -> str:
    """Return the id of an order to be."""
    return make_id(ID_PREFIX.rstrip("_"))


def create_order(
    session: Session,
    order_id: str,
    *,
    owner_id: str,
    job_id: str,
    generator: dict[str, Any],
    drawing: Drawing | Export,
    request: dict[str, Any],
    file: dict[str, Any] | None = None,
) -> Order:
    """Store an order that waits for a worker, or that is ready with the file of its first attempt.

    Of two with one identity the second breaks on the constraint.
    """
    order = Order(
        id=order_id,
        owner_id=owner_id,
        job_id=job_id,
        identity=identity_of(generator, drawing),
        generator=generator,
        drawing=work_to_json(drawing),
        request=request,
        state=OrderState.READY if file else OrderState.QUEUED,
        attempt=1 if file else 0,
        files={"samples": file} if file else {},
        stored_bytes=file["size"] if file else 0,
        created_at=now(),
        finished_at=now() if file else None,
    )
    session.add(order)
    session.flush()
    return order


def is_stored(session: Session, order_id: str) -> bool:
    """Tell whether there is an order of this id."""
    return session.scalars(_ONE, {"order": order_id}).first() is not None


def order_again(session: Session, order: Order, generator: dict[str, Any]) -> None:
    """Let a failed order be carried out once more, as if for the first time.

    The file of the generator may be another by now: a resumed job stores the same bytes again elsewhere.
    """
    values = {"state": OrderState.QUEUED, "losses": 0, "error_code": None, "error_message": None, "finished_at": None}
    failed = update(Order).where(Order.id == order.id, Order.state == OrderState.FAILED)
    if update_one(session, failed.values(values | {"generator": generator, "version": Order.version + 1})):
        session.refresh(order)


def admit_loss(session: Session, order: Order, *, code: str, message: str) -> None:
    """Let an order that was seen ready fail, for its file is gone or damaged; somebody may have been first."""
    ready = update(Order).where(Order.id == order.id, Order.version == order.version, Order.state == OrderState.READY)
    if update_one(session, ready.values(files={}, stored_bytes=0, version=Order.version + 1)):
        doom(session, keys_of(order.files))
        _fail(session, session.get_one(Order, order.id, populate_existing=True), code, message)


def get_order(session: Session, owner_id: str, order_id: str) -> Order:
    """Return an owner's order for samples; raise NotFound for an unknown id, somebody else's and an export alike."""
    order = session.get(Order, order_id)
    if order is None or order.owner_id != owner_id or order.is_export:
        raise NotFound("sample", order_id)
    return order


def delete_order(session: Session, owner_id: str, order_id: str) -> None:
    """Delete an owner's order for samples with its file in any state; who is at it finds it gone. Raises NotFound."""
    mine = select(Order).where(Order.id == order_id, Order.owner_id == owner_id, _FOR_SAMPLES).with_for_update()
    order = session.scalars(mine).first()
    if order is None:
        raise NotFound("sample", order_id)
    doom_rows(session, [order])


def progress_of(session: Session, owner_id: str, order_id: str) -> tuple[int, bool]:
    """Return the version of an owner's order for samples and whether it is settled, for a long poll; raise NotFound."""
    query = select(Order.version, Order.state).where(Order.id == order_id, Order.owner_id == owner_id, _FOR_SAMPLES)
    row = session.execute(query).first()
    if row is None:
        raise NotFound("sample", order_id)
    return row.version, row.state in {OrderState.READY, OrderState.FAILED}


def count_live(session: Session, owner_id: str) -> int:
    """Return how many orders of an owner wait or are worked at."""
    return session.scalars(_COUNT_LIVE, {"owner": owner_id}).one()


def steps_in_demand(session: Session, job_id: str) -> Sequence[int]:
    """Return the steps of a job whose generators are wanted by orders that wait or are worked at."""
    step = Order.generator["step"].as_integer()
    return session.scalars(select(step).where(Order.job_id == job_id, Order.state.in_(_LIVE)).distinct()).all()


def stored_bytes(session: Session, owner_id: str) -> int:
    """Return how many bytes of samples and exports that were asked for are kept for an owner."""
    total = func.coalesce(func.sum(Order.stored_bytes), 0)
    return int(session.scalars(select(total).where(Order.owner_id == owner_id)).one())


# What a worker does


def query_next(*conditions: ColumnElement[bool]) -> Select[Order]:
    """Return the query of each owner's order that has waited longest, of those that meet the conditions; oldest first.

    To make it takes five times as long as to carry it out.
    """
    waiting = (Order.state == OrderState.QUEUED, *conditions)
    oldest = select(func.min(Order.id)).where(*waiting).group_by(Order.owner_id)
    return select(Order).where(Order.id.in_(oldest)).order_by(Order.id)


def next_orders(session: Session) -> Sequence[Order]:
    """Return the order of each owner that has waited longest, the oldest first."""
    return session.scalars(query_next()).all()


def is_small() -> ColumnElement[bool]:
    """Return the condition that the drawing of an order is small."""
    condition, form = Order.drawing["restriction", "conditions", 0].as_string(), Order.drawing["format"].as_string()
    n = func.coalesce(Order.drawing["n"].as_integer(), SMALL_N + 1)  # an export has none
    return and_(n <= SMALL_N, condition.is_(None), form != "gif")


def claim_order(session: Session, order_id: str, attempt: int, *, worker: str) -> None:
    """Begin the next attempt at an order; raise AttemptOver when somebody else has begun it or the order is gone.

    Who claims again because no answer came has it all the same.
    """
    waiting = (Order.id == order_id, Order.attempt == attempt - 1, Order.state == OrderState.QUEUED)
    values = {
        "state": OrderState.RENDERING,
        "attempt": attempt,
        "worker": worker,
        "beat": Order.beat + 1,
        "version": Order.version + 1,
    }
    if not update_one(session, update(Order).where(*waiting).values(values)):
        _fence(session, order_id, attempt, Order.worker == worker)


def beat_order(session: Session, order_id: str, attempt: int, *, made: int) -> None:
    """Say that an attempt goes on and what it has made; raise AttemptOver when it is not wanted any more."""
    order = _fence(session, order_id, attempt)
    if order.made != made:
        order.made = made
        order.version += 1


def finish_order(session: Session, order_id: str, attempt: int, *, file: dict[str, Any], quota_bytes: int) -> None:
    """Show the file of an order; its owner's oldest ones go, beyond the quota and MOST_KEPT. Each can be made again."""
    order = _fence(session, order_id, attempt)
    order.files, order.stored_bytes = {"samples": file}, file["size"]
    _settle(order, OrderState.READY)
    make_room(session, order, quota_bytes)


def finish_waiting(session: Session, order: Order, attempt: int, *, file: dict[str, Any], quota_bytes: int) -> bool:
    """Do in one statement what claim_order and finish_order do to an order that was seen to wait; False if it has not
    waited until now.
    """
    waiting = (Order.id == order.id, Order.attempt == attempt - 1, Order.state == OrderState.QUEUED)
    values = {
        "state": OrderState.READY,
        "attempt": attempt,
        "files": {"samples": file},
        "stored_bytes": file["size"],
        "finished_at": now(),
        "beat": Order.beat + 1,
        "version": Order.version + 1,
    }
    if not update_one(session, update(Order).where(*waiting).values(values)):
        return False
    make_room(session, order, quota_bytes)
    return True


def make_room(session: Session, kept: Order, quota_bytes: float = math.inf) -> None:
    """Delete the owner's oldest settled orders but this one, until no more are kept than may be.

    One that somebody else is just changing stays: it may be asked for again, or be another's to delete.
    """
    session.flush()
    count, size_bytes = session.execute(_KEPT, {"owner": kept.owner_id}).one()
    while count > MOST_KEPT or size_bytes > quota_bytes:
        oldest = session.scalars(_OLDEST, {"owner": kept.owner_id, "kept": kept.id}).first()
        if oldest is None:
            return
        count, size_bytes = count - 1, size_bytes - oldest.stored_bytes
        doom_rows(session, [oldest])


def fail_order(session: Session, order_id: str, attempt: int, *, code: str, message: str) -> None:
    """Say why an order cannot be carried out."""
    _fail(session, _fence(session, order_id, attempt), code, message)


def release_order(session: Session, order_id: str, attempt: int) -> None:
    """Give an order back, charging nothing: this worker stops or its storage is away."""
    _put_back(_fence(session, order_id, attempt))


def lose_order(session: Session, order_id: str, attempt: int, *, code: str, message: str, most_losses: int) -> None:
    """Count a lost attempt: let the order be tried again, or fail it when there were too many."""
    order = _fence(session, order_id, attempt)
    order.losses += 1
    if order.losses >= most_losses:
        _fail(session, order, code, f"{message} That was attempt {order.losses} of {most_losses}.")
    else:
        _put_back(order)


# What the reconciler does


def list_in_hand(session: Session) -> Sequence[Order]:
    """Return what workers are at: what a lease is judged by."""
    return session.scalars(select(Order).where(Order.state == OrderState.RENDERING)).all()


def _fail(session: Session, order: Order, code: str, message: str) -> None:
    order.error_code, order.error_message = code, message
    _settle(order, OrderState.FAILED)
    make_room(session, order)


def _settle(order: Order, state: OrderState) -> None:
    order.finished_at = now()
    _leave(order, state)


def _put_back(order: Order) -> None:
    _leave(order, OrderState.QUEUED)


def _leave(order: Order, state: OrderState) -> None:
    order.state, order.worker, order.made = state, None, 0
    order.version += 1


def _fence(session: Session, order_id: str, attempt: int, *conditions: ColumnElement[bool]) -> Order:
    """Return the order with its row locked for this transaction; raise AttemptOver when the attempt is over."""
    current = (Order.id == order_id, Order.attempt == attempt, Order.state == OrderState.RENDERING, *conditions)
    if not update_one(session, update(Order).where(*current).values(beat=Order.beat + 1)):
        raise AttemptOver(f"attempt {attempt} at {order_id} is over")
    query = select(Order).where(Order.id == order_id).execution_options(populate_existing=True)
    return session.scalars(query).one()
