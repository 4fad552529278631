"""Sweeps over HTTP: how they are created, ranked, stopped, cancelled and deleted."""

from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from service.blobs import make_blobs
from service.broker import Wakeups
from service.db import reading, writing
from service.models import Job, State, Sweep
from service.reconcile import Reconciler
from service.settings import Settings
from service.spec.columns import recorded_columns
from service.spec.job import JobSpec
from service.store import history, jobs, sweeps, transitions
from service.store.quality import add_quality
from tests.building import claim_next
from tests.conversation import Announcements, CheckedClient, make_client

RATE, LOSS = "optimizer.generator.lr", "objective.loss"
GRID = {RATE: [1e-4, 2e-4], LOSS: ["saturating", "non_saturating"]}
RING: dict[str, Any] = {"dataset": "ring", "loop": {"max_steps": 100}}
ASHA: dict[str, Any] = {"parameters": {RATE: {"low": 1e-5, "high": 1e-3, "log": True}}, "count": 4, "min_steps": 10}


@pytest.fixture
def client(engine: Engine, announcements: Announcements) -> CheckedClient:
    return make_client(engine, wakeups=announcements, max_live_jobs=10)


def sweep(client: CheckedClient, *, spec: dict[str, Any] = RING, **parts: Any) -> dict[str, Any]:
    answer = client.post("/sweeps", json={"spec": spec, **parts})
    assert answer.status_code == 201, answer.get_json()
    return dict(answer.get_json())


def refusals(client: CheckedClient, *, spec: dict[str, Any] = RING, **parts: Any) -> dict[str, str]:
    """Return the codes of what is wrong with a sweep by their places; nothing of it is stored."""
    answer = client.post("/sweeps", json={"spec": spec, **parts})
    assert answer.status_code == 422, answer.get_json()
    assert client.get("/jobs").get_json()["data"] == client.get("/sweeps").get_json()["data"] == []
    return {fault["pointer"]: fault["code"] for fault in answer.get_json()["errors"]}


def run_all(session: Session) -> list[Job]:
    """Claim every queued job."""
    return [claim_next(session) for _ in transitions.next_claimable(session, devices=["auto"], limit=99)]


def measure(session: Session, job: Job, step: int, coverage: float | None) -> None:
    job = transitions.fence(session, job.id, job.attempt)
    add_quality(session, job, step=step, metrics={"coverage": coverage}, metric="coverage", merit=coverage)


def finish(session: Session, job: Job) -> None:
    transitions.finish(session, job.id, job.attempt, State.SUCCEEDED, reason="max_steps")


def scan(engine: Engine) -> None:
    settings = Settings(_env_file=None)
    Reconciler(engine, make_blobs("memory://"), settings, Wakeups(settings)).scan()


def test_a_grid_is_a_job_for_each_combination(client: CheckedClient, announcements: Announcements) -> None:
    answer = client.post("/sweeps", json={"spec": RING, "grid": GRID, "name": "pairs"})

    made = answer.get_json()
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/sweeps/{made['id']}")
    assert (made["method"], made["metric"], made["goal"], made["status"]) == ("grid", "coverage", "higher", "live")
    assert (made["members"]["total"], made["members"]["queued"]) == (4, 4)
    assert announcements.count == 1
    places = {place["job"]: place for place in made["leaderboard"]["data"]}
    members = client.get("/jobs", query_string={"sweep": made["id"]}).get_json()["data"]
    assert {job["id"] for job in members} == places.keys()
    assert {job["name"] for job in members} == {f"pairs {number}" for number in (1, 2, 3, 4)}
    for job in members:
        assert (job["sweep"], job["resolved_spec"]["resources"]["cohort"]) == (made["id"], "auto")
        rate, loss = job["resolved_spec"]["optimizer"]["generator"]["lr"], job["resolved_spec"]["objective"]["loss"]
        assert places[job["id"]]["parameters"] == {RATE: rate, LOSS: loss}
    assert len({str(place["parameters"]) for place in places.values()}) == 4
    assert client.get("/jobs?sweep=swp_other").get_json()["data"] == []


def test_members_have_one_seed_and_one_set_of_rows_to_be_measured_against(client: CheckedClient) -> None:
    sweep(client, grid={RATE: [1e-4, 2e-4]})
    sweep(client, grid={"seed": [1, 2]}, spec=RING | {"seed": 5})

    seeds = [
        (job["resolved_spec"]["seed"], job["resolved_spec"]["quality"]["split_seed"])
        for job in client.get("/jobs").get_json()["data"]
    ]
    varied, shared = seeds[:2], seeds[2:]
    assert sorted(varied) == [(1, 5), (2, 5)]
    assert len({seed for pair in shared for seed in pair}) == 1


def test_what_the_spec_says_goes_before_what_sweeps_are_used_to(client: CheckedClient) -> None:
    sweep(client, spec=RING | {"resources": {"cohort": "never"}, "name": "mine"}, grid={RATE: [1e-4]}, name="theirs")

    [job] = client.get("/jobs").get_json()["data"]
    assert (job["name"], job["resolved_spec"]["resources"]["cohort"]) == ("mine", "never")


def test_draws_are_told_and_repeated_by_their_seed(client: CheckedClient) -> None:
    parameters = {RATE: {"low": 1e-5, "high": 1e-3, "log": True}, LOSS: {"choices": ["saturating", "hinge"]}}
    search = {"parameters": parameters, "count": 3}

    first = sweep(client, random=search)
    again = sweep(client, random=first["search"])

    values = [sorted(str(place["parameters"]) for place in one["leaderboard"]["data"]) for one in (first, again)]
    assert values[0] == values[1]
    assert again["search"] == first["search"]


def test_every_fault_of_every_member_is_told_at_its_parameter(client: CheckedClient) -> None:
    grid = {RATE: [1e-4, -1.0, "fast"], "loop.max_stepz": [3], "model.generator.width": [8]}

    faults = refusals(client, grid=grid, spec=RING | {"objective": {"loss": "hinge", "label_smoothing": 0.1}})

    assert faults.keys() >= {f"/grid/{RATE}/1", f"/grid/{RATE}/2", "/grid/loop.max_stepz/0"}
    assert refusals(client, grid={RATE: [1e-4]}, spec=RING | {"seeed": 1}) == {"/spec/seeed": "unknown_key"}
    assert refusals(client, grid={RATE: [1e-4]}, spec={"dataset": "rings"}) == {"/spec/dataset": "unknown_name"}
    draws = {"parameters": {"loop.batch_size": {"low": 0, "high": 1}}, "count": 5}
    assert refusals(client, random=draws).keys() == {"/random/parameters/loop.batch_size"}


@pytest.mark.parametrize(
    ("parts", "where"),
    [
        ({}, ""),
        ({"grid": GRID, "random": {"parameters": {RATE: {"choices": [1e-4]}}, "count": 1}}, ""),
        ({"grid": {"dataset": ["ring", "grid"]}}, "/grid/dataset"),
        ({"grid": {"quality.count": [10, 20]}}, "/grid/quality.count"),
        ({"grid": {"objective.r1.initial": [0.1], "objective.r1": [0.5]}}, "/grid/objective.r1.initial"),
        (
            {"random": {"parameters": {RATE: {"low": 0, "high": 1, "step": 1e-300}}, "count": 1}},
            f"/random/parameters/{RATE}",
        ),
        ({"grid": GRID, "metric": "coverag"}, "/metric"),
        ({"grid": GRID, "metric": "frechet"}, "/metric"),
        ({"grid": GRID, "metric": "g_loss"}, "/goal"),
        ({"asha": ASHA | {"min_steps": 100}}, "/asha/min_steps"),
        ({"asha": ASHA | {"count": 2}}, "/asha/count"),
        ({"asha": ASHA, "metric": "g_loss", "goal": "lower"}, "/metric"),
        ({"asha": ASHA, "spec": RING | {"quality": {"every_steps": 3}}}, "/spec/quality/every_steps"),
        ({"asha": ASHA, "metric": "recall", "spec": RING | {"quality": {"metric": "coverage"}}}, "/metric"),
    ],
    ids=str,
)
def test_what_makes_no_sweep_is_refused_by_name(client: CheckedClient, parts: dict[str, Any], where: str) -> None:
    assert where in refusals(client, **parts)


def test_a_sweep_counts_all_its_members_against_the_quota_and_comes_whole_or_not_at_all(client: CheckedClient) -> None:
    sweep(client, grid={"seed": [*range(8)]})

    refused = client.post("/sweeps", json={"spec": RING, "grid": {"seed": [*range(3)]}})

    assert (refused.status_code, refused.get_json()["code"]) == (429, "quota_exceeded")
    assert len(client.get("/jobs").get_json()["data"]) == 8
    assert len(client.get("/sweeps").get_json()["data"]) == 1


def test_an_idempotency_key_makes_one_sweep(client: CheckedClient) -> None:
    body, headers = {"spec": RING, "grid": GRID}, {"Idempotency-Key": "once"}
    first = client.post("/sweeps", json=body, headers=headers)

    again = client.post("/sweeps", json=body, headers=headers)
    other = client.post("/sweeps", json=body | {"name": "other"}, headers=headers)

    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert (again.get_json(), again.headers["Location"]) == (first.get_json(), first.headers["Location"])
    assert other.get_json()["code"] == "idempotency_key_reused"
    assert len(client.get("/jobs").get_json()["data"]) == 4


def test_members_are_ranked_by_their_best_measured_step(engine: Engine, client: CheckedClient) -> None:
    made = sweep(client, grid={"seed": [1, 2, 3]})
    with writing(engine) as session:
        first, second, third = run_all(session)
        for job, step, coverage in ((first, 10, 0.5), (second, 10, 0.7), (second, 20, 0.6)):
            measure(session, job, step, coverage)

    answer = client.get(f"/sweeps/{made['id']}")
    board = answer.get_json()["leaderboard"]

    assert (board["metric"], board["goal"], board["best"]) == ("coverage", "higher", second.id)
    ranks = [(place["rank"], place["job"], place["value"], place["value_step"]) for place in board["data"]]
    assert ranks == [(1, second.id, 0.7, 10), (2, first.id, 0.5, 10), (None, third.id, None, None)]
    assert board["data"][0]["status"] == "running"
    worst = client.get(f"/sweeps/{made['id']}?goal=lower").get_json()["leaderboard"]
    assert (worst["best"], worst["data"][1]["value"]) == (first.id, 0.6)
    headers = {"If-None-Match": answer.headers["ETag"]}
    assert client.get(f"/sweeps/{made['id']}", headers=headers).status_code == 304


def test_members_are_ranked_by_the_last_row_of_a_column_that_has_a_goal(engine: Engine, client: CheckedClient) -> None:
    made = sweep(client, grid={LOSS: ["saturating", "hinge"], "seed": [1, 2]})
    with writing(engine) as session:
        levels = {}
        for level, job in enumerate(run_all(session)):
            columns = recorded_columns(JobSpec.model_validate(job.resolved_spec, strict=False))
            rows = np.full((5, len(columns)), level, np.float32)
            history.append_rows(session, job.id, attempt=job.attempt, first_step=1, columns=columns, rows=rows)
            levels[job.id] = level if "total_loss" in columns else None

    def ranked(goal: str) -> list[tuple[Any, Any]]:
        query = {"metric": "total_loss", "goal": goal}
        board = client.get(f"/sweeps/{made['id']}", query_string=query).get_json()["leaderboard"]
        return [(place["value"], place["value_step"]) for place in board["data"]]

    recorded = sorted(level for level in levels.values() if level is not None)
    assert ranked("lower") == [*((level, 5) for level in recorded), (None, None), (None, None)]
    assert ranked("higher") == [*((level, 5) for level in recorded[::-1]), (None, None), (None, None)]
    assert client.get(f"/sweeps/{made['id']}?metric=total_loss").get_json()["errors"][0]["pointer"] == "goal"
    assert client.get(f"/sweeps/{made['id']}?metric=los").get_json()["errors"][0]["pointer"] == "metric"


def test_asha_has_members_measured_at_every_rung(client: CheckedClient) -> None:
    made = sweep(client, asha=ASHA, metric="recall")

    specs = [job["resolved_spec"] for job in client.get("/jobs").get_json()["data"]]

    assert (made["method"], made["search"]["reduction"], made["metric"]) == ("asha", 3, "recall")
    assert [(spec["quality"]["every_steps"], spec["quality"]["metric"]) for spec in specs] == [(10, "recall")] * 4


def test_who_falls_behind_at_a_rung_is_stopped_once_and_told_why(engine: Engine, client: CheckedClient) -> None:
    made = sweep(client, asha=ASHA)
    with writing(engine) as session:
        jobs = run_all(session)
        for job, coverage in zip(jobs[:2], (0.1, 0.9), strict=True):
            measure(session, job, 10, coverage)
    scan(engine)
    assert client.get(f"/sweeps/{made['id']}").get_json()["members"]["running"] == 4
    with writing(engine) as session:
        measure(session, jobs[2], 10, 0.5)

    for _ in range(3):
        scan(engine)

    statuses = [client.get(f"/jobs/{job.id}").get_json()["status"] for job in jobs]
    assert statuses == ["cancelling", "running", "cancelling", "running"]
    with writing(engine) as session:
        transitions.release(session, jobs[0].id, jobs[0].attempt)
    scan(engine)
    stopped = client.get(f"/jobs/{jobs[0].id}").get_json()
    assert (stopped["status"], stopped["reason"]) == ("cancelled", "outperformed")
    events = client.get(f"/jobs/{jobs[0].id}/events").get_json()["data"]
    [told] = [event for event in events if event["type"] == "outperformed"]
    assert told["message"] == "In place 3 of the 3 members that have reached step 10; one goes on."
    board = client.get(f"/sweeps/{made['id']}").get_json()["leaderboard"]["data"]
    assert (board[2]["job"], board[2]["reason"], board[2]["value"]) == (jobs[0].id, "outperformed", 0.1)


def test_a_member_whose_metric_is_no_number_has_reached_its_rung_and_is_the_worst(
    engine: Engine, client: CheckedClient
) -> None:
    sweep(client, asha=ASHA)
    with writing(engine) as session:
        jobs = run_all(session)
        for job, coverage in zip(jobs, (None, 0.1, 0.2), strict=False):
            measure(session, job, 10, coverage)

    scan(engine)

    statuses = [client.get(f"/jobs/{job.id}").get_json()["status"] for job in jobs]
    assert statuses == ["cancelling", "cancelling", "running", "running"]


def test_a_member_that_waits_is_stopped_at_once(engine: Engine, client: CheckedClient) -> None:
    sweep(client, asha=ASHA)
    with writing(engine) as session:
        jobs = run_all(session)
        for job, coverage in zip(jobs, (0.1, 0.9, 0.5, 0.4), strict=True):
            measure(session, job, 10, coverage)
        transitions.release(session, jobs[0].id, jobs[0].attempt)  # its worker has drained

    scan(engine)

    assert client.get(f"/jobs/{jobs[0].id}").get_json()["reason"] == "outperformed"


def test_an_owner_who_cancels_is_the_reason_even_where_a_worker_was_lost(engine: Engine, client: CheckedClient) -> None:
    sweep(client, asha=ASHA)
    with writing(engine) as session:
        job = claim_next(session)
    client.post(f"/jobs/{job.id}/cancel")
    with writing(engine) as session:
        transitions.release(session, job.id, job.attempt)

    assert client.get(f"/jobs/{job.id}").get_json()["reason"] == "user_request"


def test_a_cancelled_sweep_ends_every_member_that_lives(engine: Engine, client: CheckedClient) -> None:
    made = sweep(client, grid={"seed": [1, 2, 3]})
    with writing(engine) as session:
        finish(session, claim_next(session))
        running = claim_next(session)

    answers = [client.post(f"/sweeps/{made['id']}/cancel") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
    statuses = {place["job"]: place["status"] for place in answers[1].get_json()["leaderboard"]["data"]}
    assert statuses[running.id] == "cancelling"
    assert sorted(statuses.values()) == ["cancelled", "cancelling", "succeeded"]
    assert client.get(f"/sweeps/{made['id']}").get_json()["status"] == "live"


@pytest.mark.parametrize("kept", [True, False])
def test_an_ended_sweep_is_deleted_with_its_members_or_without(
    engine: Engine, client: CheckedClient, kept: bool
) -> None:
    made = sweep(client, grid={"seed": [1, 2]})
    url = f"/sweeps/{made['id']}" + ("?members=keep" if kept else "")
    refused = client.delete(url)
    client.post(f"/sweeps/{made['id']}/cancel")
    assert client.get(f"/sweeps/{made['id']}").get_json()["status"] == "ended"

    assert client.delete(url).status_code == 204

    assert (refused.status_code, refused.get_json()["code"]) == (409, "sweep_is_live")
    assert client.get(f"/sweeps/{made['id']}").status_code == 404
    left = client.get("/jobs").get_json()["data"]
    assert [job["sweep"] for job in left] == [None, None] * kept
    with reading(engine) as session:
        assert session.query(Sweep).count() == 0


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_member_that_is_deleted_meanwhile_holds_up_no_deletion(
    engine: Engine, client: CheckedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = sweep(client, grid={"seed": [1, 2]})
    client.post(f"/sweeps/{made['id']}/cancel")

    def members_of(session: Session, sweep_id: str) -> Any:
        monkeypatch.undo()
        members = sweeps.members_of(session, sweep_id)
        with writing(engine) as another:
            jobs.delete_job(another, another.get_one(Job, members[0].id))
        return members

    monkeypatch.setattr(sweeps, "members_of", members_of)
    deleted = client.delete(f"/sweeps/{made['id']}")

    assert deleted.status_code == 204
    assert client.get("/jobs").get_json()["data"] == []


def test_a_deleted_member_leaves_the_leaderboard_and_the_sweep_stays(client: CheckedClient) -> None:
    made = sweep(client, grid={"seed": [1, 2]})
    gone, left = (place["job"] for place in made["leaderboard"]["data"])
    client.post(f"/jobs/{gone}/cancel")
    client.delete(f"/jobs/{gone}")

    assert [place["job"] for place in client.get(f"/sweeps/{made['id']}").get_json()["leaderboard"]["data"]] == [left]


def test_sweeps_are_listed_newest_first_by_pages(client: CheckedClient) -> None:
    made = [sweep(client, grid={"seed": [seed]})["id"] for seed in (1, 2, 3)]

    page = client.get("/sweeps?limit=2").get_json()
    rest = client.get("/sweeps", query_string={"cursor": page["next_cursor"]}).get_json()

    assert [each["id"] for each in page["data"] + rest["data"]] == made[::-1]
    assert page["data"][0]["members"]["queued"] == 1


def test_nobody_sees_the_sweeps_of_others(engine: Engine, client: CheckedClient) -> None:
    with writing(engine) as session:
        made = sweep_of_another(session)

    for answer in (
        client.get(f"/sweeps/{made}"),
        client.post(f"/sweeps/{made}/cancel"),
        client.delete(f"/sweeps/{made}"),
    ):
        assert answer.status_code == 404
    assert client.get("/sweeps").get_json()["data"] == []


def sweep_of_another(session: Session) -> str:
    from service.clock import now
    from service.ids import make_id
    from service.store.keys import create_key

    key, _ = create_key(session, owner_name="another", name="theirs", scope="submit")
    facts: dict[str, Any] = {"search": {}, "spec": {}, "metric": "coverage", "goal": "higher", "created_at": now()}
    row = Sweep(id=make_id("swp"), owner_id=key.owner_id, name=None, method="grid", **facts)
    session.add(row)
    return row.id
