"""Data sets over HTTP: uploading, what breaks an upload off, finding, using, deleting."""

import errno
import io
import threading
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select
from werkzeug.test import TestResponse

from service.blobs import Directory, read_verified, store_file
from service.db import reading, writing
from service.models import Dataset
from service.orphans import sweep_orphans
from service.spec.datasets import DATASETS
from service.store import preparation
from service.store.doomed import list_doomed
from tests.building import QUOTA_BYTES, add_ready_dataset, claim_dataset
from tests.conversation import Announcements, CheckedClient, make_client

RAW = "application/octet-stream"
CSV = b"a,b\n" + b"1,2\n" * 20
BOUNDARY = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
FILE = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\na,b\n1,2\n\r\n'
END = b"--x--\r\n"


@pytest.fixture
def blobs(tmp_path: Path) -> Directory:
    return Directory(tmp_path / "blobs")


@pytest.fixture
def client(engine: Engine, blobs: Directory, announcements: Announcements) -> CheckedClient:
    return make_client(engine, blobs=blobs, wakeups=announcements, dataset_max_bytes=2**20)


def upload(client: CheckedClient, data: bytes = CSV, **query: str) -> TestResponse:
    return client.post("/datasets", data=data, content_type=RAW, query_string=query)


def own(client: CheckedClient) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = client.get("/datasets").get_json()["data"]
    return [entry for entry in entries if not entry["builtin"]]


def files_of(engine: Engine, dataset_id: str) -> dict[str, Any]:
    with reading(engine) as session:
        return session.get_one(Dataset, dataset_id).files


def assert_nothing_is_left(engine: Engine, blobs: Directory) -> None:
    """No row and no blob but those that are doomed, no temporary file, no directory."""
    with reading(engine) as session:
        assert session.scalars(select(Dataset)).all() == []
        doomed = {blob.key for blob in list_doomed(session)}
    assert set(blobs.list()) <= doomed
    for key in doomed:
        blobs.delete(key)
    blobs.tidy("")
    assert list(blobs.list_directories()) == []


def test_an_uploaded_file_is_stored_as_it_is_and_waits_for_a_worker(
    engine: Engine, client: CheckedClient, blobs: Directory, announcements: Announcements
) -> None:
    answer = upload(client, name="flowers", modality="table", label="b")
    entry = answer.get_json()
    shown = client.get(answer.headers["Location"]).get_json()

    assert (answer.status_code, announcements.uploads) == (202, 1)
    assert entry == shown == own(client)[0]
    assert (entry["status"], entry["name"], entry["size_bytes"]) == ("preparing", "flowers", len(CSV))
    assert (entry["content"], entry["error"]) == (None, None)
    file = files_of(engine, entry["id"])["upload"]
    assert read_verified(blobs, file) == CSV
    assert file["sha256"] == entry["sha256"]
    with reading(engine) as session:
        dataset = session.get_one(Dataset, entry["id"])
        assert (dataset.modality, dataset.options) == ("table", {"label": "b"})


def test_a_form_is_read_whatever_the_order_of_its_parts(
    engine: Engine, client: CheckedClient, blobs: Directory
) -> None:
    binary = bytes(range(256)) * 1024 + b"\r\n--x"
    before = client.post("/datasets", data={"name": "mine", "file": (io.BytesIO(binary), "../../etc/passwd")})
    body = FILE + PART % (b"name", "späte Blüte".encode()) + END
    after = client.post("/datasets", data=body, content_type=BOUNDARY)

    assert (before.status_code, after.status_code) == (202, 202)
    assert (before.get_json()["name"], after.get_json()["name"]) == ("mine", "späte Blüte")
    assert read_verified(blobs, files_of(engine, before.get_json()["id"])["upload"]) == binary


def test_the_same_bytes_are_the_same_data_set_unless_they_are_to_be_read_otherwise(
    engine: Engine, client: CheckedClient, blobs: Directory, announcements: Announcements
) -> None:
    first = upload(client, name="first").get_json()
    again = client.post("/datasets", data={"name": "again", "file": (io.BytesIO(CSV), "x.csv")})
    otherwise = upload(client, label="a")

    assert (again.status_code, again.get_json()) == (200, first)
    assert (otherwise.status_code, otherwise.get_json()["id"] != first["id"]) == (202, True)
    assert announcements.uploads == 2
    assert len(own(client)) == 2
    with reading(engine) as session:
        doomed = {blob.key for blob in list_doomed(session)}
    assert len({*blobs.list()} - doomed) == 2


def test_the_same_bytes_sent_by_many_at_once_are_one_data_set(engine: Engine, blobs: Directory) -> None:
    client = make_client(engine, blobs=blobs, web_threads=12)  # half of the threads may receive files
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: upload(client.application.test_client()), range(6)))  # type: ignore[arg-type]

    assert {answer.status_code for answer in answers} <= {200, 202}
    assert len({answer.get_json()["id"] for answer in answers}) == 1
    assert len(own(client)) == 1


def test_an_upload_that_breaks_off_leaves_nothing_and_may_be_repeated(
    engine: Engine, client: CheckedClient, blobs: Directory
) -> None:
    whole = FILE + PART % (b"name", b"mine") + END
    for body, content_type in ((CSV, RAW), (whole, BOUNDARY)):
        cut = client.post(
            "/datasets",
            input_stream=io.BytesIO(body[: len(body) // 2]),
            content_type=content_type,
            environ_overrides={"CONTENT_LENGTH": str(len(body)), "wsgi.input_terminated": True},
        )
        assert (cut.status_code, cut.get_json()["code"]) == (400, "malformed_request")
        assert_nothing_is_left(engine, blobs)

    assert upload(client).status_code == 202


def test_an_upload_on_a_full_disk_is_507_and_leaves_nothing(engine: Engine, tmp_path: Path) -> None:
    class FullDisk(Directory):
        def put_pieces(self, key: str, pieces: Iterable[bytes]) -> None:
            def until_full() -> Iterable[bytes]:
                yield next(iter(pieces))
                raise OSError(errno.ENOSPC, "No space left on device")

            super().put_pieces(key, until_full())

    blobs = FullDisk(tmp_path / "blobs")

    answer = upload(make_client(engine, blobs=blobs))

    assert (answer.status_code, answer.get_json()["code"]) == (507, "storage_full")
    assert_nothing_is_left(engine, blobs)


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
def test_a_file_that_is_too_large_is_413(
    engine: Engine, client: CheckedClient, blobs: Directory, declared: bool
) -> None:
    length = str(2**20 + 1) if declared else ""
    answer = client.post(
        "/datasets",
        input_stream=io.BytesIO(bytes(2**20 + 1)),
        content_type=RAW,
        environ_overrides={"CONTENT_LENGTH": length, "wsgi.input_terminated": True},
    )

    assert (answer.status_code, answer.get_json()["code"]) == (413, "body_too_large")
    assert_nothing_is_left(engine, blobs)


def test_an_owner_keeps_no_more_than_the_quota(engine: Engine, blobs: Directory) -> None:
    client = make_client(engine, blobs=blobs, dataset_quota_bytes=1024)
    upload(client, bytes(1000))

    answer = upload(client, bytes(25))

    assert (answer.status_code, answer.get_json()["code"]) == (429, "quota_exceeded")
    assert client.get("/limits").get_json()["dataset_bytes"] == 1000
    assert upload(client, bytes(24)).status_code == 202


@pytest.mark.parametrize(
    ("body", "content_type", "status", "word"),
    [
        pytest.param(FILE + END, "multipart/form-data", 400, "boundary", id="no boundary"),
        pytest.param(FILE + END, f"{BOUNDARY}{'y' * 100}", 400, "boundary", id="a long boundary"),
        pytest.param(FILE, BOUNDARY, 400, "form", id="no end"),
        pytest.param(b"", BOUNDARY, 400, "form", id="nothing"),
        pytest.param(b"--x\r\nA: b\r\n\r\nc\r\n" + END, BOUNDARY, 400, "Content-Disposition", id="no disposition"),
        pytest.param(b"--x\r\nContent-Disposition: form-data\r\n\r\nc\r\n" + END, BOUNDARY, 400, "name", id="no name"),
        pytest.param(FILE + b"--x\r\n\xff: \xff\r\n\r\nc\r\n" + END, BOUNDARY, 400, "form", id="a header of no text"),
        pytest.param(FILE + PART % (b"q", b"") * 10_001 + END, BOUNDARY, 422, "repeated", id="one part 10,001 times"),
        pytest.param(
            b"".join(PART % (b"p%d" % number, b"") for number in range(10_001)) + END,
            BOUNDARY,
            413,
            "parts",
            id="10,001 parts",
        ),
        pytest.param(b"--x\r\nA: " + b"a" * 2**19, BOUNDARY, 413, "headers", id="a header without end"),
        pytest.param(b"a" * 2**19, BOUNDARY, 413, "headers", id="a preamble without end"),
        pytest.param(FILE + END + b"a" * 2**19, BOUNDARY, 413, "headers", id="an epilogue without end"),
        pytest.param(FILE + PART % (b"name", b"a" * 2**19) + END, BOUNDARY, 422, "name", id="a field without end"),
        pytest.param(FILE + PART % (b"name", b"\xff") + END, BOUNDARY, 422, "UTF-8", id="a field of no text"),
        pytest.param(FILE + PART % (b"name", b"a\0b") + END, BOUNDARY, 422, "NUL", id="NUL in a field"),
        pytest.param(FILE + PART % (b"lable", b"a") + END, BOUNDARY, 422, "label", id="an unknown field"),
        pytest.param(FILE + PART % (b"modality", b"smell") + END, BOUNDARY, 422, "modality", id="an unknown modality"),
        pytest.param(FILE + FILE + END, BOUNDARY, 422, "file", id="two files"),
        pytest.param(PART % (b"name", b"a") + END, BOUNDARY, 422, "file", id="no file"),
        pytest.param(b"", RAW, 422, "empty", id="an empty file"),
        pytest.param(b"{}", "application/json", 415, "multipart", id="JSON"),
    ],
)
def test_a_hostile_body_is_refused_with_a_reason_and_leaves_nothing(
    engine: Engine, client: CheckedClient, blobs: Directory, body: bytes, content_type: str, status: int, word: str
) -> None:
    answer = client.post("/datasets", input_stream=io.BytesIO(body), content_type=content_type)

    assert answer.status_code == status
    assert word in answer.text
    assert_nothing_is_left(engine, blobs)


def test_a_large_upload_is_never_held_in_memory(engine: Engine, blobs: Directory) -> None:
    client = make_client(engine, blobs=blobs)
    size = 32 * 2**20

    class Zeros(io.RawIOBase):
        left = size

        def readinto(self, buffer: Any) -> int:
            count = min(len(buffer), self.left)
            buffer[:count] = bytes(count)
            self.left -= count
            return count

    incoming = {"wsgi.input": Zeros(), "CONTENT_LENGTH": str(size), "wsgi.input_terminated": True}
    tracemalloc.start()
    try:
        answer = client.post("/datasets", content_type=RAW, environ_overrides=incoming)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert (answer.status_code, answer.get_json()["size_bytes"]) == (202, size)
    assert peak < 8 * 2**20


def test_uploads_leave_threads_for_everybody_else(client: CheckedClient) -> None:
    uploads = client.application.extensions["web"].uploads
    while uploads.acquire(blocking=False):
        pass

    answer = upload(client)

    assert (answer.status_code, answer.get_json()["code"]) == (503, "too_many_uploads")
    uploads.release()
    assert upload(client).status_code == 202


def test_own_data_sets_are_listed_newest_first_before_the_built_in_ones(client: CheckedClient) -> None:
    uploaded = [upload(client, CSV + bytes([number])).get_json()["id"] for number in range(3)]

    ids, cursor = [], {}
    while True:
        page = client.get("/datasets", query_string={"limit": 2, **cursor}).get_json()
        ids += [entry["id"] for entry in page["data"]]
        if not page["has_more"]:
            break
        cursor = {"cursor": page["next_cursor"]}

    assert ids == [*reversed(uploaded), *DATASETS]
    assert client.get("/datasets/digits").get_json()["content"]["shape"] == [1, 8, 8]


def test_columns_are_told_as_conditions_are_written_and_which_of_them_holds_the_classes(client: CheckedClient) -> None:
    content = client.get("/datasets/survey").get_json()["content"]

    ranges = {column["name"]: (column["minimum"], column["maximum"]) for column in content["table"]}
    assert ranges["age"] == (18, 90)
    assert ranges["joined"] == ("1960-01-01", "2024-07-01")
    assert ranges["contract"] == ranges["owns_home"] == (None, None)
    assert (content["label"], content["labels"]) == ("owns_home", ["no", "yes"])


def test_a_ready_data_set_trains_a_job_and_stays_while_the_job_lives(engine: Engine, client: CheckedClient) -> None:
    with writing(engine) as session:
        dataset = add_ready_dataset(session)
    job = client.post("/jobs", json={"dataset": dataset.id}).get_json()
    resolved = job["resolved_spec"]["dataset"]
    busy = client.delete(f"/datasets/{dataset.id}")
    other_bytes = client.post("/jobs", json={"dataset": {"name": dataset.id, "sha256": "f" * 64}})
    params = client.post("/jobs", json={"dataset": {"name": dataset.id, "params": {"modes": 8}}})
    client.post(f"/jobs/{job['id']}/cancel")

    gone = client.delete(f"/datasets/{dataset.id}")

    assert resolved == {"name": dataset.id, "params": {}, "sha256": dataset.sha256}
    assert (busy.status_code, busy.get_json()["code"]) == (409, "dataset_in_use")
    assert "A job that has not ended needs the data set" in busy.get_json()["detail"]
    assert [fault["pointer"] for fault in other_bytes.get_json()["errors"]] == ["/dataset/sha256"]
    assert [fault["pointer"] for fault in params.get_json()["errors"]] == ["/dataset/params/modes"]
    assert gone.status_code == 204
    assert client.get(f"/datasets/{dataset.id}").status_code == 404
    assert client.post("/jobs", json={"dataset": dataset.id}).get_json()["errors"][0]["code"] == "unknown_name"


def test_only_a_ready_data_set_can_be_trained_on(engine: Engine, client: CheckedClient) -> None:
    dataset_id = upload(client).get_json()["id"]
    preparing = client.post("/jobs", json={"dataset": dataset_id}).get_json()["errors"][0]
    with writing(engine) as session:
        dataset = claim_dataset(session)
        fail = preparation.fail_preparation
        fail(session, dataset_id, dataset.attempt, code="ragged_rows", message="Line 7 has 3 cells.")
    failed = client.post("/jobs", json={"dataset": dataset_id}).get_json()["errors"][0]

    assert [fault["code"] for fault in (preparing, failed)] == ["dataset_not_ready"] * 2
    assert "is preparing" in preparing["message"]
    assert "is failed" in failed["message"]
    shown = client.get(f"/datasets/{dataset_id}").get_json()
    assert shown["error"] == {"code": "ragged_rows", "message": "Line 7 has 3 cells."}


def test_a_failed_data_set_is_prepared_again_when_its_bytes_come_again(engine: Engine, client: CheckedClient) -> None:
    dataset_id = upload(client).get_json()["id"]
    with writing(engine) as session:
        dataset = claim_dataset(session)
        preparation.fail_preparation(session, dataset_id, dataset.attempt, code="x", message="y")

    again = upload(client)

    assert (again.status_code, again.get_json()["id"], again.get_json()["status"]) == (202, dataset_id, "preparing")


@pytest.mark.parametrize("damage", [lambda blobs, key: blobs.put(key, b"rot"), lambda blobs, key: blobs.delete(key)])
def test_bytes_that_come_again_replace_those_that_were_damaged_or_lost(
    engine: Engine, client: CheckedClient, blobs: Directory, damage: Callable[[Directory, str], None]
) -> None:
    dataset_id = upload(client).get_json()["id"]
    file = files_of(engine, dataset_id)["upload"]
    damage(blobs, file["key"])
    with writing(engine) as session:
        attempt = claim_dataset(session).attempt
        preparation.fail_preparation(session, dataset_id, attempt, code="upload_damaged", message="Upload it again.")

    again = upload(client)

    assert (again.get_json()["id"], again.get_json()["status"]) == (dataset_id, "preparing")
    new = files_of(engine, dataset_id)["upload"]
    assert read_verified(blobs, new) == CSV
    assert new["key"] != file["key"]
    with reading(engine) as session:
        assert file["key"] in {blob.key for blob in list_doomed(session)}


def test_a_sweep_while_the_same_bytes_come_again_takes_none_of_them_away(engine: Engine, tmp_path: Path) -> None:
    class SweptDirectory(Directory):
        """Is swept whenever a piece has been written."""

        def put_pieces(self, key: str, pieces: Iterable[bytes]) -> None:
            def swept() -> Iterator[bytes]:
                for piece in pieces:
                    yield piece
                    sweep_orphans(engine, self, key.partition("/")[0])

            super().put_pieces(key, swept())

    blobs = SweptDirectory(tmp_path / "blobs")
    client = make_client(engine, blobs=blobs)
    dataset_id = upload(client).get_json()["id"]
    with writing(engine) as session:
        preparation.fail_preparation(session, dataset_id, claim_dataset(session).attempt, code="x", message="y")

    again = upload(client)

    assert (again.status_code, again.get_json()["id"]) == (202, dataset_id)
    assert read_verified(blobs, files_of(engine, dataset_id)["upload"]) == CSV


def test_uploads_that_come_at_once_do_not_share_what_is_left_of_the_quota(engine: Engine, tmp_path: Path) -> None:
    both = threading.Barrier(2)

    class SlowDirectory(Directory):
        """Ends no upload before another has begun."""

        def put_pieces(self, key: str, pieces: Iterable[bytes]) -> None:
            both.wait(10)
            super().put_pieces(key, pieces)

    client = make_client(engine, blobs=SlowDirectory(tmp_path / "blobs"), dataset_quota_bytes=1024)

    def send(number: int) -> int:
        return upload(client.application.test_client(), bytes([number] * 1000)).status_code  # type: ignore[arg-type]

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(send, range(2))) == [202, 429]


def test_a_preview_is_sent_as_the_worker_made_it(engine: Engine, client: CheckedClient, blobs: Directory) -> None:
    dataset_id = upload(client).get_json()["id"]
    early = client.get(f"/datasets/{dataset_id}/preview")
    with writing(engine) as session:
        dataset = claim_dataset(session)
        store = store_file
        files = {
            "rows": store(blobs, job_id=dataset_id, attempt=1, name="rows.npy", pieces=[b"rows"]),
            "preview": store(blobs, job_id=dataset_id, attempt=1, name="preview.csv", pieces=[b"a,b\n1,2\n"]),
        }
        finish = preparation.finish_preparation
        finish(
            session,
            dataset_id,
            dataset.attempt,
            facts=DATASETS["iris"].facts(None),
            warnings=[],
            files=files,
            quota_bytes=QUOTA_BYTES,
        )

    entry = client.get(f"/datasets/{dataset_id}").get_json()
    with client.get(entry["links"]["preview"]) as preview:
        shown = preview.data

    assert (early.status_code, early.get_json()["code"]) == (404, "not_yet")
    assert (preview.mimetype, shown) == ("text/csv", b"a,b\n1,2\n")
    assert (entry["status"], entry["content"]["count"], entry["content"]["labels"][0]) == ("ready", 150, "setosa")
    assert entry["stored_bytes"] == len(b"rows") + len(b"a,b\n1,2\n")


def test_the_preview_of_a_data_set_that_failed_says_why_it_did(engine: Engine, client: CheckedClient) -> None:
    dataset_id = upload(client).get_json()["id"]
    with writing(engine) as session:
        claim_dataset(session)
        preparation.fail_preparation(session, dataset_id, 1, code="empty", message="The file is empty.")

    answer = client.get(f"/datasets/{dataset_id}/preview")

    assert (answer.status_code, answer.get_json()["code"]) == (404, "not_found")
    assert "The file is empty." in answer.get_json()["detail"]


def test_a_waiting_client_hears_of_a_data_set_that_is_ready(engine: Engine, client: CheckedClient) -> None:
    with writing(engine) as session:
        dataset = add_ready_dataset(session)

    answer = client.get(f"/datasets/{dataset.id}", query_string={"wait": 30})

    assert answer.get_json()["status"] == "ready"
