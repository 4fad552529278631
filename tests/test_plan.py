"""A plan says how steps are taken and why: small ones on one thread, long trainings of small networks compiled."""

from dataclasses import replace
from typing import Any

import pytest
from small_training import small_spec
from sqlalchemy import Engine

from service.db import writing
from service.errors import InvalidInput
from service.models import Dataset
from service.spec.plan import Plan, Seat, choose_plan, plan_to_follow, threads_for
from service.spec.resolve import find_dataset
from tests.building import a_resolved, add_job, add_ready_dataset
from worker.attempt import Attempt

FALLING = {"name": "linear", "initial": 0.5, "final": 0.0}
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


@pytest.mark.parametrize(
    ("parts", "can_compile", "device", "step", "why"),
    [
        ({}, True, "cpu", "eager", "pays from"),
        ({"loop": {"max_steps": 10_000}}, True, "cpu", "compiled", "pays from"),
        ({"loop": {"max_steps": 10_000, "max_seconds": 20}}, True, "cpu", "eager", "180 s"),
        ({}, True, "cuda:0", "captured", "at once"),
        ({"resources": {"step": "captured"}}, True, "cuda:0", "captured", "asked for"),
        ({"resources": {"step": "eager"}}, True, "cuda:0", "eager", "asked for"),
        ({"resources": {"step": "compiled"}}, True, "cuda:0", "eager", "for CPUs alone"),
        ({"resources": {"step": "captured"}}, True, "cpu", "eager", "on GPUs alone"),
        ({"objective": {"dragan": 1.0}}, True, "cuda:0", "eager", "objective.dragan"),
        ({"optimizer": {"generator": {"betas": [FALLING, 0.99]}}}, True, "cuda:0", "eager", "optimizer.betas"),
        ({"loop": {"max_steps": 10_000}}, False, "cpu", "eager", "no C++ compiler"),
        ({"resources": {"step": "compiled"}}, True, "cpu", "compiled", "asked for"),
        ({"loop": {"max_steps": 10_000}, "resources": {"step": "eager"}}, True, "cpu", "eager", "asked for"),
        (
            {"loop": {"max_steps": 10_000}, "objective": {"dragan": 1.0}},
            True,
            "cpu",
            "eager",
            "objective.dragan cannot be",
        ),
        ({"dataset": "digits", "model": {"architecture": "dcgan"}}, True, "cpu", "eager", "done for mlp and tabular"),
    ],
)
def test_a_plan_says_how_steps_are_taken_and_why(
    parts: dict[str, Any], can_compile: bool, device: str, step: str, why: str
) -> None:
    spec = small_spec(**parts)
    facts = find_dataset(spec.dataset)[1]

    plan = choose_plan(spec, facts, device=device, can_compile=can_compile, threads=None, share=2)

    assert plan.step == step
    assert why in plan.reason


COMPILED, EAGER = Plan("compiled", 2, "it pays"), Plan("eager", 1, "the compiler failed")
TOGETHER = replace(COMPILED, cohort=Seat(4, 1))
CAPTURED = Plan("captured", 2, "at once")
ROUTED = Plan("eager", 1, "short", route="onednn")


@pytest.mark.parametrize(
    ("known", "planned", "has_begun", "followed"),
    [
        (None, COMPILED, False, COMPILED),
        (None, COMPILED, True, Plan("eager", 2, "it has begun so")),
        (COMPILED, Plan("compiled", 8, "more cores"), True, COMPILED),
        (COMPILED, Plan("compiled", 1, "fewer cores"), True, Plan("compiled", 1, "it pays")),
        (COMPILED, Plan("eager", 2, "no compiler"), True, Plan("eager", 2, "no compiler")),
        (EAGER, COMPILED, True, EAGER),
        (EAGER, CAPTURED, True, EAGER),
        (COMPILED, CAPTURED, True, CAPTURED),
        (CAPTURED, COMPILED, True, COMPILED),
        (ROUTED, ROUTED, True, ROUTED),
        (ROUTED, EAGER, True, Plan("eager", 1, "short")),
        (EAGER, ROUTED, True, EAGER),
        (None, ROUTED, True, Plan("eager", 1, "it has begun so")),
        (TOGETHER, COMPILED, True, COMPILED),
    ],
)
def test_an_attempt_follows_the_plan_of_its_job_as_far_as_its_worker_can(
    known: Plan | None, planned: Plan, has_begun: bool, followed: Plan
) -> None:
    assert plan_to_follow(known, planned, has_begun=has_begun) == followed


@pytest.mark.parametrize("plan", [COMPILED, ROUTED, TOGETHER, Plan("eager", 1, "pictures", "channels_last")])
def test_a_plan_is_stored_so_that_older_workers_read_what_they_know(plan: Plan) -> None:
    stored = plan.to_json()

    assert Plan.of(stored) == plan
    assert ("layout" in stored) == (plan.layout != "contiguous")
    assert ("route" in stored) == (plan.route != "default")
    assert ("cohort" in stored) == (plan.cohort is not None)
    assert Plan.of({**stored, "of_a_later_version": 1}) == plan


def test_what_cannot_be_captured_is_refused_with_the_key_that_hinders() -> None:
    with pytest.raises(InvalidInput) as caught:
        small_spec(objective={"gradient_penalty": 10.0}, resources={"step": "captured"})

    (fault,) = caught.value.faults
    assert (fault.pointer, fault.code) == ("/resources/step", "not_capturable")
    assert "objective.gradient_penalty" in fault.message


def test_what_cannot_be_compiled_is_refused_with_the_key_that_hinders() -> None:
    with pytest.raises(InvalidInput) as caught:
        small_spec(dataset="digits", model={"architecture": "dcgan"}, resources={"step": "compiled"})

    (fault,) = caught.value.faults
    assert (fault.pointer, fault.code) == ("/resources/step", "not_compilable")
    assert "model.architecture is not compiled" in fault.message
