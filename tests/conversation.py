"""A client that talks to the web application, and holds every answer it gets against the OpenAPI document."""

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from sqlalchemy import Engine
from werkzeug.exceptions import HTTPException
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from service.app import create_app
from service.blobs import BlobStore, make_blobs
from service.broker import INGEST, SAMPLE, TRAIN
from service.settings import Settings

DOCUMENT = "urn:document"
# What every answer may carry, by the rules of HTTP or for browsers alone.
UNNAMED = {
    "Cache-Control",
    "Content-Encoding",
    "Content-Length",
    "Content-Security-Policy",
    "Content-Type",
    "Date",
    "Referrer-Policy",
    "Vary",
    "X-Content-Type-Options",
}


@dataclass
class Announcements:
    """Counts what would have been sent to the broker."""

    count: int = 0
    uploads: int = 0
    orders: int = 0

    def announce(self, task: str = TRAIN) -> None:
        self.count += task == TRAIN
        self.uploads += task == INGEST
        self.orders += task == SAMPLE


class CheckedClient(FlaskClient):
    """Fails on an answer that the document does not describe."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        response = super().open(*args, **kwargs)
        if response.request.method not in ("HEAD", "OPTIONS"):
            assert_described(self.application, response)
        return response


@pytest.fixture
def blobs() -> BlobStore:
    """An empty store in memory."""
    return make_blobs("memory://")


@pytest.fixture
def announcements() -> Announcements:
    """Wake-ups of which none has been asked for yet."""
    return Announcements()


def make_client(
    engine: Engine, *, blobs: BlobStore | None = None, wakeups: Announcements | None = None, **settings: Any
) -> CheckedClient:
    """Return a client of an application on this database."""
    app = create_app(
        Settings(_env_file=None, **settings), engine, blobs or make_blobs("memory://"), wakeups or Announcements()
    )
    app.test_client_class = CheckedClient
    client = app.test_client()
    assert isinstance(client, CheckedClient)
    return client


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """Serve an application from threads of this process; yield its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def document_of(app: Flask) -> dict[str, Any]:
    """Return the OpenAPI document of an application."""
    document: dict[str, Any] = app.extensions["openapi_document"]
    return document


def assert_described(app: Flask, response: TestResponse) -> None:
    """Compare an answer's status, media type and body with what the document says of its operation."""
    document = document_of(app)
    operation = _operation(app, document, response)
    if operation is None:
        _validate(document, {"$ref": f"{DOCUMENT}#/components/schemas/Problem"}, _json_of(response))
        return
    described = operation["responses"].get(str(response.status_code))
    assert described is not None, f"{response.status} of {response.request.path} is not described"
    assert {*response.headers.keys()} - UNNAMED <= described["headers"].keys(), response.request.path
    if response.mimetype and response.status_code != 304:
        assert response.mimetype in described["content"], f"{response.mimetype} is not described"
        schema = described["content"][response.mimetype]["schema"]
        if schema:
            _validate(document, {"$ref": DOCUMENT + schema["$ref"]}, _json_of(response))


def _operation(app: Flask, document: dict[str, Any], response: TestResponse) -> dict[str, Any] | None:
    method = response.request.method
    try:
        rule, _ = app.url_map.bind("localhost").match(response.request.path, method, return_rule=True)
    except HTTPException:
        return None
    operation: dict[str, Any] = document["paths"][str(rule).replace("<", "{").replace(">", "}")][method.lower()]
    return operation


def _json_of(response: TestResponse) -> Any:
    is_packed = response.headers.get("Content-Encoding") == "gzip"
    return json.loads(gzip.decompress(response.data) if is_packed else response.data)


def _validate(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    registry = Registry().with_resource(DOCUMENT, DRAFT202012.create_resource(document))
    Draft202012Validator(schema, registry=registry).validate(value)
