"""Samples over HTTP: the timeline, and the file of a step in its formats."""

import pytest
from sqlalchemy import Engine

from service.blobs import BlobStore, sha256_of, store_file
from service.db import writing
from service.store import samples, transitions
from tests.building import add_running_job
from tests.conversation import CheckedClient, make_client


@pytest.fixture
def client(engine: Engine, blobs: BlobStore) -> CheckedClient:
    return make_client(engine, blobs=blobs)


def sampled_job(engine: Engine, blobs: BlobStore, *formats: str) -> str:
    """Return a job with sampling points at 30 and 60 in these formats; a file holds its step and format."""
    job_id, attempt = add_running_job(engine)
    for step in (30, 60):
        files = {
            name: store_file(
                blobs, job_id=job_id, attempt=attempt, name=f"samples-{step}.{name}", pieces=[f"{step} {name}".encode()]
            )
            for name in formats
        }
        with writing(engine) as session:
            samples.add_sample(session, transitions.fence(session, job_id, attempt), step=step, count=64, files=files)
    return job_id


def test_the_timeline_lists_points_with_links_to_their_files(
    engine: Engine, blobs: BlobStore, client: CheckedClient
) -> None:
    job_id = sampled_job(engine, blobs, "csv", "npz", "png")

    first = client.get(f"/jobs/{job_id}/samples?limit=1").get_json()
    second = client.get(f"/jobs/{job_id}/samples", query_string={"cursor": first["next_cursor"]}).get_json()

    points = first["data"] + second["data"]
    assert [(point["step"], point["count"]) for point in points] == [(30, 64), (60, 64)]
    assert points[1]["formats"]["csv"]["sha256"] == sha256_of(b"60 csv")
    assert client.get(points[0]["formats"]["npz"]["url"]).data == b"30 npz"


@pytest.mark.parametrize(
    ("formats", "shown", "media_type"),
    [
        (("csv", "npz", "png"), "png", "image/png"),
        (("npz", "csv"), "csv", "text/csv"),
        (("npz", "zip"), "npz", "application/octet-stream"),
    ],
)
def test_without_a_format_the_file_is_what_a_person_would_look_at(
    engine: Engine, blobs: BlobStore, client: CheckedClient, formats: tuple[str, ...], shown: str, media_type: str
) -> None:
    job_id = sampled_job(engine, blobs, *formats)

    answer = client.get(f"/jobs/{job_id}/samples/latest")

    assert (answer.data, answer.mimetype) == (f"60 {shown}".encode(), media_type)
    assert answer.headers["ETag"] == f'"{sha256_of(answer.data)}"'
    assert f'filename="{job_id}-60.{shown}"' in answer.headers["Content-Disposition"]


def test_a_step_and_a_format_are_chosen(engine: Engine, blobs: BlobStore, client: CheckedClient) -> None:
    job_id = sampled_job(engine, blobs, "npz", "zip")

    answer = client.get(f"/jobs/{job_id}/samples/30?format=zip", headers={"Range": "bytes=0-1"})

    assert (answer.status_code, answer.data, answer.mimetype) == (206, b"30", "application/zip")


def test_a_format_the_data_does_not_have_is_406_and_names_those_it_has(
    engine: Engine, blobs: BlobStore, client: CheckedClient
) -> None:
    job_id = sampled_job(engine, blobs, "npz", "csv")

    answer = client.get(f"/jobs/{job_id}/samples/latest?format=png")

    assert answer.status_code == 406
    assert answer.get_json()["errors"][0]["allowed"] == ["csv", "npz"]


@pytest.mark.parametrize("step", ["31", "newest", "-1", "9" * 20])
def test_a_step_without_samples_is_404(engine: Engine, blobs: BlobStore, client: CheckedClient, step: str) -> None:
    job_id = sampled_job(engine, blobs, "npz")

    assert client.get(f"/jobs/{job_id}/samples/{step}").status_code == 404


def test_a_job_without_samples_has_an_empty_timeline(engine: Engine, client: CheckedClient) -> None:
    job_id, _ = add_running_job(engine)

    assert client.get(f"/jobs/{job_id}/samples").get_json() == {"data": [], "has_more": False, "next_cursor": None}
    assert client.get(f"/jobs/{job_id}/samples/latest").status_code == 404
