"""The diagnosis over HTTP: before, while and after a job trains."""

import math
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from service.db import reading, writing
from service.models import Job
from service.spec.columns import recorded_columns
from service.spec.health import RULES
from tests.building import add_running_job
from tests.conversation import CheckedClient, make_client
from worker.attempt import Attempt
from worker.gan.diagnosis.case import Finding
from worker.gan.diagnosis.checkup import Checkup
from worker.gan.diagnosis.doctor import Change, Doctor, Standing
from worker.gan.files import write_state
from worker.treatment import diagnosis_row, event_row


@pytest.fixture
def client(engine: Engine) -> CheckedClient:
    return make_client(engine)


def rules_of(client: CheckedClient, job_id: str) -> dict[str, dict[str, Any]]:
    return {rule["rule"]: rule for rule in client.get(f"/jobs/{job_id}/diagnosis").get_json()["rules"]}


def test_before_the_first_check_up_nothing_is_raised(client: CheckedClient) -> None:
    job_id = client.post("/jobs", json={"dataset": "ring", "objective": {"loss": "hinge"}}).get_json()["id"]

    answer = client.get(f"/jobs/{job_id}/diagnosis").get_json()

    assert (answer["step"], answer["rollbacks"], answer["rate_factor"]) == (0, 0, 1.0)
    assert [rule["rule"] for rule in answer["rules"]] == list(RULES)
    states = {rule["rule"]: rule["state"] for rule in answer["rules"]}
    assert (states["collapse"], states["saturation"]) == ("healthy", "not_applicable")
    actions = {rule["rule"]: rule["action"] for rule in answer["rules"]}
    assert actions == {rule: "rollback" if rule == "divergence" else "warn" for rule in RULES}


def test_a_raised_rule_shows_its_evidence_and_its_remedy(client: CheckedClient, engine: Engine) -> None:
    job_id, _ = add_running_job(engine, objective={"loss": "saturating"})
    finding = {"first_step": 101, "last_step": 150, "numbers": {"d_fake": 0.004}}
    standing = {"state": "raised", "since_step": 150, "finding": finding}
    with writing(engine) as session:
        job = session.get_one(Job, job_id)
        job.diagnosis = {"past": {}, "rules": {"saturation": standing}}
        change = Change("saturation", Standing("raised", 150, Finding(**finding)))  # type: ignore[arg-type]
        event_row(change, None)(session, job)

    saturation = rules_of(client, job_id)["saturation"]

    assert (saturation["state"], saturation["since_step"], saturation["evidence"]) == ("raised", 150, finding)
    assert "objective.loss to non_saturating" in saturation["advice"]
    event = client.get(f"/jobs/{job_id}/events").get_json()["data"][-1]
    assert event["type"] == "diagnosis"
    assert event["data"] == {"rule": "saturation", "state": "raised", "step": 150, "evidence": finding}
    assert "d_fake 0.004" in event["message"]


def test_numbers_that_are_not_finite_are_null(client: CheckedClient, engine: Engine) -> None:
    job_id, _ = add_running_job(engine)
    with reading(engine) as session:
        spec = Attempt.of(session.get_one(Job, job_id), None).spec
    columns = recorded_columns(spec)
    doctor = Doctor(spec, columns, has_held_out=False)
    doctor.see(np.full((400, len(columns)), 0.5))
    overflown = {"diversity": math.inf, "coverage": math.nan, "distance": math.inf, "fooled": math.nan, "memory": None}

    changes = [change for step in (350, 400) for change in doctor.judge(Checkup(step, **overflown), {})]
    with writing(engine) as session:
        job = session.get_one(Job, job_id)
        diagnosis_row(doctor.record())(session, job)
        for change in changes:
            event_row(change, None)(session, job)

    blind = rules_of(client, job_id)["discriminator_blind"]
    assert (blind["state"], blind["evidence"]["numbers"]) == (
        "raised",
        {"d_real": 0.5, "d_fake": 0.5, "distance": None},
    )
    event = client.get(f"/jobs/{job_id}/events").get_json()["data"][-1]
    assert event["data"]["evidence"]["numbers"]["distance"] is None
    assert "distance not finite" in event["message"]
    assert write_state(doctor.state())


def test_an_unknown_action_is_refused_by_its_name(client: CheckedClient) -> None:
    answer = client.post("/jobs", json={"dataset": "ring", "health": {"on_collapse": "panic", "on_colapse": "warn"}})

    assert answer.status_code == 422
    assert {fault["pointer"] for fault in answer.get_json()["errors"]} == {"/health/on_collapse", "/health/on_colapse"}


def test_the_diagnosis_of_a_job_that_is_not_there_is_not_found(client: CheckedClient) -> None:
    assert client.get("/jobs/job_unknown/diagnosis").status_code == 404
