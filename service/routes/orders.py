"""Samples on demand: ask for some of a stored generator, see how far they are, fetch them."""

from typing import get_args

from flask import Response, request
from pydantic import Field

from service.answers.order import OrderAnswer
from service.answers.writing import json_answer, tagged
from service.api import Reply, Routes
from service.binding import Path, Query
from service.db import reading, writing
from service.downloads import HEADERS, MEDIA_TYPES, REQUEST_HEADERS, SAME_FILE, send_file
from service.errors import BlobDamaged, BlobMissing, Fault, NotYet
from service.models import Order, OrderState
from service.ordering import place_order
from service.problems import Refused
from service.routes.jobs import IF_NONE_MATCH, NOT_MODIFIED, TAGGED, JobPath
from service.spec.drawing import DrawnFormat, SampleSpec
from service.store import orders
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
    order = place_order(web, caller, path.job_id, body, wait_s=query.wait)
    try:
        return _answer(web, order)
    except (BlobMissing, BlobDamaged) as error:
        with writing(web.engine) as session:
            orders.admit_loss(session, order, code="file_missing", message=f"{error}.")
    return _answer(web, place_order(web, caller, path.job_id, body, wait_s=query.wait))


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


def _refusal(order: Order) -> Refused:
    code, message = order.error_code or "sampling_failed", order.error_message or ""
    got = {"/n": order.drawing["n"]}
    faults = [Fault(pointer, code, message, got=got.get(pointer)) for pointer in _BLAMED.get(code, ())]
    return Refused(code, message, faults=faults)


def _name(order: Order) -> str:
    return f"{order.job_id}-{order.generator['step']}-{order.id}.{order.drawing['format']}"
