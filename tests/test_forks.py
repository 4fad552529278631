"""Forks over HTTP: how they begin, what goes before them, and that nothing that becomes of the parent hurts them."""

import json
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from service.blobs import BlobStore, store_file
from service.broker import Wakeups
from service.db import reading, writing
from service.models import BlobHold, Checkpoint, Job, State
from service.orphans import sweep_orphans
from service.reconcile import Reconciler
from service.settings import Settings
from service.spec.columns import recorded_columns
from service.store import history, transitions
from service.store.checkpoints import newest_checkpoints, retire_checkpoints
from service.store.doomed import keys_of
from service.store.rollbacks import Trouble, roll_back
from tests.building import a_spec, add_job, claim_next, save_checkpoint
from tests.conversation import Announcements, CheckedClient, make_client
from worker.attempt import Attempt

LONG: dict[str, Any] = {"loop": {"max_steps": 3_000}, "seed": 5}
COLUMNS = recorded_columns(a_spec())


@pytest.fixture
def client(engine: Engine, blobs: BlobStore, announcements: Announcements) -> CheckedClient:
    return make_client(engine, blobs=blobs, wakeups=announcements, max_live_jobs=4)


@pytest.fixture
def parent(engine: Engine, blobs: BlobStore) -> Job:
    """A running job that has saved its steps 100 and 200 and recorded 250."""
    with writing(engine) as session:
        add_job(session, **LONG)
        job = claim_next(session)
        record(session, job, 1, 250)
        for step in (100, 200):
            save(session, blobs, job, step)
    return job


def record(session: Any, job: Job, first: int, last: int, height: float = 0.0) -> None:
    steps = np.arange(first, last + 1)[:, None]
    values = (height + steps + np.arange(len(COLUMNS)) / 100).astype(np.float32)
    history.append_rows(session, job.id, attempt=job.attempt, first_step=first, columns=COLUMNS, rows=values)


def save(session: Any, blobs: BlobStore, job: Job, step: int) -> Checkpoint:
    def file(part: str) -> dict[str, Any]:
        pieces = [f"{part} of {job.id} at {step}".encode()]
        return store_file(blobs, job_id=job.id, attempt=job.attempt, name=f"{part}-{step}.safetensors", pieces=pieces)

    return save_checkpoint(session, job, step, files={part: file(part) for part in ("all", "generator")})


def fork(client: CheckedClient, parent_id: str, checkpoint: Any = 100, **overrides: Any) -> dict[str, Any]:
    body = {"checkpoint": checkpoint, "overrides": overrides}
    answer = client.post(f"/jobs/{parent_id}/fork", json=body)
    assert answer.status_code == 201, answer.get_json()
    return dict(answer.get_json())


def finish(engine: Engine, job: Job) -> None:
    with writing(engine) as session:
        transitions.finish(session, job.id, job.attempt, State.SUCCEEDED, reason="max_steps")


def reconcile(engine: Engine, blobs: BlobStore, *owners: str) -> None:
    """Look for orphans as the sweep does, and remove all that is doomed."""
    settings = Settings(_env_file=None)
    for owner in owners:
        sweep_orphans(engine, blobs, owner)
    Reconciler(engine, blobs, settings, Wakeups(settings)).scan()


def losses(client: CheckedClient, job_id: str, **query: Any) -> tuple[list[int], list[float]]:
    answer = client.get(f"/jobs/{job_id}/losses", query_string={"columns": "value", **query}).get_json()
    return answer["columns"]["step"], answer["columns"]["value"]


def test_a_fork_is_a_new_job_that_stands_at_the_checkpoint(
    client: CheckedClient, parent: Job, announcements: Announcements
) -> None:
    made = fork(client, parent.id, 100, name="lower", optimizer={"generator": {"lr": 1e-5}})

    assert announcements.count == 1
    assert made["parent"] == {"job": parent.id, "step": 100}
    assert (made["status"], made["attempt"], made["name"]) == ("queued", 0, "lower")
    assert (made["progress"]["step"], made["progress"]["max_steps"]) == (100, 3_000)
    assert made["progress"]["samples_seen"] == 6_400
    assert made["resolved_spec"]["optimizer"]["generator"]["lr"] == 1e-5
    assert made["resolved_spec"]["seed"] == 5
    [kept] = client.get(f"/jobs/{made['id']}/checkpoints").get_json()["data"]
    assert (kept["step"], kept["kept_because"]) == (100, ["latest", "recent", "branch"])
    created, forked = client.get(f"/jobs/{made['id']}/events").get_json()["data"]
    assert (created["type"], forked["type"]) == ("created", "forked")
    assert forked["data"]["overrides"] == {"name": "lower", "optimizer": {"generator": {"lr": 1e-5}}}
    assert client.get(f"/jobs/{parent.id}").get_json()["parent"] is None


def test_forks_are_found_by_their_parent(client: CheckedClient, parent: Job) -> None:
    first, second = (fork(client, parent.id, step)["id"] for step in (100, "latest"))
    fork(client, first)

    found = client.get("/jobs", query_string={"parent": parent.id}).get_json()["data"]

    assert [(job["id"], job["parent"]["step"]) for job in found] == [(second, 200), (first, 100)]


def test_a_change_of_what_the_checkpoint_holds_is_refused_by_name(client: CheckedClient, parent: Job) -> None:
    body = {"checkpoint": 100, "overrides": {"model": {"latent_dim": 3}, "loop": {"max_steps": 100}}}

    refused = client.post(f"/jobs/{parent.id}/fork", json=body)

    assert refused.status_code == 422
    faults = {fault["pointer"]: fault["code"] for fault in refused.get_json()["errors"]}
    fixed, small = "fixed_by_checkpoint", "too_small"
    assert faults == {"/overrides/model/latent_dim": fixed, "/overrides/loop/max_steps": small}
    assert len(client.get("/jobs").get_json()["data"]) == 1


@pytest.mark.parametrize(("checkpoint", "status"), [(150, 404), ("best", 404), ("newest", 422), (-1, 422)])
def test_there_is_no_fork_without_a_checkpoint(
    client: CheckedClient, parent: Job, checkpoint: Any, status: int
) -> None:
    assert client.post(f"/jobs/{parent.id}/fork", json={"checkpoint": checkpoint}).status_code == status


def test_an_idempotency_key_makes_one_fork_even_where_the_parent_is_gone(
    engine: Engine, client: CheckedClient, parent: Job
) -> None:
    url, headers = f"/jobs/{parent.id}/fork", {"Idempotency-Key": "once"}
    first = client.post(url, json={}, headers=headers)
    finish(engine, parent)
    client.delete(f"/jobs/{parent.id}")

    again = client.post(url, json={}, headers=headers)
    other = client.post(url, json={"checkpoint": 100}, headers=headers)

    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert again.get_json() == first.get_json()
    assert (other.status_code, other.get_json()["code"]) == (409, "idempotency_key_reused")
    assert len(client.get("/jobs").get_json()["data"]) == 1


def test_a_fork_counts_as_any_job(client: CheckedClient, parent: Job) -> None:
    for _ in range(3):
        fork(client, parent.id)

    assert client.post(f"/jobs/{parent.id}/fork", json={}).status_code == 429


def test_the_worker_begins_where_the_checkpoint_stands(engine: Engine, client: CheckedClient, parent: Job) -> None:
    made = fork(client, parent.id)

    with writing(engine) as session:
        origin = newest_checkpoints(session, made["id"])[0]
        job = claim_next(session, resume_from=origin)
        attempt = Attempt.of(job, origin)
        record(session, job, 101, 120)

    assert (job.id, job.step, job.samples_seen) == (made["id"], 100, 6_400)
    assert attempt.is_at_branch
    steps, _ = losses(client, made["id"])
    assert steps == list(range(101, 121))
    last = client.get(f"/jobs/{made['id']}/events").get_json()["data"][-1]
    assert (last["type"], last["message"]) == ("started", "Started from step 100 as attempt 1.")


def test_a_fork_whose_checkpoint_is_gone_fails_rather_than_begin_anew(
    engine: Engine, client: CheckedClient, parent: Job
) -> None:
    made = fork(client, parent.id)

    with writing(engine) as session:
        job = transitions.next_claimable(session, devices=["auto"])[0]
        claimed = transitions.claim(session, job, worker="worker-1", resume_from=None)

    assert not claimed
    shown = client.get(f"/jobs/{made['id']}").get_json()
    assert (shown["status"], shown["error"]["code"]) == ("failed", "branch_lost")


@pytest.mark.parametrize("gone", ["deleted", "pruned"])
def test_a_queued_fork_keeps_its_files_whatever_becomes_of_the_parent(
    engine: Engine, blobs: BlobStore, client: CheckedClient, parent: Job, gone: str
) -> None:
    made = fork(client, parent.id)
    if gone == "deleted":
        finish(engine, parent)
        assert client.delete(f"/jobs/{parent.id}").status_code == 204
    else:
        with writing(engine) as session:
            retire_checkpoints(session, session.get_one(Job, parent.id), keep_last=1)

    reconcile(engine, blobs, parent.id, made["id"])

    file = client.get(f"/jobs/{made['id']}/checkpoints/100/file")
    assert (file.status_code, file.data) == (200, f"all of {parent.id} at 100".encode())
    assert f"{parent.id}/1/all-200" not in "".join(blobs.list()) or gone == "pruned"


def test_files_go_with_the_last_job_that_shows_them(
    engine: Engine, blobs: BlobStore, client: CheckedClient, parent: Job
) -> None:
    child = fork(client, parent.id)["id"]
    grandchild = fork(client, child)["id"]
    finish(engine, parent)
    left = []
    for job_id in (child, parent.id, grandchild):
        client.post(f"/jobs/{job_id}/cancel")
        client.delete(f"/jobs/{job_id}")
        reconcile(engine, blobs, parent.id, child, grandchild)
        left.append(len([key for key in blobs.list() if "-100-" in key]))

    assert left == [2, 2, 0]
    with reading(engine) as session:
        assert session.query(BlobHold).count() == 0


def test_the_checkpoint_at_the_branch_stays_as_long_as_the_fork(
    engine: Engine, blobs: BlobStore, client: CheckedClient, parent: Job
) -> None:
    made = fork(client, parent.id)

    with writing(engine) as session:
        job = claim_next(session, resume_from=newest_checkpoints(session, made["id"])[0])
        record(session, job, 101, 1_200)
        for step in (600, 900, 1_200):
            save(session, blobs, job, step)
        retire_checkpoints(session, job, keep_last=1)

    with reading(engine) as session:
        assert [row.step for row in newest_checkpoints(session, made["id"])] == [1_200, 100]


def test_a_fork_that_goes_wrong_at_once_is_rolled_back_to_its_branch(
    engine: Engine, client: CheckedClient, parent: Job
) -> None:
    made = fork(client, parent.id)

    with writing(engine) as session:
        job = claim_next(session, resume_from=newest_checkpoints(session, made["id"])[0])
        record(session, job, 101, 110)
        roll_back(session, job.id, job.attempt, Trouble(90, "diverged", "diverged", "It went wrong."))

    shown = client.get(f"/jobs/{made['id']}").get_json()
    assert (shown["status"], shown["progress"]["step"]) == ("queued", 100)


def test_a_fork_trains_at_the_rates_that_its_parent_went_on_with(
    engine: Engine, blobs: BlobStore, client: CheckedClient, parent: Job
) -> None:
    with writing(engine) as session:
        roll_back(session, parent.id, parent.attempt, Trouble(150, "diverged", "diverged", "It went wrong."))
        job = claim_next(session, resume_from=newest_checkpoints(session, parent.id)[0])
        record(session, job, 101, 300)
        save(session, blobs, job, 300)
        rate = job.resolved_spec["optimizer"]["generator"]["lr"]
        roll_back(session, job.id, job.attempt, Trouble(320, "diverged", "diverged", "It went wrong again."))

    before, after = (fork(client, parent.id, step) for step in (100, 300))

    rates = [made["resolved_spec"]["optimizer"]["generator"]["lr"] for made in (before, after)]
    assert rates == [rate / 2, rate / 4]


def test_a_lineage_is_every_step_once_from_the_first_ancestor_on(
    engine: Engine, blobs: BlobStore, client: CheckedClient, parent: Job
) -> None:
    child = fork(client, parent.id, 200)["id"]
    with writing(engine) as session:
        job = claim_next(session, resume_from=newest_checkpoints(session, child)[0])
        record(session, job, 201, 400, height=1_000)
        save(session, blobs, job, 300)
    grandchild = fork(client, child, 300)["id"]
    with writing(engine) as session:
        record(session, claim_next(session, resume_from=newest_checkpoints(session, grandchild)[0]), 301, 310, 5_000)

    steps, values = losses(client, grandchild, lineage="true")
    thinned, spread = losses(client, grandchild, lineage="true", max_points=10)
    later, _ = losses(client, grandchild, lineage="true", from_step=190, to_step=305)

    expected = [*range(1, 201), *range(1_201, 1_301), *range(5_301, 5_311)]
    assert steps == list(range(1, 311))
    assert values == expected
    assert (thinned[0], thinned[-1], min(spread), max(spread)) == (1, 310, 1, 5_310)
    assert later == list(range(190, 306))
    assert losses(client, grandchild)[0] == list(range(301, 311))


def test_a_lineage_before_the_first_step_of_a_fork_is_its_parents(client: CheckedClient, parent: Job) -> None:
    child = fork(client, parent.id)["id"]
    grandchild = fork(client, child)["id"]

    assert losses(client, grandchild, lineage="true")[0] == list(range(1, 101))
    assert losses(client, grandchild)[0] == []


def test_a_lineage_has_the_columns_that_all_record(engine: Engine, client: CheckedClient, parent: Job) -> None:
    made = fork(client, parent.id, objective={"loss": "hinge"})

    whole = client.get(f"/jobs/{made['id']}/losses?lineage=true").get_json()["columns"]
    missing = client.get(f"/jobs/{made['id']}/losses?lineage=true&columns=value")

    spec = a_spec(objective={"loss": "hinge"})
    assert set(whole) == {"step", *recorded_columns(spec)} & {"step", *COLUMNS}
    assert missing.status_code == 422


def test_a_lineage_leaves_out_a_parent_that_has_taken_other_steps_since(
    engine: Engine, client: CheckedClient, parent: Job
) -> None:
    made = fork(client, parent.id, 200)["id"]
    untouched = fork(client, parent.id, 100)["id"]

    with writing(engine) as session:
        roll_back(session, parent.id, parent.attempt, Trouble(150, "diverged", "diverged", "It went wrong."))

    assert losses(client, made, lineage="true")[0] == []
    assert losses(client, untouched, lineage="true")[0] == list(range(1, 101))


def test_a_lineage_begins_where_no_ancestor_is_left(engine: Engine, client: CheckedClient, parent: Job) -> None:
    made = fork(client, parent.id)["id"]
    with writing(engine) as session:
        record(session, claim_next(session, resume_from=newest_checkpoints(session, made)[0]), 101, 105)
    tag = client.get(f"/jobs/{made}/losses?lineage=true").headers["ETag"]
    finish(engine, parent)
    client.delete(f"/jobs/{parent.id}")

    again = client.get(f"/jobs/{made}/losses?lineage=true", headers={"If-None-Match": tag})

    assert json.loads(again.data)["columns"]["step"] == list(range(101, 106))
    assert client.get(f"/jobs/{made}").get_json()["parent"] == {"job": parent.id, "step": 100}


def test_a_fork_follows_the_plan_of_its_parent_alone(engine: Engine, client: CheckedClient, parent: Job) -> None:
    plan = {"step": "compiled", "threads": 1, "reason": "it pays"}
    with writing(engine) as session:
        session.get_one(Job, parent.id).plan = plan | {"cohort": {"size": 2, "index": 0}}

    same, other = fork(client, parent.id), fork(client, parent.id, resources={"threads": 2})

    with reading(engine) as session:
        plans = [session.get_one(Job, made["id"]).plan for made in (same, other)]
    assert plans == [plan, None]


def test_a_job_that_has_ended_is_extended_by_a_fork(engine: Engine, client: CheckedClient, parent: Job) -> None:
    finish(engine, parent)

    refused = client.patch(f"/jobs/{parent.id}", json={"max_steps": 9_000})

    assert (refused.status_code, refused.get_json()["code"]) == (409, "job_is_terminal")
    assert f"/jobs/{parent.id}/fork" in refused.get_json()["detail"]
    made = fork(client, parent.id, "latest", loop={"max_steps": 9_000})
    assert made["progress"]["max_steps"] == 9_000


def test_both_jobs_hold_the_files_of_a_checkpoint(engine: Engine, client: CheckedClient, parent: Job) -> None:
    made = fork(client, parent.id)

    with reading(engine) as session:
        rows = [session.get_one(Checkpoint, (job_id, 100)) for job_id in (parent.id, made["id"])]
        holds = {(each.key, each.job_id) for each in session.query(BlobHold)}
    assert rows[0].files == rows[1].files
    assert holds == {(key, job_id) for key in keys_of(rows[0].files) for job_id in (parent.id, made["id"])}
