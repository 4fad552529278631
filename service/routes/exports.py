"""The generator of a checkpoint in formats of other programs: rendered by a worker when it is first asked for."""

from typing import Literal

from flask import Response, request
from pydantic import Field

from service.answers.export import ExportAnswer, url_of
from service.answers.writing import json_answer
from service.api import Reply, Routes
from service.binding import Query
from service.db import reading, writing
from service.downloads import HEADERS, REQUEST_HEADERS, SAME_FILE, send_file
from service.errors import BlobDamaged, BlobMissing, Fault, NotFound, NotYet
from service.models import Order, OrderState
from service.ordering import Wish, find_generator, place_export
from service.problems import Refused
from service.routes.checkpoints import FILE, CheckpointPath
from service.spec.exports import EXPORT_FORMATS, SUFFIXES, Export, ExportFormat
from service.store.exports import drop_settled, find_ready_export
from service.web import Caller, Web

routes = Routes("exports", "The generator in formats of other programs.")

RETRY_AFTER_S = 2  # about what an export takes
LOCATED = {"Location": "Path of this export, whatever the latest checkpoint or the best becomes."}
_TOLD_AS_THEY_ARE = {"file_missing", "file_damaged", "format_unavailable"}


class ExportPath(CheckpointPath):
    """Path of an export."""

    format: str = Field(max_length=20, description="onnx or torch_export.")


class ExportQuery(Query):
    """Which weights, and how long to wait for their file."""

    part: Literal["generator", "ema"] | None = Field(
        None, description="The raw weights or their moving average; the average where one is kept, when not given."
    )
    wait: float = Field(0, ge=0, le=60, description="Seconds to wait for the file before answering 202.")


@routes.add(
    "GET",
    "/jobs/<job_id>/checkpoints/<checkpoint>/exports/<format>",
    replies={
        200: Reply("The file.", media_types=FILE, headers=HEADERS | LOCATED),
        202: Reply(
            "Not ready yet: where to look for it.",
            ExportAnswer,
            headers=LOCATED | {"Retry-After": "Seconds to wait before asking again."},
        ),
        206: Reply(
            "The range that was asked for.", media_types=FILE, headers=HEADERS | LOCATED | {"Content-Range": "Which."}
        ),
        304: Reply(SAME_FILE.description, headers=HEADERS | LOCATED),
    },
    problems=(406, 410, 416, 429, 507),
    request_headers=REQUEST_HEADERS,
)
def download_export(web: Web, caller: Caller, path: ExportPath, query: ExportQuery) -> Response:
    """Download the generator of a checkpoint as ONNX or for torch.export.

    A worker renders it when it is first asked for, and until then the answer is 202. Once it is there it stays, like
    samples on demand. What cannot be rendered is told once; whoever asks again has it tried again. Plain weights are
    not rendered: they are the file of the checkpoint.
    """
    export = Export(_read_format(path, query))
    order = _order(web, caller, path, query, export)
    if order.state == OrderState.READY:
        try:
            return _located(send_file(web, order.files["samples"], name=_name(order, export), request=request), order)
        except (BlobMissing, BlobDamaged):
            _drop(web, order)
            order = _order(web, caller, path, query, export)
    if order.state == OrderState.FAILED:
        _drop(web, order)
        raise _refusal(order)
    return _located(json_answer(ExportAnswer.of(order), status=202, headers={"Retry-After": str(RETRY_AFTER_S)}), order)


def _read_format(path: ExportPath, query: ExportQuery) -> ExportFormat:
    if path.format not in EXPORT_FORMATS:
        fault = Fault("format", "format_unavailable", "there is no such export", [*EXPORT_FORMATS], path.format)
        weights = f"/jobs/{path.job_id}/checkpoints/{path.checkpoint}/file?part={query.part or 'generator'}"
        detail = f"Exports are {' and '.join(EXPORT_FORMATS)}; the weights as safetensors are at {weights}."
        raise Refused("format_unavailable", detail, faults=[fault])
    return path.format


def _order(web: Web, caller: Caller, path: ExportPath, query: ExportQuery, export: Export) -> Order:
    """Return the order for an export, after so many seconds unless it is settled before; raise NotFound, NotYet."""
    try:
        with reading(web.engine) as session:
            generator = find_generator(session, caller, path.job_id, checkpoint=path.checkpoint, part=query.part)
    except (NotFound, NotYet):
        # While a client waits, newer checkpoints may take the place of the one whose export is ready by now.
        with reading(web.engine) as session:
            stored = find_ready_export(
                session, caller.owner_id, path.job_id, export, checkpoint=path.checkpoint, part=query.part
            )
        if stored is None:
            raise
        return stored
    told = {"checkpoint": generator["step"], "part": generator["part"], "format": export.format}
    return place_export(web, caller, Wish(path.job_id, generator, export, told), wait_s=query.wait)


def _drop(web: Web, order: Order) -> None:
    with writing(web.engine) as session:
        drop_settled(session, order)


def _refusal(order: Order) -> Refused:
    code = order.error_code if order.error_code in _TOLD_AS_THEY_ARE else None
    return Refused(code or "export_failed", order.error_message or "")


def _located(response: Response, order: Order) -> Response:
    response.headers["Location"] = url_of(order)
    return response


def _name(order: Order, export: Export) -> str:
    generator = order.generator
    return f"{order.job_id}-{generator['step']}-{generator['part']}.{SUFFIXES[export.format]}"
