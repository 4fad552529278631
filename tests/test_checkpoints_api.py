"""Checkpoints over HTTP: the list, one, and its files in whole and in parts."""

from typing import Any

import pytest
from sqlalchemy import Engine

from service.blobs import BlobStore, sha256_of, store_file
from service.db import writing
from service.models import Job
from service.store import transitions
from service.store.checkpoints import retire_checkpoints
from tests.building import add_order, add_running_job, save_checkpoint
from tests.conversation import CheckedClient, make_client

WHOLE = bytes(range(256)) * 700  # some pieces long
WEIGHTS = b"generator weights"


@pytest.fixture
def client(engine: Engine, blobs: BlobStore) -> CheckedClient:
    return make_client(engine, blobs=blobs)


def save(engine: Engine, blobs: BlobStore, job_id: str, step: int) -> dict[str, Any]:
    def store(part: str, data: bytes) -> dict[str, Any]:
        return store_file(blobs, job_id=job_id, attempt=1, name=f"{part}-{step}.safetensors", pieces=[data])

    files = {"all": store("all", WHOLE), "generator": store("generator", WEIGHTS)}
    with writing(engine) as session:
        job = transitions.fence(session, job_id, 1)
        save_checkpoint(session, job, step, losses={"d_loss": 1.5}, files=files)
    return files


@pytest.fixture
def job_id(engine: Engine, blobs: BlobStore) -> str:
    """A job with checkpoints at 100, 200 and 300."""
    job_id, _ = add_running_job(engine)
    for step in (100, 200, 300):
        save(engine, blobs, job_id, step)
    return job_id


def test_checkpoints_are_listed_by_step_and_found_by_name(client: CheckedClient, job_id: str) -> None:
    url = f"/jobs/{job_id}/checkpoints"

    page = client.get(f"{url}?limit=2").get_json()
    rest = client.get(url, query_string={"cursor": page["next_cursor"]}).get_json()
    latest = client.get(f"{url}/latest").get_json()

    assert [row["step"] for row in page["data"] + rest["data"]] == [100, 200, 300]
    assert latest == rest["data"][0] == client.get(f"{url}/300").get_json()
    assert (latest["sha256"], latest["size_bytes"]) == (sha256_of(WHOLE), len(WHOLE))
    assert latest["parts"]["generator"]["sha256"] == sha256_of(WEIGHTS)
    assert latest["losses"] == {"d_loss": 1.5}
    assert latest["kept_because"] == ["latest", "recent"]
    assert page["data"][0]["kept_because"] == ["recent", "healthy"]


def test_a_checkpoint_tells_why_it_is_kept(engine: Engine, blobs: BlobStore, client: CheckedClient) -> None:
    job_id, _ = add_running_job(engine, checkpoints={"keep_last": 2, "keep_every": 500})
    for step in (10, 500, 510, 520, 560, 570, 1000):
        save(engine, blobs, job_id, step)
    with writing(engine) as session:
        add_order(session, session.get_one(Job, job_id))  # from step 10
        retire_checkpoints(session, session.get_one(Job, job_id), keep_last=2, keep_every=500, look_back=400)

    page = client.get(f"/jobs/{job_id}/checkpoints").get_json()

    kept = {row["step"]: row["kept_because"] for row in page["data"]}
    assert kept == {
        10: ["wanted"],
        500: ["multiple"],
        570: ["recent", "healthy"],
        1000: ["latest", "recent", "multiple"],
    }
    assert client.get(f"/jobs/{job_id}/checkpoints/500").get_json()["kept_because"] == ["multiple"]


@pytest.mark.parametrize("name", ["7", "-1", "first", "9" * 20, "1e3", "\u0663"])
def test_a_checkpoint_that_is_not_there_is_404(client: CheckedClient, job_id: str, name: str) -> None:
    assert client.get(f"/jobs/{job_id}/checkpoints/{name}").get_json()["code"] == "not_found"
    assert client.get(f"/jobs/{job_id}/checkpoints/{name}/file").status_code == 404


def test_a_step_without_a_checkpoint_is_told_which_have_one(client: CheckedClient, job_id: str) -> None:
    answer = client.get(f"/jobs/{job_id}/checkpoints/7")

    assert answer.get_json()["detail"] == "There is no checkpoint 7; there are those of 100, 200, 300."


def test_there_is_no_best_without_a_metric(client: CheckedClient, job_id: str) -> None:
    answer = client.get(f"/jobs/{job_id}/checkpoints/best")

    assert (answer.status_code, answer.get_json()["code"]) == (404, "no_best_yet")
    assert answer.get_json()["retryable"]


def test_before_the_first_checkpoint_another_try_may_find_it(engine: Engine, client: CheckedClient) -> None:
    job_id, _ = add_running_job(engine)

    answers = [client.get(f"/jobs/{job_id}/{path}") for path in ("checkpoints/latest", "samples/latest")]

    told = [(each.status_code, each.get_json()["code"], each.get_json()["retryable"]) for each in answers]
    assert told == [(404, "not_yet", True)] * 2


def test_a_file_is_sent_whole_with_its_length_and_hash(client: CheckedClient, job_id: str) -> None:
    whole = client.get(f"/jobs/{job_id}/checkpoints/latest/file")
    generator = client.get(f"/jobs/{job_id}/checkpoints/200/file?part=generator")

    assert whole.data == WHOLE
    assert whole.headers["Content-Length"] == str(len(WHOLE))
    assert whole.headers["ETag"] == f'"{sha256_of(WHOLE)}"'
    assert whole.headers["Accept-Ranges"] == "bytes"
    assert f"{job_id}-300-all.safetensors" in whole.headers["Content-Disposition"]
    assert generator.data == WEIGHTS


def test_the_links_of_a_checkpoint_lead_to_its_files(client: CheckedClient, job_id: str) -> None:
    parts = client.get(f"/jobs/{job_id}/checkpoints/100").get_json()["parts"]

    assert [client.get(part["url"]).data for part in parts.values()] == [WHOLE, WEIGHTS]


def test_a_part_that_was_not_kept_is_404(client: CheckedClient, job_id: str) -> None:
    answer = client.get(f"/jobs/{job_id}/checkpoints/latest/file?part=ema")

    assert (answer.status_code, answer.get_json()["code"]) == (404, "part_not_found")


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [("bytes=0-9", 0, 9), ("bytes=70000-140000", 70_000, 140_000), ("bytes=-5", len(WHOLE) - 5, len(WHOLE) - 1)],
)
def test_a_range_is_sent_alone(client: CheckedClient, job_id: str, wanted: str, first: int, last: int) -> None:
    answer = client.get(f"/jobs/{job_id}/checkpoints/latest/file", headers={"Range": wanted})

    assert answer.status_code == 206
    assert answer.data == WHOLE[first : last + 1]
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(WHOLE)}"
    assert answer.headers["Content-Length"] == str(last - first + 1)


def test_a_range_beyond_the_end_is_416_and_tells_the_size(client: CheckedClient, job_id: str) -> None:
    answer = client.get(f"/jobs/{job_id}/checkpoints/latest/file", headers={"Range": "bytes=999999-"})

    assert (answer.status_code, answer.get_json()["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["Content-Range"] == f"bytes */{len(WHOLE)}"


def test_a_range_of_another_file_sends_the_whole(client: CheckedClient, job_id: str) -> None:
    url, wanted = f"/jobs/{job_id}/checkpoints/latest/file", {"Range": "bytes=0-9"}

    same = client.get(url, headers={**wanted, "If-Range": f'"{sha256_of(WHOLE)}"'})
    other = client.get(url, headers={**wanted, "If-Range": '"another"'})

    assert (same.status_code, other.status_code) == (206, 200)
    assert other.data == WHOLE


def test_a_file_that_the_client_has_is_not_sent_again(client: CheckedClient, job_id: str) -> None:
    tag = client.get(f"/jobs/{job_id}/checkpoints/latest/file").headers["ETag"]

    answer = client.get(f"/jobs/{job_id}/checkpoints/latest/file", headers={"If-None-Match": tag})

    assert (answer.status_code, answer.data) == (304, b"")


def test_a_file_is_never_compressed(client: CheckedClient, job_id: str) -> None:
    answer = client.get(f"/jobs/{job_id}/checkpoints/latest/file", headers={"Accept-Encoding": "gzip"})

    assert "Content-Encoding" not in answer.headers
    assert answer.data == WHOLE


def test_a_damaged_file_is_refused_before_the_first_byte(
    engine: Engine, blobs: BlobStore, client: CheckedClient, job_id: str
) -> None:
    files = save(engine, blobs, job_id, 400)
    blobs.put(files["all"]["key"], WHOLE[:-1] + b"!")
    blobs.delete(files["generator"]["key"])

    damaged = client.get(f"/jobs/{job_id}/checkpoints/400/file")
    missing = client.get(f"/jobs/{job_id}/checkpoints/400/file?part=generator")

    assert (damaged.status_code, damaged.get_json()["code"]) == (410, "file_damaged")
    assert (missing.status_code, missing.get_json()["code"]) == (410, "file_missing")


@pytest.mark.parametrize("wanted", ["bytes=0-1,4-5", "bytes=x-y", "bytes=5-1", "chunks=0-1"])
def test_a_range_that_is_none_or_several_is_ignored(client: CheckedClient, job_id: str, wanted: str) -> None:
    answer = client.get(f"/jobs/{job_id}/checkpoints/latest/file", headers={"Range": wanted})

    assert (answer.status_code, answer.data) == (200, WHOLE)
    assert answer.headers["Accept-Ranges"] == "bytes"
