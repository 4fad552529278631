"""Quality over HTTP, and what it does to checkpoints: the spec, the rows, the best."""

from typing import Any

import pytest
from sqlalchemy import Engine

from service.db import reading, writing
from service.errors import InvalidInput
from service.models import Job
from service.spec.job import JobSpec
from service.spec.quality import has_stalled
from service.spec.resolve import parse_spec
from service.store import transitions
from service.store.checkpoints import newest_checkpoints, retire_checkpoints
from service.store.quality import add_quality, add_yardstick, best_steps
from tests.building import a_resolved, a_spec, add_running_job, claim_next, save_checkpoint
from tests.conversation import CheckedClient, make_client

REAL, BASELINES = {"coverage": 0.97}, {"gaussian": {"coverage": 0.1}, "copula": {"coverage": 0.6}}


@pytest.fixture
def client(engine: Engine) -> CheckedClient:
    return make_client(engine)


@pytest.fixture
def job_id(engine: Engine) -> str:
    """A job that was measured at 100, 200 and 300, best at 200, and has those checkpoints and one at 250."""
    job_id, attempt = add_running_job(engine)
    with writing(engine) as session:
        job = transitions.fence(session, job_id, attempt)
        add_yardstick(session, job, real=REAL, baselines=BASELINES)
        for step, coverage in ((100, 0.5), (200, 0.9), (250, None), (300, 0.8)):
            if coverage is not None:
                measure(session, job, step, coverage)
            save_checkpoint(session, job, step)
    return job_id


def measure(session: Any, job: Job, step: int, coverage: float | None) -> None:
    add_quality(session, job, step=step, metrics={"coverage": coverage}, metric="coverage", merit=coverage)


def test_each_measured_step_is_listed_beside_real_data_and_baselines(client: CheckedClient, job_id: str) -> None:
    url = f"/jobs/{job_id}/quality"

    page = client.get(f"{url}?limit=2").get_json()
    rest = client.get(url, query_string={"cursor": page["next_cursor"]}).get_json()

    rows = page["data"] + rest["data"]
    assert [(row["step"], row["checkpoint"], row["metrics"]) for row in rows] == [
        (100, 100, {"coverage": 0.5}),
        (200, 200, {"coverage": 0.9}),
        (300, 300, {"coverage": 0.8}),
    ]
    assert all((row["real"], row["baselines"]) == (REAL, BASELINES) for row in rows)
    assert client.get("/jobs/job_unknown/quality").status_code == 404
    messages = [event["message"] for event in client.get(f"/jobs/{job_id}/events").get_json()["data"]]
    assert "Quality at step 200: coverage 0.9." in messages
    assert [row["behind"] for row in rows] == [["copula"], [], []]
    assert "Quality at step 100: coverage 0.5. Without any training copula would be better." in messages
    assert page["legend"]["coverage"]["better"] == "higher"
    assert "neighbourhood" in page["legend"]["coverage"]["description"]


def test_the_best_checkpoint_is_found_by_name_and_outlives_newer_ones(
    client: CheckedClient, engine: Engine, job_id: str
) -> None:
    with writing(engine) as session:
        retire_checkpoints(session, session.get_one(Job, job_id), keep_last=1, keep_best=1)

    best = client.get(f"/jobs/{job_id}/checkpoints/best").get_json()
    kept = client.get(f"/jobs/{job_id}/checkpoints").get_json()["data"]

    assert (best["step"], best["quality"], best["kept_because"]) == (
        200,
        {"coverage": 0.9},
        ["recent", "best", "healthy"],
    )
    assert [row["step"] for row in kept] == [200, 300]
    assert [row["checkpoint"] for row in client.get(f"/jobs/{job_id}/quality").get_json()["data"]] == [None, 200, 300]


def test_a_step_without_a_number_or_without_a_checkpoint_is_never_best(engine: Engine) -> None:
    job_id, attempt = add_running_job(engine)
    with writing(engine) as session:
        job = transitions.fence(session, job_id, attempt)
        for step, coverage in ((1, 0.2), (2, None), (3, 0.9), (4, 0.2)):
            measure(session, job, step, coverage)
        for step in (1, 2, 4):
            save_checkpoint(session, job, step)

    with reading(engine) as session:
        assert best_steps(session, job_id, 5) == [1, 4]


def test_an_attempt_that_continues_forgets_what_was_measured_after_its_checkpoint(
    client: CheckedClient, engine: Engine, job_id: str
) -> None:
    with writing(engine) as session:
        transitions.release(session, job_id, 1)
        claim_next(session, resume_from=newest_checkpoints(session, job_id)[2])

    rows = client.get(f"/jobs/{job_id}/quality").get_json()["data"]

    assert [row["step"] for row in rows] == [100, 200]


def test_a_step_that_is_measured_again_is_renewed_and_told_once(engine: Engine, client: CheckedClient) -> None:
    job_id, attempt = add_running_job(engine)
    with writing(engine) as session:
        job = transitions.fence(session, job_id, attempt)
        measure(session, job, 5, 0.5)
        add_quality(session, job, step=5, metrics={"coverage": 0.5, "tstr": 0.9}, metric="coverage", merit=0.5)

    [row] = client.get(f"/jobs/{job_id}/quality").get_json()["data"]
    events = [event["type"] for event in client.get(f"/jobs/{job_id}/events").get_json()["data"]]

    assert row["metrics"] == {"coverage": 0.5, "tstr": 0.9}
    assert events.count("quality") == 1


def test_a_spec_is_filled_by_the_data() -> None:
    quality, of_pictures = a_spec(loop={"max_steps": 501}).quality, a_spec(dataset="digits").quality

    assert (quality.every_steps, quality.held_out, quality.metric) == (101, 0.2, "coverage")
    assert of_pictures.metric == "frechet"
    assert a_spec(quality={"held_out": 0}).quality.every_steps == 0


def test_a_spec_of_before_there_was_quality_keeps_nothing_aside() -> None:
    stored = a_spec().model_dump(mode="json")
    del stored["quality"]

    spec: JobSpec = parse_spec(stored)

    assert not spec.quality.held_out
    assert not spec.quality.every_steps


@pytest.mark.parametrize(
    ("posted", "pointer", "code"),
    [
        ({"quality": {"metric": "coverag"}}, "/quality/metric", "unknown_name"),
        ({"quality": {"metric": "density"}}, "/quality/metric", "unknown_name"),
        ({"quality": {"metric": "frechet"}}, "/quality/metric", "unknown_name"),
        (
            {"dataset": "iris", "quality": {"metric": "tstr"}, "model": {"conditional": False}},
            "/quality/metric",
            "no_labels",
        ),
        ({"quality": {"held_out": 0.0001}}, "/quality/held_out", "too_little_held_out"),
        ({"quality": {"held_out": 0, "every_steps": 5}}, "/quality/held_out", "too_little_held_out"),
        ({"quality": {"every_steps": 0, "early_stop": {}}}, "/quality/early_stop", "never_measured"),
        ({"quality": {"held_out": 0.5}, "loop": {"batch_size": 10_001}}, "/loop/batch_size", "batch_larger_than_data"),
    ],
)
def test_what_cannot_be_measured_is_refused(posted: dict[str, Any], pointer: str, code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        a_resolved(**posted)

    [fault] = refused.value.faults
    assert (fault.pointer, fault.code) == (pointer, code)


def test_a_job_has_stalled_once_as_many_points_as_it_is_patient_were_no_better() -> None:
    rules = {"patience_points": 2, "min_delta": 0.1}

    assert not has_stalled([0.5], **rules)
    assert not has_stalled([0.5, 0.4], **rules)
    assert has_stalled([0.5, 0.4, 0.6], **rules)
    assert not has_stalled([0.5, 0.4, 0.61], **rules)
    assert not has_stalled([0.1, 0.5, 0.55], **rules)
