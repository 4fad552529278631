"""Jobs over HTTP: create, find, wait, change, cancel, pause, resume, delete."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from service.admission import admit_job, digest_of
from service.db import writing
from service.errors import NotFound
from service.models import Desired, Job, State
from service.store import transitions
from service.store.keys import LOCAL_OWNER, lock_owner
from service.web import Caller
from tests.building import add_running_job
from tests.conversation import Announcements, CheckedClient, make_client

RING = {"dataset": "ring", "loop": {"max_steps": 300}}


@pytest.fixture
def client(engine: Engine, announcements: Announcements) -> CheckedClient:
    return make_client(engine, wakeups=announcements)


def post(client: CheckedClient, **spec: object) -> str:
    return str(client.post("/jobs", json={**RING, **spec}).get_json()["id"])


def flush(engine: Engine, job_id: str, attempt: int, step: int) -> None:
    losses = {"step": step, "d_loss": 1.25, "g_loss": None}
    progress = transitions.Progress(step, step * 64, 1.5, 250.0, losses)
    with writing(engine) as session:
        transitions.flush(session, job_id, attempt, progress)


def test_a_posted_job_is_queued_announced_and_found_again(client: CheckedClient, announcements: Announcements) -> None:
    created = client.post("/jobs", json={"dataset": "digits", "name": "first", "labels": {"study": "fused"}})
    found = client.get(created.headers["Location"])

    assert created.status_code == 201
    assert announcements.count == 1
    assert found.get_json() == created.get_json()
    job = found.get_json()
    assert (job["status"], job["queue_position"], job["attempt"], job["version"]) == ("queued", 1, 0, 1)
    assert job["spec"] == {"dataset": "digits", "name": "first", "labels": {"study": "fused"}}
    assert job["labels"] == {"study": "fused"}
    assert job["resolved_spec"]["dataset"]["sha256"].startswith("f6d9e39f")
    assert isinstance(job["resolved_spec"]["seed"], int)
    assert job["created_at"].endswith("Z")
    nouns = ("losses", "samples", "checkpoints", "quality", "events", "diagnosis", "log")
    assert [client.get(job["links"][noun]).status_code for noun in nouns] == [200] * 7


def test_a_resolved_spec_posted_again_resolves_to_itself(client: CheckedClient) -> None:
    first = client.post("/jobs", json={"dataset": "digits"}).get_json()

    again = client.post("/jobs", json=first["resolved_spec"]).get_json()

    assert again["resolved_spec"] == first["resolved_spec"]


def test_a_dry_run_sizes_a_job_and_stores_nothing(client: CheckedClient, announcements: Announcements) -> None:
    plan = client.post("/jobs?dry_run=true", json=RING)

    assert plan.status_code == 200
    assert plan.get_json()["resolved_spec"]["loop"]["max_steps"] == 300
    assert plan.get_json()["estimate"]["generator_parameters"] > 0
    assert client.get("/jobs").get_json()["data"] == []
    assert announcements.count == 0


def test_an_idempotency_key_gives_the_first_answer_again(client: CheckedClient) -> None:
    headers = {"Idempotency-Key": "once"}

    first = client.post("/jobs", json=RING, headers=headers)
    again = client.post("/jobs", json=dict(reversed(RING.items())), headers=headers)
    other = client.post("/jobs", json={"dataset": "moons"}, headers=headers)

    assert again.status_code == 201
    assert again.data == first.data
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert other.status_code == 409
    assert other.get_json()["code"] == "idempotency_key_reused"
    assert len(client.get("/jobs").get_json()["data"]) == 1


def test_parallel_posts_with_one_key_make_one_job(client: CheckedClient) -> None:
    def submit(_: int) -> str:
        own = client.application.test_client()
        return str(own.post("/jobs", json=RING, headers={"Idempotency-Key": "k"}).get_json()["id"])

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(submit, range(16)))

    assert len(ids) == 1


def test_a_key_out_of_bounds_is_refused(client: CheckedClient) -> None:
    answer = client.post("/jobs", json=RING, headers={"Idempotency-Key": "x" * 256})

    assert (answer.status_code, answer.get_json()["errors"][0]["pointer"]) == (422, "Idempotency-Key")


def test_more_live_jobs_than_the_limit_are_refused(engine: Engine) -> None:
    client = make_client(engine, max_live_jobs=1)
    post(client)

    answer = client.post("/jobs", json=RING)

    assert (answer.status_code, answer.get_json()["retryable"]) == (429, True)
    assert int(answer.headers["Retry-After"]) > 0


def test_an_owner_who_posts_many_jobs_at_once_gets_no_more_than_the_limit(engine: Engine) -> None:
    client = make_client(engine, max_live_jobs=2)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: client.application.test_client().post("/jobs", json=RING), range(6)))

    assert sorted(answer.status_code for answer in answers) == [201] * 2 + [429] * 4


def test_parallel_posts_with_one_key_share_the_last_free_place(engine: Engine) -> None:
    client = make_client(engine, max_live_jobs=1)

    def submit(_: int) -> tuple[int, str]:
        own = client.application.test_client()
        answer = own.post("/jobs", json=RING, headers={"Idempotency-Key": "k"})
        return answer.status_code, answer.get_json().get("id")

    with ThreadPoolExecutor(4) as pool:
        with writing(engine) as session:
            lock_owner(session, LOCAL_OWNER)
            submitted = pool.map(submit, range(4))
            time.sleep(0.5)  # until all have looked for an answer where others may write, and wait for the place
        answers = set(submitted)

    other = client.post("/jobs", json=RING, headers={"Idempotency-Key": "another"})
    assert len(answers) == 1
    assert answers.pop()[0] == 201
    assert other.status_code == 429


def test_a_repeat_gets_the_first_answer_though_what_it_was_made_of_is_gone_since(engine: Engine) -> None:
    client = make_client(engine)
    headers = {"Idempotency-Key": "k"}
    first = client.post("/jobs", json=RING, headers=headers)

    def create(_: Session) -> Job:
        raise NotFound("checkpoint", "20 any more")

    with client.application.test_request_context("/jobs", headers=headers):
        web = client.application.extensions["web"]
        repeated = admit_job(web, Caller(LOCAL_OWNER, "submit"), digest_of(RING), create)
        with pytest.raises(NotFound):
            admit_job(web, Caller("own_other", "submit"), digest_of(RING), create)

    assert (repeated.status_code, repeated.get_json()) == (201, first.get_json())
    assert repeated.headers["Idempotent-Replayed"] == "true"


def test_pages_follow_each_other_by_cursor_and_link(client: CheckedClient) -> None:
    ids = [post(client) for _ in range(5)]

    first = client.get("/jobs?limit=2")
    second = client.get(first.headers["Link"].partition(">")[0].lstrip("<"))
    last = client.get("/jobs", query_string={"limit": 2, "cursor": second.get_json()["next_cursor"]})

    pages = [[job["id"] for job in page.get_json()["data"]] for page in (first, second, last)]
    assert pages == [ids[:2:-1], ids[2:0:-1], ids[:1]]
    assert [page.get_json()["has_more"] for page in (first, second, last)] == [True, True, False]
    assert "Link" not in last.headers


def test_jobs_are_found_by_status_label_and_words(client: CheckedClient) -> None:
    one = post(client, name="Circle of eight", labels={"study": "a", "who": "me"})
    two = post(client, name="100%", labels={"study": "a"})
    client.post(f"/jobs/{two}/cancel")

    def find(query: str) -> list[str]:
        return [job["id"] for job in client.get(f"/jobs?{query}").get_json()["data"]]

    assert find("status=queued") == [one]
    assert find("status=cancelled") == [two]
    assert find("label=study:a") == [two, one]
    assert find("label=study:a&label=who:me") == [one]
    assert find("q=circle") == [one]
    assert find("q=%25") == [two]
    assert find(f"q={one[-8:]}") == [one]


def test_a_running_job_shows_progress_speed_and_losses(engine: Engine, client: CheckedClient) -> None:
    job_id, attempt = add_running_job(engine, loop={"max_steps": 1000})
    flush(engine, job_id, attempt, step=250)

    job = client.get(f"/jobs/{job_id}").get_json()

    assert job["status"] == "running"
    assert job["worker"] == "worker-1"
    assert job["progress"] == {
        "step": 250,
        "max_steps": 1000,
        "fraction": 0.25,
        "steps_per_second": 250.0,
        "eta_seconds": 3.0,
        "samples_seen": 16000,
    }
    assert job["losses"] == {"step": 250, "d_loss": 1.25, "g_loss": None}


def test_a_wait_ends_with_the_next_change(engine: Engine, client: CheckedClient) -> None:
    job_id, attempt = add_running_job(engine)
    version = client.get(f"/jobs/{job_id}").get_json()["version"]
    threading.Timer(0.3, flush, (engine, job_id, attempt, 10)).start()

    began = time.monotonic()
    job = client.get(f"/jobs/{job_id}?wait=20&since={version}").get_json()

    assert job["progress"]["step"] == 10
    assert 0.2 < time.monotonic() - began < 5


def test_a_wait_for_a_version_that_passed_or_a_job_that_ended_is_no_wait(client: CheckedClient) -> None:
    job_id = post(client)
    began = time.monotonic()

    client.get(f"/jobs/{job_id}?wait=20&since=0")
    client.post(f"/jobs/{job_id}/cancel")
    client.get(f"/jobs/{job_id}?wait=20")

    assert time.monotonic() - began < 5


def test_a_wait_ends_when_its_time_is_up_or_the_process_stops(client: CheckedClient) -> None:
    job_id = post(client)
    began = time.monotonic()

    timed_out = client.get(f"/jobs/{job_id}?wait=0.4")
    client.application.extensions["web"].long_polls.stop()
    stopped = client.get(f"/jobs/{job_id}?wait=20")

    assert (timed_out.status_code, stopped.status_code) == (200, 200)
    assert 0.3 < time.monotonic() - began < 5


def test_waiting_clients_leave_threads_for_the_others(engine: Engine) -> None:
    client = make_client(engine, web_threads=2)
    job_id = post(client)
    waiting = threading.Thread(target=lambda: client.application.test_client().get(f"/jobs/{job_id}?wait=2"))
    waiting.start()
    time.sleep(0.3)

    began = time.monotonic()
    client.get(f"/jobs/{job_id}?wait=20")

    assert time.monotonic() - began < 1.5
    waiting.join()


def test_a_client_that_is_up_to_date_gets_no_body(client: CheckedClient) -> None:
    job_id = post(client)
    tag = client.get(f"/jobs/{job_id}").headers["ETag"]

    same = client.get(f"/jobs/{job_id}", headers={"If-None-Match": tag})
    client.patch(f"/jobs/{job_id}", json={"name": "new"})
    changed = client.get(f"/jobs/{job_id}", headers={"If-None-Match": tag})

    assert (same.status_code, same.data) == (304, b"")
    assert changed.status_code == 200


def test_name_labels_priority_and_max_steps_change(client: CheckedClient) -> None:
    job_id = post(client, labels={"old": "1"})

    changed = client.patch(
        f"/jobs/{job_id}", json={"name": "n", "labels": {"new": "2"}, "priority": 3, "max_steps": 500}
    ).get_json()

    assert (changed["name"], changed["labels"], changed["priority"]) == ("n", {"new": "2"}, 3)
    assert changed["progress"]["max_steps"] == changed["resolved_spec"]["loop"]["max_steps"] == 500
    assert changed["resolved_spec"]["optimizer"]["generator"]["schedule"]["horizon_steps"] == 300
    assert client.patch(f"/jobs/{job_id}", json={"name": None}).get_json()["name"] is None
    *_, moved, renamed = [each["message"] for each in client.get(f"/jobs/{job_id}/events").get_json()["data"]]
    assert "that of the generator is 0 after step 300, that of the discriminator is 0 after step 300." in moved
    assert renamed == "Changed name."


@pytest.mark.parametrize("change", [{"max_steps": 0}, {"priority": None}, {"seed": 3}, {"labels": {"": "x"}}])
def test_a_bad_change_is_refused_whole(client: CheckedClient, change: dict[str, object]) -> None:
    job_id = post(client)

    answer = client.patch(f"/jobs/{job_id}", json={"name": "never", **change})

    assert answer.status_code == 422
    assert client.get(f"/jobs/{job_id}").get_json()["name"] is None


def test_max_steps_cannot_fall_below_the_step_nor_change_after_the_end(engine: Engine, client: CheckedClient) -> None:
    job_id, attempt = add_running_job(engine)
    flush(engine, job_id, attempt, step=50)

    below = client.patch(f"/jobs/{job_id}", json={"max_steps": 49})
    with writing(engine) as session:
        transitions.finish(session, job_id, attempt, State.SUCCEEDED, reason="max_steps")
    late = client.patch(f"/jobs/{job_id}", json={"max_steps": 5000})

    assert (below.status_code, below.get_json()["errors"][0]["allowed"]) == (422, {"minimum": 50})
    assert (late.status_code, late.get_json()["code"]) == (409, "job_is_terminal")


def test_a_job_that_ran_past_a_lowered_max_steps_has_no_time_left(engine: Engine, client: CheckedClient) -> None:
    job_id, attempt = add_running_job(engine)
    client.patch(f"/jobs/{job_id}", json={"max_steps": 10})

    flush(engine, job_id, attempt, step=500)
    progress = client.get(f"/jobs/{job_id}").get_json()["progress"]

    assert (progress["step"], progress["max_steps"], progress["fraction"], progress["eta_seconds"]) == (500, 10, 1, 0)


def test_a_queued_job_is_cancelled_at_once_and_again_and_can_be_deleted(client: CheckedClient) -> None:
    job_id = post(client)

    alive = client.delete(f"/jobs/{job_id}")
    cancelled = client.post(f"/jobs/{job_id}/cancel")
    again = client.post(f"/jobs/{job_id}/cancel")
    deleted = client.delete(f"/jobs/{job_id}")

    assert (alive.status_code, alive.get_json()["code"]) == (409, "job_is_live")
    assert (cancelled.status_code, cancelled.get_json()["status"]) == (202, "cancelled")
    assert again.status_code == 202
    assert (deleted.status_code, deleted.data) == (204, b"")
    assert client.get(f"/jobs/{job_id}").status_code == 404


def test_a_running_job_is_asked_and_follows_later(engine: Engine, client: CheckedClient) -> None:
    job_id, attempt = add_running_job(engine)

    pausing = client.post(f"/jobs/{job_id}/pause").get_json()["status"]
    resumed = client.post(f"/jobs/{job_id}/resume").get_json()["status"]
    cancelling = client.post(f"/jobs/{job_id}/cancel").get_json()["status"]
    too_late = client.post(f"/jobs/{job_id}/resume")

    assert (pausing, resumed, cancelling) == ("pausing", "running", "cancelling")
    assert (too_late.status_code, too_late.get_json()["code"]) == (409, "job_is_cancelling")
    with writing(engine) as session:
        assert transitions.fence(session, job_id, attempt).desired == Desired.CANCEL


def test_a_checkpoint_is_asked_of_a_running_job_alone(engine: Engine, client: CheckedClient) -> None:
    waiting, (running, _) = post(client, priority=-1), add_running_job(engine, priority=5)
    url = f"/jobs/{running}/checkpoints"

    first, second = client.post(url), client.post(url)
    early = client.post(f"/jobs/{waiting}/checkpoints")
    client.post(f"/jobs/{running}/cancel")
    late = client.post(url)

    assert [answer.status_code for answer in (first, second, early, late)] == [202, 202, 409, 409]
    assert [early.get_json()["code"], late.get_json()["code"]] == ["job_is_not_running", "job_is_cancelling"]
    notes = [event for event in client.get(f"/jobs/{running}/events").get_json()["data"] if event["type"] == "note"]
    assert len(notes) == 1


def test_pause_and_resume_of_a_waiting_job(client: CheckedClient, announcements: Announcements) -> None:
    job_id = post(client)

    paused = client.post(f"/jobs/{job_id}/pause").get_json()
    queued = client.post(f"/jobs/{job_id}/resume").get_json()

    assert (paused["status"], paused["queue_position"], queued["status"]) == ("paused", None, "queued")
    assert announcements.count == 2


@pytest.mark.parametrize(("state", "reason"), [(State.SUCCEEDED, "max_steps"), (State.FAILED, "diverged")])
@pytest.mark.parametrize("wish", ["cancel", "pause", "resume"])
def test_nothing_is_asked_of_a_finished_job(
    engine: Engine, client: CheckedClient, state: State, reason: str, wish: str
) -> None:
    job_id, attempt = add_running_job(engine)
    with writing(engine) as session:
        transitions.finish(
            session, job_id, attempt, state, reason=reason, error_code=reason, error_message="d_loss at step 7"
        )

    answer = client.post(f"/jobs/{job_id}/{wish}")

    assert answer.status_code == 409
    assert state.value in answer.get_json()["detail"]
    assert client.get(f"/jobs/{job_id}").get_json()["error"] == {"code": reason, "message": "d_loss at step 7"}


def test_events_and_log_tell_the_same_in_order(client: CheckedClient) -> None:
    job_id = post(client)
    client.post(f"/jobs/{job_id}/pause")
    client.post(f"/jobs/{job_id}/resume")

    events = client.get(f"/jobs/{job_id}/events").get_json()["data"]
    later = client.get(f"/jobs/{job_id}/events?after=1&limit=1").get_json()
    log = client.get(f"/jobs/{job_id}/log?after=1").text

    assert [(event["seq"], event["type"]) for event in events] == [(1, "created"), (2, "paused"), (3, "queued")]
    assert ([event["seq"] for event in later["data"]], later["has_more"]) == ([2], True)
    assert [line.split()[0] for line in log.splitlines()] == ["2", "3"]
    assert f"2 {events[1]['at']} attempt 0 paused: Paused." in log
