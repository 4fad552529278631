"""A posted spec: what is refused and how it is said, what is filled in, what can be posted again."""

from typing import Any

import pytest

from service.errors import Fault, InvalidInput
from service.spec.datasets import DATASETS
from service.spec.faults import MOST_FAULTS
from service.spec.job import JobSpec
from service.spec.parts.schedules import ScheduledDecay, ScheduledValue
from service.spec.resolve import merge, parse_spec, resolve
from tests.building import MEMORY_LIMIT_BYTES, a_resolved, a_spec


def faults(body: Any) -> list[Fault]:
    """Return what is wrong with a posted body."""
    with pytest.raises(InvalidInput) as refused:
        resolve(parse_spec(body), memory_limit_bytes=MEMORY_LIMIT_BYTES)
    return refused.value.faults


def test_an_unknown_key_is_refused_with_the_nearest_known_name() -> None:
    [fault] = faults({"dataset": "digits", "loop": {"max_stepz": 3}})

    assert (fault.pointer, fault.code, fault.allowed) == ("/loop/max_stepz", "unknown_key", ["max_steps"])
    assert "max_steps" in fault.message


def test_an_unknown_key_like_none_is_refused_with_all_known_names() -> None:
    [fault] = faults({"dataset": "digits", "loop": {"qqq": 3}})

    assert "batch_size" in fault.allowed


def test_all_faults_come_back_at_once() -> None:
    found = faults({"dataset": "ring", "seed": -1, "loop": {"batch_size": 1}, "model": {"ema": {"ramp": 2}}})

    assert {fault.pointer for fault in found} == {"/seed", "/loop/batch_size", "/model/ema/ramp"}
    assert {fault.allowed and tuple(fault.allowed.items()) for fault in found} == {
        (("minimum", 0),),
        (("minimum", 2),),
        (("maximum", 1.0),),
    }


def test_unknown_names_come_back_with_all_other_faults() -> None:
    found = faults(
        {
            "dataset": "digitz",
            "seed": -1,
            "model": {"architecture": "mpl"},
            "objective": {"loss": "hinje"},
            "optimizer": {"generator": {"name": "adm"}, "discriminator": {"name": "n" * 40}},
        }
    )

    assert {fault.pointer: fault.code for fault in found} == {
        "/dataset": "unknown_name",
        "/seed": "greater_than_equal",
        "/model/architecture": "unknown_name",
        "/objective/loss": "unknown_name",
        "/optimizer/generator/name": "unknown_name",
        "/optimizer/discriminator/name": "string_too_long",
    }
    assert [fault.message for fault in found if fault.pointer == "/objective/loss"] == [
        "there is no loss 'hinje'; did you mean hinge?"
    ]


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/dataset", "missing"),
        ([], "", "model_type"),
        ({"dataset": "rinng"}, "/dataset", "unknown_name"),
        ({"dataset": {"name": "rinng"}}, "/dataset/name", "unknown_name"),
        ({"dataset": {"name": "ring", "params": {"mods": 3}}}, "/dataset/params/mods", "unknown_key"),
        ({"dataset": {"name": "ring", "params": {"modes": 1}}}, "/dataset/params/modes", "greater_than_equal"),
        ({"dataset": {"name": "digits", "sha256": "0" * 64}}, "/dataset/sha256", "content_differs"),
        ({"dataset": "iris", "loop": {"batch_size": 151}}, "/loop/batch_size", "batch_larger_than_data"),
        ({"dataset": "ring", "model": {"conditional": True}}, "/model/conditional", "no_labels"),
        ({"dataset": "ring", "model": {"architecture": "dcgan"}}, "/model/architecture", "unfit_architecture"),
        ({"dataset": "ring", "model": {"architecture": "mpl"}}, "/model/architecture", "unknown_name"),
        ({"dataset": "ring", "objective": {"loss": "hingee"}}, "/objective/loss", "unknown_name"),
        (
            {"dataset": "ring", "objective": {"loss": "hinge", "label_smoothing": 0.1}},
            "/objective/label_smoothing",
            "no_label_to_smooth",
        ),
        (
            {"dataset": "ring", "model": {"discriminator": {"packing": 3}}},
            "/model/discriminator/packing",
            "batch_not_divisible",
        ),
        (
            {
                "dataset": "ring",
                "loop": {"batch_size": 20},
                "model": {"discriminator": {"packing": 4, "minibatch_std": 4}},
            },
            "/model/discriminator/minibatch_std",
            "batch_not_divisible",
        ),
        (
            {"dataset": "ring", "model": {"discriminator": {"minibatch_std": 1}}},
            "/model/discriminator/minibatch_std",
            "greater_than_equal",
        ),
        ({"dataset": "ring", "objective": {"augment": {}}}, "/objective/augment", "not_pictures"),
        (
            {"dataset": "digits", "model": {"discriminator": {"octaves": 3}}},
            "/model/discriminator/octaves",
            "no_coordinates",
        ),
        ({"dataset": "digits", "objective": {"augment": {"policy": []}}}, "/objective/augment/policy", "too_short"),
        (
            {"dataset": "digits", "objective": {"loss": "rpgan", "augment": {"probability": "adaptive"}}},
            "/objective/augment/probability",
            "no_sign_to_adapt_by",
        ),
        (
            {"dataset": "digits", "objective": {"reconstruction": {"initial": 1}}},
            "/objective/reconstruction",
            "nothing_to_draw_with",
        ),
        ({"dataset": "ring", "objective": {"top_k": 0}}, "/objective/top_k", "greater_than"),
        ({"dataset": "ring", "objective": {"top_k": {"initial": 2}}}, "/objective/top_k/initial", "less_than_equal"),
        (
            {"dataset": "ring", "optimizer": {"generator": {"clip_gradient": 0}}},
            "/optimizer/generator/clip_gradient",
            "greater_than",
        ),
        ({"dataset": "ring", "objective": {"r1": -1}}, "/objective/r1", "greater_than_equal"),
        ({"dataset": "ring", "objective": {"r1": {"initial": 1, "nam": 2}}}, "/objective/r1/nam", "unknown_key"),
        ({"dataset": "ring", "objective": {"r1": float("nan")}}, "/objective/r1", "finite_number"),
        ({"dataset": "ring", "optimizer": {"generator": {"name": "adm"}}}, "/optimizer/generator/name", "unknown_name"),
        ({"dataset": "ring", "optimizer": {"generator": {"betas": [0.5]}}}, "/optimizer/generator/betas/1", "missing"),
        (
            {"dataset": "ring", "optimizer": {"generator": {"betas": [0.5, {"initial": 0.9, "final": 1}]}}},
            "/optimizer/generator/betas/1/final",
            "less_than",
        ),
        (
            {"dataset": "ring", "model": {"ema": {"schedule": {"name": "geometric"}}}},
            "/model/ema/schedule/final_ratio",
            "greater_than",
        ),
        ({"dataset": "ring", "loop": {"max_steps": 3.5}}, "/loop/max_steps", "int_type"),
        ({"dataset": "ring", "loop": {"max_steps": "3"}}, "/loop/max_steps", "int_type"),
        ({"dataset": "ring", "seed": 2**53}, "/seed", "less_than_equal"),
        ({"dataset": "ring", "seed": 10**400}, "/seed", "less_than_equal"),
        ({"dataset": "r" * 65}, "/dataset", "string_too_long"),
        ({"dataset": ""}, "/dataset", "string_too_short"),
        ({"dataset": "ring", "labels": {"a key": "x"}}, "/labels/a key", "string_pattern_mismatch"),
        (
            {"dataset": "iris", "objective": {"r1": {"name": "geometric", "initial": 1, "final_ratio": 0}}},
            "/objective/r1/final_ratio",
            "greater_than",
        ),
    ],
)
def test_a_fault_is_named_where_it_is(body: Any, pointer: str, code: str) -> None:
    [fault] = faults(body)

    assert (fault.pointer, fault.code) == (pointer, code)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"dataset": "ring", "loop": []}, "must be an object"),
        ({"dataset": {"name": "ring", "params": []}}, "must be an object"),
        ({"dataset": "ring", "optimizer": {"generator": {"betas": {}}}}, "must be an array"),
    ],
)
def test_kinds_are_called_by_their_names_in_json(body: Any, sentence: str) -> None:
    [fault] = faults(body)

    assert fault.message == sentence


def test_a_value_nested_too_deep_to_be_written_is_refused_all_the_same() -> None:
    nested: list[Any] = []
    for _ in range(2_000):
        nested = [nested]

    [fault] = faults({"dataset": nested})

    assert fault.pointer == "/dataset"


def test_of_thousands_of_faults_only_the_first_are_told() -> None:
    found = faults({"dataset": "ring", **{f"key{number}": 1 for number in range(20_000)}})

    assert [fault.pointer for fault in found] == [f"/key{number}" for number in range(MOST_FAULTS)]


def test_a_geometric_schedule_that_ends_at_zero_is_refused() -> None:
    [fault] = faults(
        {"dataset": "ring", "optimizer": {"generator": {"schedule": {"name": "geometric", "final_ratio": 0}}}}
    )

    assert fault.pointer == "/optimizer/generator/schedule/final_ratio"
    assert "final_ratio" in fault.message


def test_a_schedule_may_lean_on_the_rest_of_its_recipe() -> None:
    spec = a_spec(dataset="ring", objective={"r1": {"name": "geometric", "initial": 1}})

    assert isinstance(spec.objective.r1, ScheduledValue)
    assert spec.objective.r1.final_ratio == a_spec(dataset="ring").objective.r2.final_ratio  # type: ignore[union-attr]


def test_networks_that_do_not_fit_in_memory_are_refused_with_both_numbers() -> None:
    huge = {"width": 8192, "depth": 16}

    [fault] = faults({"dataset": "digits", "model": {"generator": huge, "discriminator": huge}})

    assert fault.code == "too_large"
    assert fault.got > fault.allowed["maximum_bytes"] == MEMORY_LIMIT_BYTES
    assert "GiB" in fault.message


def test_one_wish_costs_no_other_default_of_the_recipe() -> None:
    recipe = a_spec(dataset="digits")
    asked = a_spec(dataset="digits", optimizer={"generator": {"lr": 0.5}})

    assert asked.optimizer.generator.lr == 0.5
    assert asked.optimizer.generator.betas == recipe.optimizer.generator.betas
    assert asked.optimizer.discriminator == recipe.optimizer.discriminator


def test_a_number_replaces_a_scheduled_penalty_whole() -> None:
    spec = a_spec(dataset="digits", objective={"r1": 2.0})

    assert spec.objective.r1 == ScheduledValue(initial=2.0, horizon_steps=spec.loop.max_steps)


@pytest.mark.parametrize("dataset", sorted(DATASETS))
def test_a_resolved_spec_posted_again_resolves_to_itself(dataset: str) -> None:
    resolved = a_resolved(dataset=dataset)

    again = resolve(parse_spec(resolved.spec.model_dump(mode="json")), memory_limit_bytes=MEMORY_LIMIT_BYTES)

    assert again == resolved


def test_a_resolved_spec_leaves_nothing_open() -> None:
    spec = a_spec(loop={"max_steps": 95})

    assert spec.seed is not None
    assert spec.samples.every_steps == 10
    assert spec.optimizer.generator.schedule.horizon_steps == 95
    assert isinstance(spec.objective.r2, ScheduledValue)
    assert spec.versions is not None
    assert "ganymede" in spec.versions


def test_every_schedule_ends_with_the_job_unless_it_says_when() -> None:
    moving = {"betas": [0.5, {"initial": 0.9, "final": 0.99}]}

    spec = a_spec(
        loop={"max_steps": 95},
        model={"ema": {"half_life_samples": 100, "schedule": {"name": "linear", "horizon_steps": 40}}},
        optimizer={"discriminator": moving},
    )

    assert spec.optimizer.discriminator.betas == (0.5, ScheduledDecay(initial=0.9, final=0.99, horizon_steps=95))
    assert spec.model.ema.schedule.horizon_steps == 40
    assert parse_spec(spec.model_dump(mode="json")) == spec


def test_seeds_differ_unless_given() -> None:
    assert a_spec().seed != a_spec().seed
    assert a_spec(seed=7).seed == 7


def test_generated_data_is_identified_by_its_parameters() -> None:
    eight = a_resolved(dataset={"name": "ring", "params": {"modes": 8}})
    nine = a_resolved(dataset={"name": "ring", "params": {"modes": 9}})

    assert eight.facts == a_resolved(dataset="ring").facts
    assert eight.facts.sha256 != nine.facts.sha256


def test_merging_lays_given_values_over_defaults_key_by_key() -> None:
    assert merge({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 9}, "d": {"e": 4}}) == {
        "a": {"b": 9, "c": 2},
        "d": {"e": 4},
    }


def test_every_part_of_the_schema_is_documented() -> None:
    schema = JobSpec.model_json_schema()

    undescribed = [
        f"{name}.{key}"
        for name, part in schema["$defs"].items()
        for key, value in part.get("properties", {}).items()
        if "description" not in value and "$ref" not in value
    ]

    assert undescribed == []
