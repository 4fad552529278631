"""The archive of a job: what is in it, that its bytes are the same each time, and how little memory it takes."""

import csv
import io
import json
import tracemalloc
from collections.abc import Iterator
from functools import partial
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from sqlalchemy import Engine

from service.blobs import BlobStore, store_file
from service.db import writing
from service.models import State
from service.spec.columns import recorded_columns
from service.store import history, transitions
from service.store.quality import add_quality
from service.store.samples import add_sample
from service.zips import Entry, stream_zip
from tests.building import a_spec, add_running_job, save_checkpoint
from tests.conversation import CheckedClient, make_client

COLUMNS = recorded_columns(a_spec())
LAST = 70_000  # more than one window


@pytest.fixture
def client(engine: Engine, blobs: BlobStore) -> CheckedClient:
    return make_client(engine, blobs=blobs)


@pytest.fixture
def job_id(engine: Engine, blobs: BlobStore) -> str:
    """A job that has ended, with all kinds of things that a job leaves."""
    job_id, attempt = add_running_job(engine, loop={"max_steps": LAST})

    def files(step: int, *names: str) -> dict[str, Any]:
        store = partial(store_file, blobs, job_id=job_id, attempt=attempt)
        return {name: store(name=f"{step}.{name}", pieces=[name.encode() * step]) for name in names}

    with writing(engine) as session:
        job = transitions.fence(session, job_id, attempt)
        steps = np.arange(1, LAST + 1, dtype=np.float32)[:, None]
        rows = steps + np.arange(len(COLUMNS), dtype=np.float32)
        history.append_rows(session, job_id, attempt=attempt, first_step=1, columns=COLUMNS, rows=rows)
        add_sample(session, job, step=10, count=64, files=files(10, "png", "npz", "zip"))
        save_checkpoint(session, job, 10, files=files(10, "all", "generator"))
        save_checkpoint(session, job, 20, files=files(20, "all", "generator", "ema"))
        add_quality(session, job, step=20, metrics={"modes": 8.0}, metric="modes", merit=8.0)
        transitions.finish(session, job_id, attempt, State.SUCCEEDED, reason="max_steps")
    return job_id


def opened(data: bytes, job_id: str) -> dict[str, bytes]:
    with ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name.removeprefix(f"{job_id}/"): archive.read(name) for name in archive.namelist()}


def test_an_archive_holds_everything_of_a_job(client: CheckedClient, job_id: str) -> None:
    answer = client.get(f"/jobs/{job_id}/archive.zip")

    files = opened(answer.data, job_id)
    texts = ["README.md", "job.json", "spec.json", "quality.json", "events.ndjson", "losses.csv"]
    held = ["samples/10.npz", "samples/10.png", "generator.safetensors", "ema.safetensors"]
    assert sorted(files) == sorted([*texts, *held])
    shown = client.get(f"/jobs/{job_id}").get_json()
    assert json.loads(files["job.json"]) == {key: value for key, value in shown.items() if key != "queue_position"}
    assert json.loads(files["spec.json"]) == shown["resolved_spec"]
    assert json.loads(files["quality.json"])["data"] == client.get(f"/jobs/{job_id}/quality").get_json()["data"]
    events = client.get(f"/jobs/{job_id}/events").get_json()["data"]
    assert [json.loads(line) for line in files["events.ndjson"].splitlines()] == events
    assert (files["ema.safetensors"], files["samples/10.png"]) == (b"ema" * 20, b"png" * 10)
    assert job_id in files["README.md"].decode()


def test_its_losses_are_those_of_the_api(client: CheckedClient, job_id: str) -> None:
    files = opened(client.get(f"/jobs/{job_id}/archive.zip").data, job_id)

    assert files["losses.csv"] == client.get(f"/jobs/{job_id}/losses?format=csv").data
    rows = list(csv.reader(io.StringIO(files["losses.csv"].decode())))
    assert rows[0] == ["step", *COLUMNS]
    assert [int(row[0]) for row in rows[1:]] == list(range(1, LAST + 1))


def test_the_same_job_is_the_same_bytes(client: CheckedClient, job_id: str) -> None:
    first = client.get(f"/jobs/{job_id}/archive.zip")
    again = client.get(f"/jobs/{job_id}/archive.zip")
    known = client.get(f"/jobs/{job_id}/archive.zip", headers={"If-None-Match": first.headers["ETag"]})
    client.patch(f"/jobs/{job_id}", json={"name": "renamed"})
    renamed = client.get(f"/jobs/{job_id}/archive.zip", headers={"If-None-Match": first.headers["ETag"]})

    assert first.data == again.data
    assert known.status_code == 304
    assert renamed.status_code == 200


def test_what_becomes_of_other_jobs_changes_nothing_of_an_archive(client: CheckedClient) -> None:
    before, job = (client.post("/jobs", json={"dataset": "ring"}).get_json()["id"] for _ in range(2))
    first = client.get(f"/jobs/{job}/archive.zip")
    client.post(f"/jobs/{before}/cancel")

    again = client.get(f"/jobs/{job}/archive.zip")

    assert (again.headers["ETag"], again.data) == (first.headers["ETag"], first.data)


def test_what_is_lost_is_named_and_the_rest_is_there(client: CheckedClient, blobs: BlobStore, job_id: str) -> None:
    [lost] = [key for key in blobs.list() if key.endswith(".png")]
    blobs.delete(lost)

    files = opened(client.get(f"/jobs/{job_id}/archive.zip").data, job_id)

    assert "samples/10.png" not in files
    assert "samples/10.npz" in files
    assert files["MISSING.txt"].decode().startswith("samples/10.png: ")


def test_a_job_that_has_not_begun_has_an_archive_as_well(client: CheckedClient) -> None:
    job_id = client.post("/jobs", json={"dataset": "ring"}).get_json()["id"]

    files = opened(client.get(f"/jobs/{job_id}/archive.zip").data, job_id)

    assert files["losses.csv"].decode().strip() == ",".join(("step", *COLUMNS))
    assert client.get("/jobs/job_0000000000000000000000/archive.zip").status_code == 404


def test_a_zip_of_any_size_takes_the_memory_of_a_piece() -> None:
    piece = bytes(2**20)

    def pieces() -> Iterator[bytes]:
        for _ in range(128):
            yield piece

    tracemalloc.start()
    entries = [Entry("large.npz", pieces(), 2**27), Entry("text.csv", pieces(), 2**27)]
    sizes = [len(part) for part in stream_zip(entries)]
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert 2**27 < sum(sizes) < 2**27 + 2**20
    assert peak_bytes < 8 * 2**20


def test_an_entry_that_may_be_larger_than_four_gigabytes_has_room_for_its_size() -> None:
    small, large = (b"".join(stream_zip([Entry("a.txt", [b"1"], size)])) for size in (1, 2**33))

    assert len(large) > len(small)
    with ZipFile(io.BytesIO(large)) as archive:
        assert archive.read("a.txt") == b"1"
