"""Placing an order: understood, drawn at once where a worker is idle, else written down and waited for."""

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.blobs import BlobStore
from service.broker import SAMPLE
from service.db import reading, writing, writing_lightly
from service.errands import AT_ONCE_S, Errand, Outcome
from service.errors import BlobDamaged, NotFound, QuotaExceeded
from service.models import Order, OrderState
from service.spec.drawing import Drawing, SampleSpec
from service.spec.exports import Export, work_to_json
from service.spec.headers import GeneratorHeader, read_header
from service.spec.wishes import resolve_sample
from service.store import orders
from service.store.checkpoints import get_checkpoint
from service.store.doomed import doom
from service.store.jobs import glimpse
from service.store.keys import lock_owner
from service.web import Caller, Web


@dataclass(frozen=True)
class Wish:
    """What is asked for, understood: the file of a generator with its part and step, and what it is to do."""

    job_id: str
    generator: dict[str, Any]
    drawing: Drawing | Export
    request: dict[str, Any]  # in the words of the client, with every value filled in

    @cached_property
    def identity(self) -> str:
        """What makes two wishes one."""
        return orders.identity_of(self.generator, self.drawing)


def place_order(web: Web, caller: Caller, job_id: str, body: SampleSpec, *, wait_s: float) -> Order:
    """Return the order for a wish, after so many seconds unless it is settled before."""
    wish, known = _look_up(web, caller, job_id, body)
    if known is not None and known.is_settled and not _is_worth_another_try(known):
        return known
    order_id = orders.make_order_id() if known is None else known.id
    with web.tidings.expecting(order_id) as told:
        outcome = Outcome()
        if known is None and wait_s and wish.drawing.is_small:
            errand = Errand(order_id, wish.generator, work_to_json(wish.drawing))
            outcome = web.errands.hand_over(errand, within_s=AT_ONCE_S)
        order = _write_down(web, caller, wish, order_id=order_id, file=outcome.file)
        if order.is_settled:
            return order
        is_in_hand = outcome.is_pending and order.id == order_id
        if not is_in_hand:
            web.wakeups.announce(SAMPLE)
        latest = _wait_for(web, order, told, wait_s)
    if latest is None:
        raise NotFound("sample", order.id)
    if is_in_hand and latest.state == OrderState.QUEUED:
        web.wakeups.announce(SAMPLE)  # nobody is left to hear of the errand
    return latest


def place_export(web: Web, caller: Caller, wish: Wish, *, wait_s: float) -> Order:
    """Return the order for an export, after so many seconds unless it is settled before; a failed one as it is.

    Raises NotFound for a job that is no more, QuotaExceeded.
    """
    with reading(web.engine) as session:
        known = orders.find_order(session, wish.job_id, wish.identity)
    if known is not None and known.is_settled:
        return known
    order_id = orders.make_order_id() if known is None else known.id
    with web.tidings.expecting(order_id) as told:
        order = _write_down(web, caller, wish, order_id=order_id)
        if order.is_settled:
            return order
        web.wakeups.announce(SAMPLE)
        latest = _wait_for(web, order, told, wait_s)
    return latest or place_export(web, caller, wish, wait_s=0)  # who heard of a failure first has forgotten it


def _look_up(web: Web, caller: Caller, job_id: str, body: SampleSpec) -> tuple[Wish, Order | None]:
    """Return what is wished for and its order; raise QuotaExceeded where there is none and no more are allowed."""
    with reading(web.engine) as session:
        generator = find_generator(session, caller, job_id, checkpoint=str(body.checkpoint), part=body.part)
        header = web.headers.recall(generator["sha256"])
        if header is not None:
            drawing = resolve_sample(body, header, memory_bytes=web.settings.sample_memory_bytes)
            wish = Wish(job_id, generator, drawing, _tell(body, generator, drawing))
            known = orders.find_order(session, job_id, wish.identity)
            if known is None:
                _check_limit(web, session, caller.owner_id)
            return wish, known
    # Once for each file, and with no transaction open: a reader blocks commits where there is a rollback journal.
    web.headers.remember(generator["sha256"], _header_of(web.blobs, generator))
    return _look_up(web, caller, job_id, body)


def _check_limit(web: Web, session: Session, owner_id: str) -> None:
    limit = web.settings.max_live_orders
    if orders.count_live(session, owner_id) >= limit:
        raise QuotaExceeded(f"You wait for {limit} samples on demand and exports already, which is the limit.")


def _write_down(web: Web, caller: Caller, wish: Wish, *, order_id: str, file: dict[str, Any] | None = None) -> Order:
    """Return the stored order for a wish, with its file if it is drawn."""
    try:
        if file is not None:
            # What is drawn and then forgotten is drawn again, but what is promised must outlive any crash.
            with writing_lightly(web.engine) as session:
                order = _create(session, caller, wish, order_id=order_id, file=file)
                orders.make_room(session, order, web.settings.sample_quota_bytes)
                return order
        with writing(web.engine) as session:
            return _create_or_repeat(web, session, caller, wish, order_id=order_id)
    except IntegrityError:
        # The same was asked for twice at once and the other has committed, or the job was deleted: now that is found.
        with writing(web.engine) as session:
            doom(session, [file["key"]] if file else [])
            return _create_or_repeat(web, session, caller, wish, order_id=order_id)


def _create_or_repeat(web: Web, session: Session, caller: Caller, wish: Wish, *, order_id: str) -> Order:
    glimpse(session, caller.owner_id, wish.job_id)  # it may have been deleted meanwhile
    lock_owner(session, caller.owner_id)  # before looking: the same, asked for meanwhile, is no other
    known = orders.find_order(session, wish.job_id, wish.identity)
    if known is not None and not _is_worth_another_try(known):
        return known
    _check_limit(web, session, caller.owner_id)
    if known is not None:
        orders.order_again(session, known, wish.generator)
        return known
    return _create(session, caller, wish, order_id=order_id)


def _create(
    session: Session, caller: Caller, wish: Wish, *, order_id: str, file: dict[str, Any] | None = None
) -> Order:
    return orders.create_order(
        session,
        order_id,
        owner_id=caller.owner_id,
        job_id=wish.job_id,
        generator=wish.generator,
        drawing=wish.drawing,
        request=wish.request,
        file=file,
    )


def _is_worth_another_try(order: Order) -> bool:
    """Tell whether an order may end otherwise than it did; how rare rows are is a fact of the generator."""
    return order.state == OrderState.FAILED and order.error_code != "too_rare"


def find_generator(
    session: Session, caller: Caller, job_id: str, *, checkpoint: str, part: str | None
) -> dict[str, Any]:
    """Return the file of a generator with its step and part, by default the average where one is kept.

    Raises NotFound, or NotYet where a live job may save it.
    """
    job = glimpse(session, caller.owner_id, job_id)
    found = get_checkpoint(session, job.id, checkpoint)
    part = part or ("ema" if "ema" in found.files else "generator")
    if part not in found.files:
        raise NotFound("part", f"{part} of this checkpoint", code="part_not_found")
    return {**found.files[part], "part": part, "step": found.step}


def _header_of(blobs: BlobStore, generator: dict[str, Any]) -> GeneratorHeader:
    with blobs.open(generator["key"]) as file:
        try:
            return read_header(file)
        except (ValueError, KeyError):
            raise BlobDamaged(f"{generator['key']} is no generator that this version can open") from None


def _tell(body: SampleSpec, generator: dict[str, Any], drawing: Drawing) -> dict[str, Any]:
    """Return the request with every value filled in."""
    filled = {
        "checkpoint": generator["step"],
        "part": generator["part"],
        "n": drawing.n,
        "seed": drawing.seed,
        "truncation": drawing.truncation,
        "format": drawing.format,
        "mode": body.mode,
        "keys": drawing.walk and drawing.walk.keys,
        "fps": drawing.fps,
    }
    return body.model_dump(mode="json", exclude_unset=True) | filled


def _wait_for(web: Web, order: Order, told: threading.Event, wait_s: float) -> Order | None:
    """Return an order once it is settled or the time is up; None when it is no more."""
    latest: Order | None = order

    def is_over() -> bool:
        nonlocal latest
        with reading(web.engine) as session:
            latest = session.get(Order, order.id)
        if latest is None or latest.is_settled:
            return True
        if file := web.errands.late_file(order.id):
            with writing_lightly(web.engine) as session:
                orders.finish_waiting(session, latest, 1, file=file, quota_bytes=web.settings.sample_quota_bytes)
                latest = session.get(Order, order.id)
        return latest is None or latest.is_settled

    web.long_polls.await_tidings(told, is_over, timeout_s=wait_s)
    return latest
