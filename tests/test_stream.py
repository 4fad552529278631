"""The stream of a job over HTTP, on both databases."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from service.db import reading, writing
from service.models import Flush, Job, State
from service.store import history, keys, transitions
from service.store.checkpoints import get_checkpoint
from service.store.jobs import delete_job, patch_job
from service.store.stream import MOST_STEPS, add_flush
from service.store.transitions import Progress
from tests.building import LIMITS, add_job, add_running_job, claim_next, save_checkpoint
from tests.conversation import CheckedClient, make_client
from tests.house import wait_until
from tests.watching import Message, read_events, read_lines, told_history

COLUMNS = ("d_loss", "g_loss")
LINES = {"Accept": "application/x-ndjson"}


@contextmanager
def a_service(engine: Engine, **settings: Any) -> Iterator[CheckedClient]:
    """Yield a client of an application whose streams end with the block."""
    client = make_client(engine, **settings)
    yield client
    client.application.extensions["web"].streams.stop()


@pytest.fixture
def client(engine: Engine) -> Iterator[CheckedClient]:
    with a_service(engine) as client:
        yield client


def take_steps(engine: Engine, job_id: str, first: int, last: int, *, checkpoint: bool = False) -> None:
    """Let the running attempt of a job flush steps, and save itself after the last; its number is in the losses."""
    with writing(engine) as session:
        job = session.get_one(Job, job_id)
        progress = Progress(last, last * 64, last / 100, 100.0, {"step": last})
        transitions.flush(session, job_id, job.attempt, progress)
        rows = np.array([[step, job.attempt] for step in range(first, last + 1)], np.float32)
        history.append_rows(session, job_id, attempt=job.attempt, first_step=first, columns=COLUMNS, rows=rows)
        add_flush(session, job, first_step=first, last_step=last, progress=progress)
        if checkpoint:
            save_checkpoint(session, job, last)


def finish(engine: Engine, job_id: str) -> None:
    with writing(engine) as session:
        attempt = session.get_one(Job, job_id).attempt
        transitions.finish(session, job_id, attempt, State.SUCCEEDED, reason="max_steps")


def add_finished_job(engine: Engine) -> str:
    """Store a job that took three steps, saved them, took three more, was lost, and took them again."""
    job_id, attempt = add_running_job(engine)
    take_steps(engine, job_id, 1, 3, checkpoint=True)
    take_steps(engine, job_id, 4, 6)
    with writing(engine) as session:
        transitions.lose(session, job_id, attempt, reason="worker_lost", message="Gone.", limits=LIMITS)
        transitions.end_hold(session, job_id, attempt)
    with writing(engine) as session:
        claim_next(session, resume_from=get_checkpoint(session, job_id, "latest"))
    take_steps(engine, job_id, 4, 5)
    take_steps(engine, job_id, 6, 6)
    finish(engine, job_id)
    return job_id


def watch(client: CheckedClient, job_id: str, after: int | None = 0) -> list[Message]:
    """Return the stream of a job that has ended, as lines."""
    query = "" if after is None else f"?after={after}"
    return read_lines(client.get(f"/jobs/{job_id}/stream{query}", headers=LINES).data)


class Reader:
    """Reads a stream in a thread while it goes on."""

    def __init__(self, answer: TestResponse) -> None:
        self.text = b""
        self.has_ended = threading.Event()
        self._pieces: Iterator[bytes] = answer.iter_encoded()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for piece in self._pieces:
            self.text += piece
        self.has_ended.set()

    def wait_for(self, count: int) -> list[Message]:
        wait_until(lambda: len(read_lines(self.text)) >= count, f"{count} messages", within_s=30)
        return read_lines(self.text)


def test_a_stream_tells_everything_once_and_in_order(client: CheckedClient, engine: Engine) -> None:
    job_id = add_finished_job(engine)

    messages = watch(client, job_id)

    assert [message.id for message in messages] == list(range(1, len(messages) + 1))
    assert [message.event for message in messages] == [
        *["status", "status", "losses", "progress", "checkpoint", "losses", "progress"],  # up to the loss
        *["status", "status", "rollback", "status", "losses", "progress", "losses", "progress", "status"],
    ]
    statuses = [message.data["status"] for message in messages if message.event == "status"]
    assert statuses == ["queued", "running", "running", "queued", "running", "succeeded"]
    progress = messages[3].data
    assert (progress["step"], progress["samples_seen"], progress["steps_per_second"]) == (3, 192, 100.0)
    with reading(engine) as session:
        assert session.get_one(Job, job_id).event_seq == len(messages)


def test_the_losses_of_a_stream_are_those_of_the_history(client: CheckedClient, engine: Engine) -> None:
    job_id = add_finished_job(engine)

    messages = watch(client, job_id)

    rows = told_history(messages)
    assert [(row["step"], row["d_loss"], row["g_loss"]) for row in rows.values()] == [
        (step, step, 1 if step <= 3 else 2) for step in range(1, 7)
    ]
    void = next(message for message in messages if message.data.get("from_step") == 4)
    assert void.data["columns"] == {"step": [], "d_loss": [], "g_loss": []}  # they were taken back since
    rollback = next(message for message in messages if message.event == "rollback")
    assert (rollback.data["to_step"], rollback.data["attempt"]) == (3, 2)


def test_whoever_saw_the_steps_that_were_rolled_back_is_told_so(client: CheckedClient, engine: Engine) -> None:
    job_id, attempt = add_running_job(engine)
    take_steps(engine, job_id, 1, 3)
    with client.get(f"/jobs/{job_id}/stream?after=0", headers=LINES) as answer:
        reader = Reader(answer)
        reader.wait_for(4)
        with writing(engine) as session:
            transitions.release(session, job_id, attempt)
            claim_next(session)

        take_steps(engine, job_id, 1, 2)

        messages = reader.wait_for(9)
        finish(engine, job_id)
    assert [message.data["columns"]["step"] for message in messages if message.event == "losses"] == [[1, 2, 3], [1, 2]]
    assert {step: row["g_loss"] for step, row in told_history(messages).items()} == {1: 2, 2: 2}


def test_from_any_place_on_a_stream_tells_the_rest(client: CheckedClient, engine: Engine) -> None:
    job_id = add_finished_job(engine)
    whole = watch(client, job_id)

    for place in range(len(whole)):
        given = {"Last-Event-ID": str(place)}  # as a browser comes back to the address that it first opened
        events = client.get(f"/jobs/{job_id}/stream?after=0", headers=given)

        assert events.mimetype == "text/event-stream"
        assert read_events(events.data) == watch(client, job_id, place) == whole[place:]
    assert client.get(f"/jobs/{job_id}/stream?after={len(whole)}").status_code == 204


def test_without_a_place_a_stream_begins_with_the_job_as_it_is(client: CheckedClient, engine: Engine) -> None:
    job_id, _ = add_running_job(engine)
    take_steps(engine, job_id, 1, 3)
    with client.get(f"/jobs/{job_id}/stream", headers=LINES) as answer:
        reader = Reader(answer)
        (snapshot,) = reader.wait_for(1)

        take_steps(engine, job_id, 4, 6)
        news = reader.wait_for(3)[1:]
        finish(engine, job_id)

        assert reader.has_ended.wait(30)
    assert (snapshot.id, snapshot.event, snapshot.data["status"]) == (None, "snapshot", "running")
    assert snapshot.data["progress"]["step"] == 3
    assert [message.id for message in news] == [snapshot.data["seq"] + 1, snapshot.data["seq"] + 2]
    assert read_lines(reader.text)[-1].data["status"] == "succeeded"


def test_a_job_that_has_ended_shows_itself_and_its_end(client: CheckedClient, engine: Engine) -> None:
    job_id = add_finished_job(engine)

    snapshot, end = watch(client, job_id, None)

    assert snapshot.data["status"] == end.data["status"] == "succeeded"
    assert end.id == snapshot.data["seq"]


def test_a_job_that_is_renamed_after_its_end_tells_that_too(client: CheckedClient, engine: Engine) -> None:
    job_id = add_finished_job(engine)
    count = len(watch(client, job_id))

    with writing(engine) as session:
        patch_job(session, session.get_one(Job, job_id), {"name": "mine"})

    (renamed,) = watch(client, job_id, count)
    assert (renamed.id, renamed.data["type"], renamed.data["status"]) == (count + 1, "note", "succeeded")


def test_many_steps_at_once_are_told_in_several_messages(client: CheckedClient, engine: Engine) -> None:
    job_id, _ = add_running_job(engine)
    count = 2 * MOST_STEPS + 3
    take_steps(engine, job_id, 1, count)
    finish(engine, job_id)

    messages = watch(client, job_id)

    assert [message.id for message in messages] == list(range(1, len(messages) + 1))
    assert [*told_history(messages)] == list(range(1, count + 1))
    assert max(len(message.data["columns"]["step"]) for message in messages if message.event == "losses") < MOST_STEPS


def test_events_leave_out_what_every_flush_tells(client: CheckedClient, engine: Engine) -> None:
    job_id = add_finished_job(engine)

    events = client.get(f"/jobs/{job_id}/events").get_json()["data"]

    told = [message for message in watch(client, job_id) if message.event not in {"losses", "progress"}]
    assert [(event["seq"], event["message"]) for event in events] == [(m.id, m.data["message"]) for m in told]


def test_a_place_that_was_never_told_is_refused(client: CheckedClient, engine: Engine) -> None:
    job_id, _ = add_running_job(engine)

    late = client.get(f"/jobs/{job_id}/stream?after=3")
    odd = client.get(f"/jobs/{job_id}/stream", headers={"Last-Event-ID": "x"})

    assert (late.status_code, late.get_json()["errors"][0]["allowed"]["maximum"]) == (422, 2)
    assert (odd.status_code, odd.get_json()["errors"][0]["pointer"]) == (422, "Last-Event-ID")


def test_more_watchers_than_there_may_be_are_asked_to_come_again(engine: Engine) -> None:
    job_id, _ = add_running_job(engine)
    with a_service(engine, web_watchers=1) as client, client.get(f"/jobs/{job_id}/stream", headers=LINES) as answer:
        reader = Reader(answer)

        refused = client.get(f"/jobs/{job_id}/stream")
        finish(engine, job_id)

        assert (refused.status_code, refused.get_json()["code"]) == (503, "too_many_watchers")
        assert int(refused.headers["Retry-After"]) > 0
        assert reader.has_ended.wait(30)
        wait_until(lambda: client.get(f"/jobs/{job_id}/stream").status_code == 200, "the place is free again")


def test_a_revoked_key_ends_its_streams_at_once(engine: Engine) -> None:
    with writing(engine) as session:
        key, secret = keys.create_key(session, owner_name="ann", name="k", scope="read")
        job = add_job(session, owner_id=key.owner_id)
    headers = {"Authorization": f"Bearer {secret}", **LINES}
    with (
        a_service(engine, auth="on") as client,
        client.get(f"/jobs/{job.id}/stream", headers=headers) as answer,
    ):
        reader = Reader(answer)
        reader.wait_for(1)
        time.sleep(0.5)
        assert not reader.has_ended.is_set()

        with writing(engine) as session:
            keys.revoke_key(session, key.id)

        assert reader.has_ended.wait(30)


def test_a_deleted_job_leaves_nothing_of_its_stream(client: CheckedClient, engine: Engine) -> None:
    job_id = add_finished_job(engine)

    with writing(engine) as session:
        delete_job(session, session.get_one(Job, job_id))

    with reading(engine) as session:
        assert session.query(Flush).count() == 0
    assert client.get(f"/jobs/{job_id}/stream").status_code == 404
