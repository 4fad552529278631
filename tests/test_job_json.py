"""What is told of jobs is told from memory until something of them changes."""

from sqlalchemy import Engine, inspect
from sqlalchemy.orm import Session

from service.answers.job_json import JobJson, describe
from service.db import reading, writing
from service.models import Job
from service.store import transitions
from service.store.jobs import glimpse, list_jobs, patch_job
from service.store.keys import LOCAL_OWNER
from tests.building import add_job


def told(memory: JobJson, session: Session, job: Job) -> bytes:
    [answer] = memory.of(session, [glimpse(session, LOCAL_OWNER, job.id)])
    return answer


def test_a_job_is_told_from_memory_while_nothing_has_changed(engine: Engine) -> None:
    memory = JobJson()
    with writing(engine) as session:
        job = add_job(session)
    with reading(engine) as session:
        first = told(memory, session, job)
        assert first == describe(session, session.get_one(Job, job.id)).model_dump_json().encode()
    with reading(engine) as session:
        seen = glimpse(session, LOCAL_OWNER, job.id)
        [again] = memory.of(session, [seen])

        assert again is first
        assert "resolved_spec" in inspect(seen).unloaded


def test_a_change_is_told(engine: Engine) -> None:
    memory = JobJson()
    with writing(engine) as session:
        job = add_job(session)
    with reading(engine) as session:
        before = told(memory, session, job)
    with writing(engine) as session:
        patch_job(session, session.get_one(Job, job.id), {"name": "renamed"})

    with reading(engine) as session:
        after = told(memory, session, job)

    assert b'"renamed"' in after
    assert b'"renamed"' not in before


def test_who_comes_next_is_told_without_a_change_of_its_own(engine: Engine) -> None:
    memory = JobJson()
    with writing(engine) as session:
        first, second = add_job(session), add_job(session)
    with reading(engine) as session:
        assert b'"queue_position":2' in told(memory, session, second)
    with writing(engine) as session:
        transitions.claim(session, session.get_one(Job, first.id), worker="worker-1", resume_from=None)

    with reading(engine) as session:
        assert b'"queue_position":1' in told(memory, session, second)


def test_a_page_keeps_its_order_and_memory_its_bound(engine: Engine) -> None:
    memory = JobJson(most=2)
    with writing(engine) as session:
        made = [add_job(session).id for _ in range(4)]

    for _ in range(2):  # what was forgotten is told anew
        with reading(engine) as session:
            answers = memory.of(session, list_jobs(session, LOCAL_OWNER).data)

        assert [answer[7:33].decode() for answer in answers] == made[::-1]
