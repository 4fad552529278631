"""What is told of jobs is told from memory until something of them changes."""

import pytest
from sqlalchemy import Engine

from service.answers.job_json import JobJson, describe
from service.db import reading, writing
from service.models import Job
from service.store import transitions
from service.store.jobs import glimpse, list_jobs, patch_job, places_of
from service.store.keys import LOCAL_OWNER
from tests.building import add_job


@pytest.fixture
def job(engine: Engine) -> Job:
    with writing(engine) as session:
        return add_job(session)


def told(memory: JobJson, engine: Engine, job: Job) -> bytes:
    with reading(engine) as session:
        seen = [glimpse(session, LOCAL_OWNER, job.id)]
        [answer] = memory.of(session, seen, places_of(session, seen))
    return answer


def test_a_job_is_told_from_memory_while_nothing_has_changed(engine: Engine, job: Job) -> None:
    memory = JobJson()
    first = told(memory, engine, job)
    with reading(engine) as session:
        assert first == describe(session, session.get_one(Job, job.id)).model_dump_json().encode()

    assert told(memory, engine, job) is first


def test_a_change_is_told(engine: Engine, job: Job) -> None:
    memory = JobJson()
    before = told(memory, engine, job)
    with writing(engine) as session:
        patch_job(session, session.get_one(Job, job.id), {"name": "renamed"})

    after = told(memory, engine, job)

    assert b'"renamed"' in after
    assert b'"renamed"' not in before


def test_who_comes_next_is_told_without_a_change_of_its_own(engine: Engine) -> None:
    memory = JobJson()
    with writing(engine) as session:
        first, second = add_job(session), add_job(session)
    assert b'"queue_position":2' in told(memory, engine, second)
    with writing(engine) as session:
        transitions.claim(session, session.get_one(Job, first.id), worker="worker-1", resume_from=None)

    assert b'"queue_position":1' in told(memory, engine, second)


def test_a_page_keeps_its_order_and_memory_its_bound(engine: Engine) -> None:
    memory = JobJson(most=2)
    with writing(engine) as session:
        made = [add_job(session).id for _ in range(4)]

    for _ in range(2):  # what was forgotten is told anew
        with reading(engine) as session:
            found = list_jobs(session, LOCAL_OWNER).data
            answers = memory.of(session, found, places_of(session, found))

        assert [answer[7:33].decode() for answer in answers] == made[::-1]
