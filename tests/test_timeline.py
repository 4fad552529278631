"""The samples through training as one picture."""

import io

import pytest
from PIL import Image
from sqlalchemy import Engine

from service.blobs import BlobStore, store_file
from service.charts.timeline import spread
from service.db import writing
from service.store import samples, transitions
from tests.building import add_running_job
from tests.conversation import CheckedClient, make_client


@pytest.fixture
def client(engine: Engine, blobs: BlobStore) -> CheckedClient:
    return make_client(engine, blobs=blobs)


def a_png(grey: int, size: tuple[int, int] = (40, 20)) -> bytes:
    file = io.BytesIO()
    Image.new("L", size, grey).save(file, "PNG")
    return file.getvalue()


def sampled(engine: Engine, blobs: BlobStore, *greys: int, form: str = "png") -> str:
    """Return a job with a sampling point each tenth step, whose pictures are of one grey each."""
    job_id, attempt = add_running_job(engine)
    for index, grey in enumerate(greys):
        step = 10 * (index + 1)
        file = store_file(blobs, job_id=job_id, attempt=attempt, name=f"samples-{step}.{form}", pieces=[a_png(grey)])
        with writing(engine) as session:
            job = transitions.fence(session, job_id, attempt)
            samples.add_sample(session, job, step=step, count=64, files={form: file})
    return job_id


def test_every_sampling_point_is_a_frame_in_its_order(engine: Engine, blobs: BlobStore, client: CheckedClient) -> None:
    job_id = sampled(engine, blobs, 0, 100, 200)

    answer = client.get(f"/jobs/{job_id}/timeline.gif?fps=10")
    moving = Image.open(io.BytesIO(answer.data))
    shown = []
    for index in range(moving.n_frames):
        moving.seek(index)
        shown.append((moving.convert("L").getpixel((5, 5)), moving.info["duration"]))

    assert answer.mimetype == "image/gif"
    assert shown == [(0, 100), (100, 100), (200, 400)]
    assert moving.info["loop"] == 0
    assert (
        client.get(f"/jobs/{job_id}/timeline.gif?fps=10", headers={"If-None-Match": answer.headers["ETag"]}).status_code
        == 304
    )


def test_the_sheet_shows_all_points_side_by_side(engine: Engine, blobs: BlobStore, client: CheckedClient) -> None:
    job_id = sampled(engine, blobs, 0, 50, 100, 150, 200)

    sheet = Image.open(io.BytesIO(client.get(f"/jobs/{job_id}/timeline.png").data)).convert("L")

    cell = (sheet.width - 8) // 4
    second_row = 8 + (sheet.height - 8) // 2
    assert [sheet.getpixel((8 + cell * column + 5, 13)) for column in range(4)] == [0, 50, 100, 150]
    assert sheet.getpixel((13, second_row + 5)) == 200


def test_a_new_sampling_point_makes_a_new_picture(engine: Engine, blobs: BlobStore, client: CheckedClient) -> None:
    job_id = sampled(engine, blobs, 0)
    before = client.get(f"/jobs/{job_id}/timeline.png")

    file = store_file(blobs, job_id=job_id, attempt=1, name="samples-20.png", pieces=[a_png(9)])
    with writing(engine) as session:
        samples.add_sample(session, transitions.fence(session, job_id, 1), step=20, count=64, files={"png": file})
    after = client.get(f"/jobs/{job_id}/timeline.png", headers={"If-None-Match": before.headers["ETag"]})

    assert after.status_code == 200
    assert after.data != before.data


def test_pictures_leave_processors_for_everybody_else(engine: Engine, blobs: BlobStore, client: CheckedClient) -> None:
    job_id = sampled(engine, blobs, 0)
    pictures = client.application.extensions["web"].pictures
    while pictures.acquire(blocking=False):
        pass

    answer = client.get(f"/jobs/{job_id}/timeline.png")

    assert (answer.status_code, answer.get_json()["code"]) == (503, "too_many_pictures")
    pictures.release()
    assert client.get(f"/jobs/{job_id}/timeline.png").status_code == 200
    assert client.get(f"/jobs/{job_id}/timeline.gif").status_code == 200


def test_there_is_no_picture_before_the_first_samples_and_of_what_cannot_be_seen(
    engine: Engine, blobs: BlobStore, client: CheckedClient
) -> None:
    fresh, _ = add_running_job(engine)
    table = sampled(engine, blobs, 0, form="csv")

    early, unseen = (client.get(f"/jobs/{job_id}/timeline.gif") for job_id in (fresh, table))

    assert (early.status_code, early.get_json()["code"]) == (404, "not_yet")
    assert (unseen.status_code, unseen.get_json()["code"]) == (406, "format_unavailable")


def test_of_many_points_the_first_and_the_last_are_shown_and_others_evenly() -> None:
    assert spread(range(0, 101, 10), 6) == [0, 20, 40, 60, 80, 100]
    assert spread([1, 2, 3], 6) == [1, 2, 3]
