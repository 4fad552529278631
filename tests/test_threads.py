"""Small steps run on one thread, large ones on all that a slot has."""

import pytest
from sqlalchemy import Engine

from service.db import writing
from service.models import Dataset
from tests.building import a_resolved, add_job, add_ready_dataset
from worker.attempt import Attempt
from worker.threads import threads_for

WIDE = {"generator": {"width": 1024}, "discriminator": {"width": 1024}}


@pytest.mark.parametrize("dataset", ["ring", "digits", "breast_cancer"])
def test_the_recipes_of_small_data_run_on_one_thread(dataset: str) -> None:
    resolved = a_resolved(dataset=dataset)

    assert threads_for(resolved.spec, resolved.facts, 8) == 1


def test_wide_networks_share_their_work() -> None:
    resolved = a_resolved(dataset="digits", model=WIDE, loop={"batch_size": 256})

    assert threads_for(resolved.spec, resolved.facts, 8) == 8


def test_an_uploaded_data_set_is_judged_by_its_own_facts(engine: Engine) -> None:
    with writing(engine) as session:
        dataset = add_ready_dataset(session)
        job = add_job(session, dataset=dataset.id)
        attempt = Attempt.of(job, None, session.get_one(Dataset, dataset.id))

    assert attempt.facts.name == dataset.id
    assert threads_for(attempt.spec, attempt.facts, 8) == 1
