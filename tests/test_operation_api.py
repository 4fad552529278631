"""How the service is, over HTTP: catalogue, health, workers, queue, limits, metrics."""

from importlib.metadata import version

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, text

from service.db import writing
from service.spec.architectures import ARCHITECTURES
from service.spec.columns import COLUMNS
from service.spec.datasets import DATASETS
from service.spec.regularizers import REGULARIZERS
from service.store.workers import beat_worker, register_worker
from tests.building import add_job, add_running_job
from tests.conversation import CheckedClient, make_client


@pytest.fixture
def client(engine: Engine) -> CheckedClient:
    return make_client(engine)


@pytest.fixture
def worker(engine: Engine) -> str:
    """A worker of three slots, one of them busy."""
    with writing(engine) as session:
        register_worker(
            session, worker_id="host:1:a", device="cpu", slots=3, version="0.1.0", facts={"torch": "2.13.0"}
        )
        session.flush()
        beat_worker(session, "host:1:a", busy=1)
    return "host:1:a"


def test_health_and_readiness_name_the_version(client: CheckedClient) -> None:
    health, ready = client.get("/healthz").get_json(), client.get("/readyz").get_json()

    assert health == {"status": "ok", "version": version("ganymede-gan")}
    assert (ready["status"], ready["version"]) == ("ready", version("ganymede-gan"))
    assert ready["schema_revision"]


def test_the_catalogue_lists_everything_a_spec_may_name(client: CheckedClient) -> None:
    catalog = client.get("/catalog").get_json()

    names = {kind: [entry["name"] for entry in entries] for kind, entries in catalog.items()}
    assert names["datasets"] == list(DATASETS)
    assert names["columns"] == list(COLUMNS)
    assert names["loops"] == ["original", "reuse", "fused"]
    assert {"mlp", "dcgan"} <= set(names["architectures"])
    for dataset in names["datasets"]:
        assert client.post("/jobs?dry_run=true", json={"dataset": dataset}).status_code == 200
    for architecture in names["architectures"]:
        fits = next(name for name, data in DATASETS.items() if data.modality in ARCHITECTURES[architecture].modalities)
        spec = {"dataset": fits, "model": {"architecture": architecture}}
        assert client.post("/jobs?dry_run=true", json=spec).status_code == 200
    assert names["regularizers"] == list(REGULARIZERS)
    for optimizer in names["optimizers"]:
        spec = {"dataset": "digits", "optimizer": {"generator": {"name": optimizer}}}
        assert client.post("/jobs?dry_run=true", json=spec).status_code == 200
    for objective in names["objectives"]:
        spec = {"dataset": "digits", "objective": {"loss": objective}}
        assert client.post("/jobs?dry_run=true", json=spec).status_code == 200


def test_the_catalogue_tells_objectives_with_formulas_and_equilibrium(client: CheckedClient) -> None:
    objectives = {entry["name"]: entry for entry in client.get("/catalog").get_json()["objectives"]}

    assert objectives["non_saturating"]["generator"] == "-E log D(G(z))"
    assert objectives["non_saturating"]["equilibrium"]["d_loss"] == pytest.approx(1.386294, abs=1e-6)
    assert objectives["saturating"]["equilibrium"]["g_loss"] == pytest.approx(-0.693147, abs=1e-6)


def test_workers_and_the_queue_tell_slots_and_jobs(engine: Engine, client: CheckedClient, worker: str) -> None:
    add_running_job(engine)
    with writing(engine) as session:
        add_job(session)
        add_job(session)

    seen = client.get("/workers").get_json()["data"]
    queue = client.get("/queue").get_json()

    assert [(row["id"], row["slots"], row["busy"], row["facts"]) for row in seen] == [
        (worker, 3, 1, {"torch": "2.13.0"})
    ]
    assert queue == {"queued": 2, "running": 1, "paused": 0, "slots": 3, "busy": 1}


def test_limits_tell_what_is_allowed_and_used(engine: Engine) -> None:
    client = make_client(engine, max_live_jobs=7, body_bytes=4096)
    add_running_job(engine)

    limits = client.get("/limits").get_json()

    assert (limits["max_live_jobs"], limits["live_jobs"], limits["body_bytes"]) == (7, 1, 4096)


def test_metrics_count_requests_by_route_and_jobs_by_state(engine: Engine, client: CheckedClient, worker: str) -> None:
    job_id, _ = add_running_job(engine)
    client.get(f"/jobs/{job_id}")
    client.get(f"/jobs/{job_id}")
    client.get("/nowhere/at/all")

    text = client.get("/metrics").text

    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["ganymede_requests_total", "/jobs/<job_id>", "200", "GET"] == 2
    assert samples["ganymede_requests_total", "404", "GET", "unknown"] == 1
    assert samples["ganymede_jobs", "running"] == 1
    assert samples["ganymede_slots",] == 3
    assert job_id not in text


@pytest.mark.parametrize("path", ["/jobs", "/workers", "/catalog", "/schema/job", "/openapi.json", "/static/docs.js"])
def test_what_a_client_has_is_not_sent_again(client: CheckedClient, path: str) -> None:
    tag = client.get(path).headers["ETag"]

    again = client.get(path, headers={"If-None-Match": tag})

    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize("path", ["/jobs", "/healthz", "/catalog", "/metrics"])
def test_head_is_get_without_the_body(client: CheckedClient, path: str) -> None:
    answer = client.head(path)

    assert (answer.status_code, answer.data) == (200, b"")


def test_the_schema_of_a_job_is_a_schema(client: CheckedClient) -> None:
    answer = client.get("/schema/job")

    assert answer.mimetype == "application/schema+json"
    assert answer.get_json()["required"] == ["dataset"]


def test_an_outdated_schema_is_not_ready(engine: Engine, client: CheckedClient) -> None:
    with writing(engine) as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0000'"))

    answer = client.get("/readyz")

    assert (answer.status_code, answer.get_json()["code"]) == (503, "database_unavailable")
    assert "ganymede migrate" in answer.get_json()["detail"]


def test_workers_come_in_pages(engine: Engine, client: CheckedClient) -> None:
    with writing(engine) as session:
        for name in ("a", "b", "c"):
            register_worker(session, worker_id=name, device="cpu", slots=1, version="1", facts={})

    first = client.get("/workers?limit=2").get_json()
    last = client.get(f"/workers?limit=2&cursor={first['next_cursor']}").get_json()

    assert [worker["id"] for worker in first["data"] + last["data"]] == ["a", "b", "c"]
    assert (first["has_more"], last["has_more"]) == (True, False)
