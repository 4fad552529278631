"""Errands go to one worker that is idle, come back with what it has drawn, and may all be lost."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from service.blobs import make_blobs, store_lightly
from service.broker import redis_url
from service.errands import QUEUE, Errand, Errands, Outcome
from service.settings import Settings
from tests.brokers import a_broker, is_up
from tests.conversation import Announcements, make_client
from tests.generators import ROWS, job_with_generator
from tests.house import wait_until
from worker.errands import ErrandRunner

ERRAND = Errand("smp_1", {"key": "job_1/1/generator"}, {"n": 5})
FILE = {"key": "smp_1/1/samples.csv", "size": 4, "sha256": "0" * 64}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, home=tmp_path)


@pytest.fixture
def engine(sqlite_engine: Engine) -> Engine:
    return sqlite_engine


@pytest.fixture
def broker(settings: Settings) -> Iterator[Redis]:
    with a_broker(settings):
        wait_until(lambda: is_up(settings), "the broker answers")
        with Redis.from_url(redis_url(settings)) as client:
            yield client


@pytest.fixture
def web(settings: Settings, engine: Engine) -> Errands:
    return Errands(settings, engine)


@pytest.fixture
def worker(settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Errands:
    monkeypatch.setattr("service.errands._TAKE_S", 0.1)
    return Errands(settings, engine)


def take(worker: Errands) -> Errand:
    errand: Errand = wait_until(worker.take, "an errand")
    return errand


def test_an_errand_comes_back_with_its_file(broker: Redis, web: Errands, worker: Errands) -> None:
    taken = []

    def run() -> None:
        taken.append(take(worker))
        worker.answer("smp_1", FILE)

    running = threading.Thread(target=run)
    running.start()

    outcome = web.hand_over(ERRAND, within_s=0.25)
    running.join()

    assert (taken, outcome) == ([ERRAND], Outcome(FILE))
    assert broker.dbsize() == 0


def test_an_errand_that_nobody_takes_in_time_is_taken_back(broker: Redis, web: Errands, worker: Errands) -> None:
    outcome = web.hand_over(ERRAND, within_s=0.01)

    assert (outcome, worker.take(), broker.dbsize()) == (Outcome(), None, 0)


def test_what_is_answered_too_late_is_fetched_later_and_once(broker: Redis, web: Errands, worker: Errands) -> None:
    running = threading.Thread(target=take, args=(worker,))
    running.start()

    outcome = web.hand_over(ERRAND, within_s=0.2)
    running.join()
    early = web.late_file("smp_1")
    worker.answer("smp_1", FILE)

    assert (outcome, early) == (Outcome(is_pending=True), None)
    assert [web.late_file("smp_1"), web.late_file("smp_1")] == [FILE, None]


@pytest.mark.parametrize("sealed_as", ["nothing", "answer"])
def test_a_forged_errand_is_none(broker: Redis, worker: Errands, sealed_as: str) -> None:
    words = json.dumps({"kind": "errand", "told": vars(ERRAND)}).encode()
    message = worker._sealed("answer", vars(ERRAND)) if sealed_as == "answer" else b"0" * 64 + words
    broker.rpush(QUEUE, message)

    assert worker.take() is None
    assert broker.llen(QUEUE) == 0


def test_an_answer_to_another_errand_is_none(broker: Redis, web: Errands, worker: Errands) -> None:
    worker.answer("smp_2", FILE)
    broker.rename("ganymede.errand.smp_2", "ganymede.errand.smp_1")

    assert web.late_file("smp_1") is None


def test_without_a_broker_nobody_waits(web: Errands) -> None:
    began = time.monotonic()

    outcomes = [web.hand_over(ERRAND, within_s=10) for _ in range(3)]

    assert outcomes == [Outcome()] * 3
    assert time.monotonic() - began < 5


@pytest.mark.usefixtures("broker")
def test_when_nobody_waits_for_an_errand_any_more_workers_are_called(
    engine: Engine, worker: Errands, tmp_path: Path
) -> None:
    blobs, announcements = make_blobs("memory://"), Announcements()
    client = make_client(engine, blobs=blobs, wakeups=announcements, home=tmp_path)
    job_id = job_with_generator(engine, blobs)
    running = threading.Thread(target=take, args=(worker,))
    running.start()

    answer = client.post(f"/jobs/{job_id}/samples?wait=0.2", json={"n": 5})
    running.join()

    assert (answer.status_code, announcements.orders) == (202, 1)


def test_an_outage_of_the_database_ends_no_runner(
    broker: Redis, engine: Engine, web: Errands, worker: Errands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.errands.AGAIN_S", 0.01)
    idle: Any = SimpleNamespace(is_busy=False, run=lambda errand, answer: answer(errand.order_id, FILE))
    web._seal(b"")  # knows the name from before the outage
    event.listen(engine, "before_cursor_execute", refuse, once=True)
    runner = ErrandRunner(worker, idle)

    runner.start()
    broker.rpush(QUEUE, b"of somebody else")
    wait_until(lambda: not broker.llen(QUEUE), "it is taken")
    outcome = web.hand_over(ERRAND, within_s=0.25)
    runner.stop()

    assert outcome == Outcome(FILE)


def refuse(_connection: object, _cursor: object, statement: str, *_: object) -> None:
    raise OperationalError(statement, None, ConnectionResetError())


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize("delay_s", [0.0, 0.3])
def test_what_an_idle_worker_draws_is_answered_and_nobody_else_is_called(
    engine: Engine, worker: Errands, tmp_path: Path, delay_s: float
) -> None:
    blobs, announcements = make_blobs("memory://"), Announcements()
    client = make_client(engine, blobs=blobs, wakeups=announcements, home=tmp_path)
    job_id = job_with_generator(engine, blobs)

    def run() -> None:
        errand = take(worker)
        file: Any = store_lightly(blobs, job_id=errand.order_id, attempt=1, name="samples.csv", data=ROWS)
        time.sleep(delay_s)
        worker.answer(errand.order_id, file)

    running = threading.Thread(target=run)
    running.start()

    answer = client.post(f"/jobs/{job_id}/samples?wait=30", json={"n": 5})
    running.join()
    told = client.get(answer.headers["Location"]).get_json()

    assert (answer.status_code, answer.data, announcements.orders) == (200, ROWS, 0)
    assert (told["status"], told["progress"]["made"]) == ("ready", 5)
    assert client.get(told["file"]["url"]).data == ROWS
