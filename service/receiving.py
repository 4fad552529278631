"""Receiving a data set: from the first byte of an upload to the record that a worker prepares.

A row protects the blob while it comes in. Whatever breaks the upload off removes both; where nobody is left to do so, a
reconciler does, for the row's beat stands still.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from flask import Request
from pydantic import Field
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.binding import Query, read_values
from service.blobs import read_pieces, store_pieces
from service.clock import monotonic_s
from service.db import DATABASE_AWAY, reading, writing
from service.errors import AttemptOver, Conflict, Fault, InvalidInput, QuotaExceeded
from service.models import Dataset, DatasetState
from service.orphans import sweep_orphans
from service.problems import Refused
from service.spec.facts import Modality
from service.spec.uploads import UploadOptions, identity_of
from service.store import preparation
from service.store.datasets import find_same, stored_bytes
from service.store.keys import lock_owner
from service.uploads import FormBody, RawBody, open_body
from service.web import Caller, Web

log = structlog.get_logger(__name__)


class UploadQuery(UploadOptions, Query):
    """What may be said about an upload, in the query or as fields of the form."""

    name: str | None = Field(None, min_length=1, max_length=200, description="For people.")
    modality: Modality | None = Field(None, description="What it must be; told from the content when not given.")

    @property
    def options(self) -> UploadOptions:
        """How the upload is to be read."""
        return UploadOptions.model_validate(self.model_dump(include=set(UploadOptions.model_fields)))


@dataclass(frozen=True)
class Received:
    """The data set of some bytes, and whether a worker must prepare it."""

    dataset: Dataset
    needs_preparation: bool


def receive(web: Web, caller: Caller, request: Request, query: UploadQuery) -> Received:
    """Store an upload and its record, or find the one of the same bytes; nothing is left of one that breaks off."""
    body = open_body(request, web.settings.dataset_max_bytes)
    if not web.uploads.acquire(blocking=False):
        raise Refused("too_many_uploads", "Too many uploads come in at once. Try again soon.")
    try:
        return _receive(web, caller, body, query)
    finally:
        web.uploads.release()


def _receive(web: Web, caller: Caller, body: RawBody | FormBody, query: UploadQuery) -> Received:
    with writing(web.engine) as session:
        room_bytes = web.settings.dataset_quota_bytes - stored_bytes(session, caller.owner_id)
        dataset_id = preparation.begin_upload(session, caller.owner_id).id
    try:
        pieces = _bounded(web, body.pieces(), room_bytes)
        key = f"{dataset_id}/{preparation.UPLOAD}/upload"
        file = store_pieces(web.blobs, key, _beating(web, dataset_id, pieces))
        said = read_values(UploadQuery, query.model_dump(exclude_unset=True) | body.fields)
        received = _record(web, caller, dataset_id, file=file, said=said)
    except AttemptOver:
        _clear_away(web, dataset_id)
        raise Conflict("upload_given_up", "Nothing came for so long that the upload was given up. Repeat it.") from None
    except BaseException:
        _clear_away(web, dataset_id)
        raise
    if received.dataset.id != dataset_id:
        _clear_away(web, dataset_id)
    return received


def _bounded(web: Web, pieces: Iterable[bytes], room_bytes: int) -> Iterator[bytes]:
    """Pass the pieces on, and refuse a file that is empty or too large."""
    size_bytes = 0
    for piece in pieces:
        size_bytes += len(piece)
        if size_bytes > room_bytes:
            limit = web.settings.dataset_quota_bytes
            raise QuotaExceeded(f"Your data sets would take more than {limit} bytes, which is the limit.")
        yield piece
    if not size_bytes:
        raise InvalidInput([Fault("file", "empty_file", "the file is empty")])


def _beating(web: Web, dataset_id: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Pass the pieces on, and say now and then how far they have come."""
    size_bytes, told_at = 0, monotonic_s()
    for piece in pieces:
        size_bytes += len(piece)
        if monotonic_s() - told_at >= web.settings.flush_s:
            with suppress(*DATABASE_AWAY), writing(web.engine) as session:  # who is away declares nobody lost
                preparation.beat_upload(session, dataset_id, size_bytes)
            told_at = monotonic_s()
        yield piece


def _record(web: Web, caller: Caller, dataset_id: str, *, file: dict[str, Any], said: UploadQuery) -> Received:
    try:
        return _keep_or_find(web, caller, dataset_id, file=file, said=said)
    except IntegrityError:
        # The same bytes came twice at once and the other has committed: now its data set is found.
        return _keep_or_find(web, caller, dataset_id, file=file, said=said)


def _keep_or_find(web: Web, caller: Caller, dataset_id: str, *, file: dict[str, Any], said: UploadQuery) -> Received:
    identity = identity_of(file["sha256"], said.modality, said.options)
    again = _store_again(web, caller, dataset_id, file=file, identity=identity)
    with writing(web.engine) as session:
        same = find_same(session, caller.owner_id, identity)
        if same is None:
            options = said.options.model_dump(exclude_none=True)
            finish = preparation.finish_upload
            dataset = finish(
                session,
                dataset_id,
                file,
                identity=identity,
                name=said.name,
                modality=said.modality,
                options=options,
            )
            _check_quota(session, web, caller)
            return Received(dataset, needs_preparation=True)
        has_failed = same.state == DatasetState.FAILED
        if has_failed:
            preparation.prepare_again(session, same, again or same.files["upload"])
        return Received(same, needs_preparation=has_failed)


def _store_again(
    web: Web, caller: Caller, dataset_id: str, *, file: dict[str, Any], identity: str
) -> dict[str, Any] | None:
    """Store the bytes that came for the same data set, where that has failed, too: those it has may be damaged."""
    with reading(web.engine) as session:
        same = find_same(session, caller.owner_id, identity)
    if same is None or same.state != DatasetState.FAILED:
        return None
    # As a file of the attempt to come: a sweep removes what is unfinished of all attempts that are over.
    pieces = _beating(web, dataset_id, read_pieces(web.blobs, file["key"]))
    return store_pieces(web.blobs, f"{same.id}/{same.attempt + 1}/upload", pieces)


def _check_quota(session: Session, web: Web, caller: Caller) -> None:
    """Refuse an upload for which others that came in meanwhile have left no room."""
    lock_owner(session, caller.owner_id)
    limit = web.settings.dataset_quota_bytes
    if stored_bytes(session, caller.owner_id) > limit:
        raise QuotaExceeded(f"Your data sets would take more than {limit} bytes, which is the limit.")


def _clear_away(web: Web, dataset_id: str) -> None:
    """Remove the row and the blob of an upload that is not needed; what fails here a reconciler does."""
    try:
        with writing(web.engine) as session:
            preparation.forget_upload(session, dataset_id)
        sweep_orphans(web.engine, web.blobs, dataset_id)
    except (*DATABASE_AWAY, OSError) as error:
        log.warning("upload not cleared away", dataset=dataset_id, error=str(error))
