"""Samples on demand: ask for some of a stored generator, see how far they are, fetch them."""

import threading
from typing import Any, get_args

from flask import Response, request
from pydantic import Field
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.answers.order import OrderAnswer
from service.answers.writing import json_answer, tagged
from service.api import Reply, Routes
from service.binding import Path, Query
from service.blobs import BlobStore
from service.broker import SAMPLE
from service.db import reading, writing
from service.downloads import HEADERS, MEDIA_TYPES, REQUEST_HEADERS, SAME_FILE, send_file
from service.errors import BlobDamaged, BlobMissing, Fault, NotFound, NotYet, QuotaExceeded
from service.models import Order, OrderState
from service.problems import Refused
from service.routes.jobs import IF_NONE_MATCH, NOT_MODIFIED, TAGGED, JobPath
from service.spec.drawing import Drawing, DrawnFormat, SampleSpec
from service.spec.headers import GeneratorHeader, read_header
from service.spec.wishes import resolve_sample
from service.store import orders
from service.store.checkpoints import get_checkpoint
from service.store.jobs import glimpse
from service.store.keys import lock_owner
from service.waiting import WaitQuery, wait_for_change
from service.web import Caller, Web

routes = Routes("samples on demand", "As many as you like, of any stored generator.")

FILE = tuple(sorted({MEDIA_TYPES[name] for name in get_args(DrawnFormat)}))
LOCATED = {"Location": "Path of the samples."}
TOLD = LOCATED | {"Sample-Seed": "Seed of the draws, as given or drawn."}
_BLAMED = {"too_rare": ("/where",), "samples_too_large": ("/n",), "samples_too_slow": ("/n",)}  # what to change


class OrderPath(Path):
    """Path of samples that were asked for."""

    sample_id: str = Field(pattern=r"^smp_[0-9a-z]{22}$", description="Id of samples that were asked for.")


class PatienceQuery(Query):
    """How long to wait for the samples."""

    wait: float = Field(10, ge=0, le=60, description="Seconds to wait for the file before answering 202.")


@routes.add(
    "POST",
    "/jobs/<job_id>/samples",
    scope="submit",
    replies={
        200: Reply("The file.", media_types=FILE, headers=HEADERS | TOLD),
        202: Reply("Not ready yet: where to look for it.", OrderAnswer, headers=TOLD),
    },
    problems=(410, 429, 507),
)
def order_samples(web: Web, caller: Caller, path: JobPath, query: PatienceQuery, body: SampleSpec) -> Response:
    """Draw samples from a checkpoint of a job, which may still train.

    The answer is the file, or after `wait` seconds where it will be. The same request gives the same bytes, and is
    carried out once. `where` keeps rows of a table that meet a condition on any columns.
    """
    order = _order(web, caller, path.job_id, body, query.wait)
    try:
        return _answer(web, order)
    except (BlobMissing, BlobDamaged) as error:
        with writing(web.engine) as session:
            orders.admit_loss(session, order, code="file_missing", message=f"{error}.")
    return _answer(web, _order(web, caller, path.job_id, body, query.wait))


@routes.add(
    "GET",
    "/samples/<sample_id>",
    replies={200: Reply("The samples.", OrderAnswer, headers=TAGGED), 304: NOT_MODIFIED},
    request_headers=IF_NONE_MATCH,
)
def show_order(web: Web, caller: Caller, path: OrderPath, query: WaitQuery) -> Response:
    """Show how far samples on demand are, at once or as soon as that has changed."""
    wait_for_change(web, query, lambda session: orders.progress_of(session, caller.owner_id, path.sample_id))
    with reading(web.engine) as session:
        answer = OrderAnswer.of(orders.get_order(session, caller.owner_id, path.sample_id))
    return tagged(json_answer(answer), request)


@routes.add("DELETE", "/samples/<sample_id>", scope="submit", replies={204: Reply("Gone.")})
def delete_order(web: Web, caller: Caller, path: OrderPath) -> Response:
    """Delete samples on demand. Those that wait or are being drawn are drawn no more."""
    with writing(web.engine) as session:
        orders.delete_order(session, caller.owner_id, path.sample_id)
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response


@routes.add(
    "GET",
    "/samples/<sample_id>/file",
    replies={
        200: Reply("The file.", media_types=FILE, headers=HEADERS),
        206: Reply("The range that was asked for.", media_types=FILE, headers=HEADERS | {"Content-Range": "Which."}),
        304: SAME_FILE,
    },
    problems=(410, 416),
    request_headers=REQUEST_HEADERS,
)
def download_order(web: Web, caller: Caller, path: OrderPath) -> Response:
    """Download samples that were asked for and are ready; of those that failed, hear why."""
    with reading(web.engine) as session:
        order = orders.get_order(session, caller.owner_id, path.sample_id)
    if order.state == OrderState.FAILED:
        raise _refusal(order)
    if order.state != OrderState.READY:
        raise NotYet(f"The samples {order.id} are {order.state}; their file comes once they are ready.")
    return send_file(web, order.files["samples"], name=_name(order), request=request)


def _order(web: Web, caller: Caller, job_id: str, body: SampleSpec, wait_s: float) -> Order:
    """Return the order for a wish, after so many seconds unless it is settled before."""
    order = _find_or_create(web, caller, job_id, body)
    if order.is_settled:
        return order
    with web.tidings.expecting(order.id) as told:
        web.wakeups.announce(SAMPLE)
        return _wait_for(web, caller, order, told, wait_s)


def _answer(web: Web, order: Order) -> Response:
    if order.state == OrderState.READY:
        response = send_file(web, order.files["samples"], name=_name(order), request=request)
    elif order.state == OrderState.FAILED:
        raise _refusal(order)
    else:
        response = json_answer(OrderAnswer.of(order), status=202)
    response.headers["Location"] = f"/samples/{order.id}"
    response.headers["Sample-Seed"] = str(order.drawing["seed"])
    return response


def _find_or_create(web: Web, caller: Caller, job_id: str, body: SampleSpec) -> Order:
    with reading(web.engine) as session:
        generator = _find_generator(session, caller, job_id, body)
    header = _header_of(web.blobs, generator)
    drawing = resolve_sample(body, header, memory_bytes=web.settings.sample_memory_bytes)
    with reading(web.engine) as session:
        known = orders.find_order(session, job_id, orders.identity_of(generator, drawing))
    if known is not None and not _is_worth_another_try(known):
        return known
    told = _tell(body, generator, drawing)
    try:
        return _create_or_repeat(web, caller, job_id, generator=generator, drawing=drawing, told=told)
    except IntegrityError:
        # The same was asked for twice at once and the other has committed, or the job was deleted: now that is found.
        return _create_or_repeat(web, caller, job_id, generator=generator, drawing=drawing, told=told)


def _create_or_repeat(
    web: Web, caller: Caller, job_id: str, *, generator: dict[str, Any], drawing: Drawing, told: dict[str, Any]
) -> Order:
    with writing(web.engine) as session:
        glimpse(session, caller.owner_id, job_id)  # it may have been deleted meanwhile
        lock_owner(session, caller.owner_id)  # before looking: the same, asked for meanwhile, is no other
        known = orders.find_order(session, job_id, orders.identity_of(generator, drawing))
        if known is not None and not _is_worth_another_try(known):
            return known
        limit = web.settings.max_live_orders
        if orders.count_live(session, caller.owner_id) >= limit:
            raise QuotaExceeded(f"You wait for {limit} samples on demand already, which is the limit.")
        if known is not None:
            orders.order_again(session, known, generator)
            return known
        return orders.create_order(
            session, owner_id=caller.owner_id, job_id=job_id, generator=generator, drawing=drawing, request=told
        )


def _is_worth_another_try(order: Order) -> bool:
    """Tell whether an order may end otherwise than it did; how rare rows are is a fact of the generator."""
    return order.state == OrderState.FAILED and order.error_code != "too_rare"


def _find_generator(session: Session, caller: Caller, job_id: str, body: SampleSpec) -> dict[str, Any]:
    """Return the file of the generator that is asked for, with its part and step; raise NotFound."""
    job = glimpse(session, caller.owner_id, job_id)
    checkpoint = get_checkpoint(session, job.id, str(body.checkpoint))
    part = body.part or ("ema" if "ema" in checkpoint.files else "generator")
    if part not in checkpoint.files:
        raise NotFound("part", f"{part} of this checkpoint", code="part_not_found")
    return {**checkpoint.files[part], "part": part, "step": checkpoint.step}


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


def _wait_for(web: Web, caller: Caller, order: Order, told: threading.Event, wait_s: float) -> Order:
    latest = order

    def is_settled() -> bool:
        nonlocal latest
        with reading(web.engine) as session:
            latest = orders.get_order(session, caller.owner_id, order.id)
        return latest.is_settled

    web.long_polls.await_tidings(told, is_settled, timeout_s=wait_s)
    return latest


def _refusal(order: Order) -> Refused:
    code, message = order.error_code or "sampling_failed", order.error_message or ""
    got = {"/n": order.drawing["n"]}
    faults = [Fault(pointer, code, message, got=got.get(pointer)) for pointer in _BLAMED.get(code, ())]
    return Refused(code, message, faults=faults)


def _name(order: Order) -> str:
    return f"{order.job_id}-{order.generator['step']}-{order.id}.{order.drawing['format']}"
