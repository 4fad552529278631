"""The spec of a fork: what is laid over the parent's, what cannot change, what is counted on from the parent."""

from typing import Any

import pytest

from service.errors import Fault, InvalidInput
from service.spec.fork import Branch, ForkedSpec, fork_spec
from service.spec.job import JobSpec
from service.spec.uploads import no_uploads
from tests.building import a_spec

LIMIT_BYTES = 2**40


def fork(parent: JobSpec, overrides: dict[str, Any], branch: Branch | None = None) -> ForkedSpec:
    return fork_spec(
        parent.model_dump(mode="json"),
        overrides,
        branch or Branch(step=100, trained_s=5.0, rate_factor=1.0),
        memory_limit_bytes=LIMIT_BYTES,
        find_upload=no_uploads,
    )


def faults_of(parent: JobSpec, overrides: dict[str, Any], **branch: Any) -> list[Fault]:
    with pytest.raises(InvalidInput) as refusal:
        fork(parent, overrides, Branch(**{"step": 100, "trained_s": 5.0, "rate_factor": 1.0, **branch}))
    return refusal.value.faults


def test_without_overrides_a_fork_is_trained_as_its_parent() -> None:
    parent = a_spec(loop={"max_steps": 300}, seed=5)

    spec = fork(parent, {}).resolved.spec

    kept = {"quality": parent.quality.model_copy(update={"split_seed": 5}), "versions": spec.versions}
    assert spec == parent.model_copy(update=kept)


def test_overrides_are_merged_deeply() -> None:
    parent = a_spec(loop={"max_steps": 300}, objective={"r1": {"initial": 2.0, "name": "cosine"}})

    spec = fork(parent, {"loop": {"batch_size": 16}, "objective": {"r1": {"initial": 1.0}}}).resolved.spec

    assert spec.loop == parent.loop.model_copy(update={"batch_size": 16})
    assert spec.objective.r1 == parent.objective.r1.model_copy(update={"initial": 1.0})  # type: ignore[union-attr]
    assert spec.optimizer == parent.optimizer


def test_schedules_that_ended_with_the_parent_end_with_a_fork_that_is_longer() -> None:
    falling = {"schedule": {"name": "cosine"}, "betas": [{"initial": 0.5, "final": 0.0}, 0.9]}
    fixed = {"schedule": {"name": "linear", "horizon_steps": 200}}
    parent = a_spec(loop={"max_steps": 300}, optimizer={"generator": falling, "discriminator": fixed})

    longer = fork(parent, {"loop": {"max_steps": 900}}).resolved.spec.optimizer
    shorter = fork(parent, {"loop": {"max_steps": 200}}).resolved.spec.optimizer

    assert longer.generator.schedule.horizon_steps == longer.generator.betas[0].horizon_steps == 900  # type: ignore[union-attr]
    assert longer.discriminator.schedule.horizon_steps == 200
    assert shorter == parent.optimizer


@pytest.mark.parametrize(("said", "horizon"), [({}, 900), ({"horizon_steps": 400}, 400)])
def test_a_schedule_that_an_override_brings_along_ends_with_the_fork_unless_it_says_where(
    said: dict[str, int], horizon: int
) -> None:
    parent = a_spec(loop={"max_steps": 300}, optimizer={"generator": {"schedule": {"horizon_steps": 200}}})
    schedule = {"name": "linear", "final_ratio": 0.1, **said}

    spec = fork(parent, {"loop": {"max_steps": 900}, "optimizer": {"generator": {"schedule": schedule}}}).resolved.spec

    assert spec.optimizer.generator.schedule.horizon_steps == horizon


def test_another_seed_leaves_the_rows_that_were_kept_aside_where_they_were() -> None:
    parent = a_spec(loop={"max_steps": 300}, seed=5)

    child = fork(parent, {"seed": 6}).resolved.spec
    grandchild = fork(child, {"seed": 7}).resolved.spec

    assert [(each.seed, each.quality.split_seed) for each in (child, grandchild)] == [(6, 5), (7, 5)]


def test_rates_that_rollbacks_have_halved_are_those_of_the_fork_unless_it_names_its_own() -> None:
    parent = a_spec(loop={"max_steps": 300}, optimizer={"generator": {"lr": 0.003}, "discriminator": {"lr": 0.001}})

    spec = fork(parent, {"optimizer": {"generator": {"lr": 0.002}}}, Branch(100, 5.0, rate_factor=0.25)).resolved.spec

    assert (spec.optimizer.generator.lr, spec.optimizer.discriminator.lr) == (0.002, 0.00025)


@pytest.mark.parametrize(
    ("overrides", "pointer"),
    [
        ({"dataset": "grid"}, "/overrides/dataset"),
        ({"dataset": {"params": {"modes": 5}}}, "/overrides/dataset/params/modes"),
        ({"model": {"latent_dim": 7}}, "/overrides/model/latent_dim"),
        ({"model": {"generator": {"width": 12}}}, "/overrides/model/generator/width"),
        ({"model": {"discriminator": {"packing": 2}}}, "/overrides/model/discriminator/packing"),
        ({"model": {"generator": {"activation": "silu"}}}, "/overrides/model/generator/activation"),
        ({"optimizer": {"generator": {"name": "rmsprop"}}}, "/overrides/optimizer/generator/name"),
        ({"quality": {"held_out": 0.4}}, "/overrides/quality/held_out"),
        ({"quality": {"split_seed": 1}}, "/overrides/quality/split_seed"),
    ],
)
def test_what_the_checkpoint_depends_on_cannot_change(overrides: dict[str, Any], pointer: str) -> None:
    parent = a_spec(
        loop={"max_steps": 300},
        seed=5,
        model={"latent_dim": 8, "generator": {"width": 16, "activation": "leaky_relu"}},
    )

    faults = faults_of(parent, overrides)

    assert pointer in [fault.pointer for fault in faults]
    assert {fault.code for fault in faults} == {"fixed_by_checkpoint"}


def test_what_is_said_again_as_it_was_is_no_change() -> None:
    parent = a_spec(loop={"max_steps": 300}, model={"latent_dim": 8})

    spec = fork(parent, {"dataset": "ring", "model": {"latent_dim": 8}}).resolved.spec

    assert (spec.dataset, spec.model) == (parent.dataset, parent.model)


def test_an_average_can_change_its_length_and_end_but_not_begin() -> None:
    averaged = a_spec(loop={"max_steps": 300}, model={"ema": {"half_life_samples": 500}})
    alone = a_spec(loop={"max_steps": 300}, model={"ema": {"half_life_samples": 0}})

    shorter, ended = ({"model": {"ema": {"half_life_samples": samples}}} for samples in (100, 0))

    assert fork(averaged, shorter).resolved.spec.model.ema.half_life_samples == 100
    assert fork(averaged, ended).resolved.spec.model.ema.half_life_samples == 0
    assert [fault.pointer for fault in faults_of(alone, shorter)] == ["/overrides/model/ema/half_life_samples"]


def test_a_fork_ends_behind_its_checkpoint() -> None:
    parent = a_spec(loop={"max_steps": 300, "max_seconds": 60.0})

    by_steps = faults_of(parent, {}, step=300)
    by_seconds = faults_of(parent, {}, trained_s=60.5)

    assert [(fault.pointer, fault.allowed) for fault in by_steps] == [("/overrides/loop/max_steps", {"minimum": 301})]
    assert [fault.pointer for fault in by_seconds] == ["/overrides/loop/max_seconds"]


def test_a_fault_of_an_override_is_shown_where_it_stands() -> None:
    parent = a_spec(loop={"max_steps": 300})

    faults = faults_of(parent, {"objective": {"loss": "hinges"}, "loop": {"max_steps": 400}})

    assert [fault.pointer for fault in faults] == ["/overrides/objective/loss"]
