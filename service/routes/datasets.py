"""Data sets: list, show, preview, delete. How one is received is in service.receiving."""

from flask import Response, request
from pydantic import Field

from service.answers.dataset import DatasetEntry, DatasetPage
from service.answers.writing import json_answer, page_answer, tagged
from service.api import Reply, Routes
from service.binding import PageQuery, Path
from service.broker import INGEST
from service.db import reading, writing
from service.downloads import HEADERS, MEDIA_TYPES, REQUEST_HEADERS, SAME_FILE, send_file
from service.errors import GanymedeError, NotFound, NotYet
from service.models import Dataset, DatasetState
from service.receiving import UploadQuery, receive
from service.routes.jobs import IF_NONE_MATCH, NOT_MODIFIED, PAGED, TAGGED
from service.spec.datasets import DATASETS
from service.store import datasets
from service.store.pages import Page, decode_cursor, make_page
from service.uploads import FILE_PART, FORM, RAW
from service.waiting import WaitQuery, wait_for_change
from service.web import Caller, Web

routes = Routes("datasets", "What a job can be trained on.")

PREVIEW = (MEDIA_TYPES["csv"], MEDIA_TYPES["png"])
FORM_SCHEMA = UploadQuery.model_json_schema() | {"required": [FILE_PART]}
# Generators of clients know a file by its format; contentMediaType is what OpenAPI 3.1 says instead.
FILE_SCHEMA = {"description": "The file.", "type": "string", "format": "binary", "contentMediaType": RAW}
FORM_SCHEMA["properties"] |= {FILE_PART: FILE_SCHEMA}
LOCATED = {"Location": "Path of the data set."}


class DatasetPath(Path):
    """Path of an uploaded data set."""

    dataset_id: str = Field(pattern=r"^ds_[0-9a-z]{22}$", description="Id of an uploaded data set.")


class AnyDatasetPath(Path):
    """Path of a data set."""

    dataset_id: str = Field(pattern=r"^[a-z0-9_]{1,64}$", description="Id of a data set, or a built-in name.")


@routes.add(
    "POST",
    "/datasets",
    scope="submit",
    replies={
        200: Reply("You have these bytes already: that data set.", DatasetEntry, headers=LOCATED),
        202: Reply("The data set, to be prepared by a worker.", DatasetEntry, headers=LOCATED),
    },
    problems=(409, 429, 507),
    request_content={FORM: {"schema": FORM_SCHEMA}, RAW: {"schema": {}}},
)
def create_dataset(web: Web, caller: Caller, query: UploadQuery) -> Response:
    """Upload a data set.

    As a form with a `file`, or with the file as the whole body. Its kind is told from its content: a zip of PNG or
    JPEG pictures (folders become classes), npy, npz, CSV, Parquet, a WAV or a zip of them. The same bytes with the
    same options are one data set, so that an upload may be repeated. One that failed is prepared again.
    """
    received = receive(web, caller, request, query)
    if received.needs_preparation:
        web.wakeups.announce(INGEST)
    location = {"Location": f"/datasets/{received.dataset.id}"}
    status = 202 if received.needs_preparation else 200
    return json_answer(DatasetEntry.of(received.dataset), status=status, headers=location)


@routes.add(
    "GET",
    "/datasets",
    replies={200: Reply("A page of data sets.", DatasetPage, headers=PAGED), 304: NOT_MODIFIED},
    request_headers=IF_NONE_MATCH,
)
def list_datasets(web: Web, caller: Caller, query: PageQuery) -> Response:
    """List your data sets, newest first, then the built-in ones."""
    after = decode_cursor(query.cursor) if query.cursor else None
    own: list[DatasetEntry] = []
    if after not in DATASETS:
        with reading(web.engine) as session:
            rows = datasets.list_datasets(session, caller.owner_id, limit=query.limit + 1, before=after)
            own = [DatasetEntry.of(row) for row in rows]
    entries = [*own, *_builtin_after(after)][: query.limit + 1]
    page: Page[DatasetEntry] = make_page(entries, query.limit, [entry.id for entry in entries])
    return page_answer(DatasetPage, list(page.data), page, request)


def _builtin_after(name: str | None) -> list[DatasetEntry]:
    names = list(DATASETS)
    first = names.index(name) + 1 if name in DATASETS else 0
    return [DatasetEntry.of_builtin(DATASETS[each]) for each in names[first:]]


@routes.add(
    "GET",
    "/datasets/<dataset_id>",
    replies={200: Reply("The data set.", DatasetEntry, headers=TAGGED), 304: NOT_MODIFIED},
    request_headers=IF_NONE_MATCH,
)
def show_dataset(web: Web, caller: Caller, path: AnyDatasetPath, query: WaitQuery) -> Response:
    """Show a data set, at once or as soon as it has changed."""
    if path.dataset_id in DATASETS:
        return tagged(json_answer(DatasetEntry.of_builtin(DATASETS[path.dataset_id])), request)
    wait_for_change(web, query, lambda session: datasets.version_of(session, caller.owner_id, path.dataset_id))
    with reading(web.engine) as session:
        answer = DatasetEntry.of(datasets.get_dataset(session, caller.owner_id, path.dataset_id))
    return tagged(json_answer(answer), request)


@routes.add(
    "GET",
    "/datasets/<dataset_id>/preview",
    replies={
        200: Reply("The file.", media_types=PREVIEW, headers=HEADERS),
        206: Reply("The range that was asked for.", media_types=PREVIEW, headers=HEADERS | {"Content-Range": "Which."}),
        304: SAME_FILE,
    },
    problems=(410, 416),
    request_headers=REQUEST_HEADERS,
)
def preview_dataset(web: Web, caller: Caller, path: DatasetPath) -> Response:
    """Look at a ready data set: a sheet of its pictures or sounds, or its first rows."""
    with reading(web.engine) as session:
        dataset = datasets.get_dataset(session, caller.owner_id, path.dataset_id)
    file = dataset.files.get("preview")
    if file is None:
        raise _no_preview(dataset)
    return send_file(web, file, name=f"{dataset.id}.{file['key'].rpartition('.')[2]}", request=request)


def _no_preview(dataset: Dataset) -> GanymedeError:
    if dataset.state == DatasetState.FAILED:
        return NotFound(
            "preview of", f"{dataset.id}, which could not be prepared: {(dataset.error_message or '').rstrip('.')}"
        )
    return NotYet(f"The data set {dataset.id} is {dataset.state}; its preview comes once it is ready.")


@routes.add("DELETE", "/datasets/<dataset_id>", scope="submit", replies={204: Reply("Gone.")}, problems=(409,))
def delete_dataset(web: Web, caller: Caller, path: DatasetPath) -> Response:
    """Delete an uploaded data set, unless a job that has not ended needs it."""
    with writing(web.engine) as session:
        datasets.delete_dataset(session, datasets.get_dataset(session, caller.owner_id, path.dataset_id))
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response
