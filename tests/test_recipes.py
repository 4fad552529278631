"""Recipes: each data set alone makes a whole spec, and no data is so odd that it has no defaults."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from service.spec.architectures import ARCHITECTURES, architecture_for
from service.spec.datasets import DATASETS, RingParams
from service.spec.facts import DatasetFacts, Modality
from service.spec.job import JobSpec
from service.spec.objectives import OBJECTIVES
from service.spec.parts.schedules import ScheduledValue
from service.spec.recipes.points import codebook_size
from service.spec.recipes.recipe import batch_for
from service.spec.recipes.registry import RECIPES, recipe_for
from service.spec.resolve import parse_spec, resolve
from worker.gan.data.points import ring_mixture
from worker.gan.data.registry import open_dataset
from worker.gan.training import Training

GIB = 2**30


def facts(modality: Modality, shape: tuple[int, ...], count: int, labels: tuple[str, ...] = ()) -> DatasetFacts:
    return DatasetFacts("ds_uploaded", modality, shape, count, "0" * 64, labels)


def spec_of(body: dict[str, Any]) -> JobSpec:
    return resolve(parse_spec(body), memory_limit_bytes=4 * GIB).spec


@pytest.mark.parametrize("name", DATASETS)
def test_a_data_set_alone_makes_a_whole_spec_with_the_practical_objective(name: str) -> None:
    spec = spec_of({"dataset": name})

    data = DATASETS[name].facts(DATASETS[name].params())
    assert spec.objective.loss == ("rpgan" if name == "stacked_digits" else "non_saturating")
    assert spec.objective.loss in OBJECTIVES
    assert spec.model.conditional == bool(data.labels)
    assert spec.loop.batch_size * 4 <= data.count


@pytest.mark.parametrize(("architecture", "modality"), RECIPES)
def test_recipes_stand_for_architectures_that_take_their_modality(architecture: str, modality: Modality) -> None:
    assert modality in ARCHITECTURES[architecture].modalities


@pytest.mark.parametrize(
    "uploaded",
    [
        facts("vector", (1,), 3),
        facts("vector", (1200,), 50_000),
        facts("image", (1, 4, 4), 10),
        facts("image", (1, 28, 28), 70_000, tuple("0123456789")),
        facts("image", (4, 33, 65), 500),
        facts("table", (2_000,), 40, ("yes", "no")),
        facts("audio", (1, 50), 3),
        facts("audio", (1, 64_000), 200, ("cat", "dog")),
    ],
)
def test_any_data_has_defaults_that_are_a_valid_spec(uploaded: DatasetFacts) -> None:
    for name, architecture in ARCHITECTURES.items():
        if uploaded.modality not in architecture.modalities:
            continue
        recipe = recipe_for(uploaded, name)
        spec = JobSpec.model_validate({"dataset": uploaded.name, **recipe.overrides})
        assert recipe.name
        assert recipe.reason
        assert spec.loop.batch_size <= max(2, uploaded.count)
        assert architecture.size(spec.model, uploaded).generator.parameters > 0


@pytest.mark.parametrize("shape", [(2,), (30,)])
def test_vectors_with_labels_are_made_by_label(shape: tuple[int, ...]) -> None:
    of_labels = recipe_for(facts("vector", shape, 1_000, ("a", "b")), "mlp").overrides
    of_none = recipe_for(facts("vector", shape, 1_000), "mlp").overrides

    assert of_labels["model"]["conditional"]
    assert not of_none["model"]["conditional"]


@pytest.mark.parametrize(
    ("kept_power", "architecture"), [(None, "timbre"), (0.98, "timbre"), (0.99, "mlp"), (1, "mlp")]
)
def test_only_sounds_that_components_keep_are_mixed_of_them(kept_power: float | None, architecture: str) -> None:
    sounds = replace(facts("audio", (1, 4_000), 200), kept_power=kept_power)

    assert architecture_for(sounds) == architecture


@pytest.mark.parametrize(("frames", "architecture"), [(1, "timbre"), (2**17, "timbre"), (2**17 + 1, "wave")])
def test_only_sounds_too_long_to_be_held_as_timbres_train_as_waves(frames: int, architecture: str) -> None:
    assert architecture_for(facts("audio", (1, frames), 200)) == architecture


def test_penalties_on_sounds_are_as_strong_in_the_components_whatever_the_length() -> None:
    few = replace(facts("audio", (1, 1_000), 200), components=5.0)
    many = replace(facts("audio", (1, 4_000), 200), components=20.0)

    assert gamma_of(few) == gamma_of(many) == gamma_of(replace(many, components=40.0)) * 2


def gamma_of(sounds: DatasetFacts) -> float:
    gamma: float = recipe_for(sounds, "mlp").overrides["objective"]["r1"]["initial"]
    return gamma


def test_the_recipe_follows_the_architecture_that_a_client_chose() -> None:
    small = spec_of({"dataset": "digits"})
    convolutional = spec_of({"dataset": "digits", "model": {"architecture": "dcgan"}})

    assert architecture_for(DATASETS["digits"].facts(None)) == small.model.architecture == "mlp"
    assert isinstance(small.objective.r1, ScheduledValue)
    assert small.objective.r1.initial == 5
    assert isinstance(convolutional.objective.r1, ScheduledValue)
    assert convolutional.objective.r1.initial == 1
    assert convolutional.optimizer.generator.lr == 2e-4


def test_what_a_client_gives_outweighs_the_recipe() -> None:
    spec = spec_of({"dataset": "ring", "model": {"latent_codes": 0}, "objective": {"r1": 0.5, "r2": {"initial": 1.0}}})

    assert spec.model.latent_codes == 0
    assert spec.model.latent_dim == 4
    assert spec.objective.r1 == ScheduledValue(initial=0.5, horizon_steps=spec.loop.max_steps)
    assert isinstance(spec.objective.r2, ScheduledValue)
    assert (spec.objective.r2.initial, spec.objective.r2.name) == (1.0, "geometric")


@pytest.mark.parametrize(("count", "batch"), [(3, 2), (8, 2), (150, 32), (256, 64), (100_000, 64)])
def test_a_batch_is_at_most_a_quarter_of_small_data(count: int, batch: int) -> None:
    assert batch_for(facts("table", (3,), count), 64) == batch


@pytest.mark.parametrize(("count", "codes"), [(10, 0), (1_000, 50), (20_000, 1_000), (1_000_000, 1_024)])
def test_a_codebook_has_an_entry_for_twenty_samples(count: int, codes: int) -> None:
    assert codebook_size(facts("vector", (2,), count)) == codes


@pytest.mark.slow
def test_a_sixth_of_the_ring_s_recipe_already_finds_every_mode() -> None:
    spec = spec_of({"dataset": "ring", "seed": 1, "loop": {"max_steps": 400}})
    data = open_dataset(spec.dataset)
    training = Training(spec, data, device=torch.device("cpu"), dtype=torch.float32)

    for _ in range(400):
        training.step()

    latents = training.generator.network.draw_latents(4_000, torch.Generator().manual_seed(1))
    points = data.to_data_units(training.sample(latents, None))
    distances = np.linalg.norm(points[:, None] - ring_mixture(RingParams()).centres, axis=2)
    shares = np.bincount(distances.argmin(axis=1), minlength=8) / 4_000
    assert shares.min() > 0.08  # of 0.125; measured 0.10
    assert np.median(distances.min(axis=1)) < 0.15  # of a radius of 1; measured 0.07
