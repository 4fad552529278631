"""The time of recipes for pictures and sounds: bounded by the size of a sample, whatever its shape and the number."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from service.spec.facts import DatasetFacts
from service.spec.job import JobSpec
from service.spec.parts.model import ModelSpec, NetworkSpec
from service.spec.recipes.budget import (
    LONGEST_SECONDS,
    MLP_SECONDS,
    MOST_SECONDS,
    SHORT_SECONDS,
    SMALL_SECONDS,
    seconds_of_mlp_step,
    seconds_of_step,
    seconds_of_wave_step,
    sound_seconds,
    training_seconds,
)
from service.spec.resolve import parse_spec, resolve
from service.spec.sizes.dcgan import dcgan_multiply_adds
from service.spec.sizes.mlp import mlp_multiply_adds
from service.spec.sizes.wave import wave_multiply_adds
from service.spec.uploads import Upload
from worker.gan.networks.dcgan import DcganGenerator
from worker.gan.networks.mlp import MlpGenerator
from worker.gan.networks.wave import WaveGenerator


def pictures(shape: tuple[int, int, int], count: int = 2_000, labels: tuple[str, ...] = ()) -> DatasetFacts:
    return DatasetFacts("uploaded", "image", shape, count, "0" * 64, labels)


def sounds(frames: int, count: int = 2_000, labels: tuple[str, ...] = ()) -> DatasetFacts:
    return DatasetFacts("uploaded", "audio", (1, frames), count, "0" * 64, labels, sample_rate=16_000)


def spec_of_upload(facts: DatasetFacts, architecture: str = "auto") -> JobSpec:
    posted = parse_spec({"dataset": "ds_mine", "model": {"architecture": architecture}})
    return resolve(posted, memory_limit_bytes=2**40, find_upload=lambda _: Upload("ready", facts)).spec


def expected_seconds(spec: JobSpec, facts: DatasetFacts) -> float:
    return spec.loop.max_steps * seconds_of_step(spec.model.generator.width, facts, spec.loop.batch_size)


@pytest.mark.parametrize("shape", [(3, 32, 32), (3, 64, 64), (1, 28, 28), (3, 50, 37), (4, 17, 63), (3, 5, 400)])
@pytest.mark.parametrize("count", [10, 300, 2_000, 1_000_000])
def test_uploaded_pictures_up_to_64_by_64_train_for_minutes(shape: tuple[int, int, int], count: int) -> None:
    uploaded = pictures(shape, count)

    spec = spec_of_upload(uploaded)

    assert training_seconds(uploaded) == SMALL_SECONDS < 180
    assert expected_seconds(spec, uploaded) <= SMALL_SECONDS
    assert spec.loop.max_steps >= 1_000


@pytest.mark.parametrize(
    ("side", "most_seconds"), [(65, 160), (128, 600), (200, 1_500), (256, 2_400), (1_000, MOST_SECONDS)]
)
def test_larger_pictures_train_as_much_longer_as_they_have_pixels(side: int, most_seconds: int) -> None:
    uploaded = pictures((3, side, side))

    spec = spec_of_upload(uploaded)

    assert training_seconds(uploaded) <= most_seconds
    assert 0.8 * training_seconds(uploaded) <= expected_seconds(spec, uploaded) <= training_seconds(uploaded)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 16, 16), (3, 16, 16), (3, 3, 400), (3, 2, 2_048)])
@pytest.mark.parametrize("labels", [(), ("a", "b")])
@pytest.mark.parametrize("count", [10, 2_000])
def test_small_and_narrow_pictures_train_for_minutes_too(
    shape: tuple[int, int, int], labels: tuple[str, ...], count: int
) -> None:
    uploaded = pictures(shape, count, labels)

    spec = spec_of_upload(uploaded)
    step = seconds_of_mlp_step(spec.model.generator.width, uploaded, spec.loop.batch_size)

    assert (spec.model.architecture, spec.model.generator.depth) == ("mlp", 2)
    assert spec.loop.max_steps * step <= MLP_SECONDS < 180
    assert spec.loop.max_steps >= 900


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 16)])
def test_the_work_of_small_pictures_is_what_torch_counts(shape: tuple[int, int, int]) -> None:
    facts, random = pictures(shape), torch.Generator().manual_seed(0)
    network = NetworkSpec(width=128, depth=2)
    generator = MlpGenerator(ModelSpec(latent_dim=7, generator=network), facts, random)

    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        generator(torch.zeros(5, 7), None)

    assert counted.get_total_flops() == 2 * 5 * (mlp_multiply_adds(128, 2, facts) + 7 * 128)


@pytest.mark.parametrize(("dataset", "width", "steps"), [("digits", 128, 18_000), ("stacked_digits", 256, 6_000)])
def test_small_pictures_keep_the_recipe_that_their_bars_were_measured_with(
    dataset: str, width: int, steps: int
) -> None:
    spec = resolve(parse_spec({"dataset": dataset}), memory_limit_bytes=2**40).spec

    assert (spec.model.architecture, spec.model.generator.width) == ("mlp", width)
    assert (spec.loop.batch_size, spec.loop.max_steps) == (64, steps)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 33, 65)])
def test_the_work_of_convolutions_is_what_torch_counts(shape: tuple[int, int, int]) -> None:
    facts, random = pictures(shape), torch.Generator().manual_seed(0)
    model = ModelSpec(architecture="dcgan", generator=NetworkSpec(width=8))
    generator = DcganGenerator(model, facts, random)

    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        generator.pictures(torch.zeros(5, *generator.smallest))

    assert counted.get_total_flops() == 2 * 5 * dcgan_multiply_adds(8, facts)


@pytest.mark.parametrize("frames", [1, 100, 4_000, 16_000, 64_000, 240_000, 480_000, 9_600_000])
@pytest.mark.parametrize("count", [10, 2_000])
def test_waves_train_as_long_as_their_frames_allow(frames: int, count: int) -> None:
    uploaded = sounds(frames, count)

    spec = spec_of_upload(uploaded, "wave")
    step = seconds_of_wave_step(spec.model.generator.width, uploaded, spec.loop.batch_size)

    assert sound_seconds(uploaded) == min(LONGEST_SECONDS, SHORT_SECONDS * max(1.0, frames / 16_000))
    assert spec.loop.max_steps == 4_000 or sound_seconds(uploaded) - step < spec.loop.max_steps * step
    assert spec.loop.max_steps * step <= sound_seconds(uploaded) <= 3_600
    assert spec.loop.max_steps >= (500 if frames <= 960_000 else 50)


@pytest.mark.parametrize(
    ("frames", "width", "batch"), [(4_000, 16, 16), (16_000, 16, 8), (240_000, 16, 8), (480_000, 8, 8)]
)
def test_longer_waves_have_smaller_batches_and_then_narrower_networks(frames: int, width: int, batch: int) -> None:
    spec = spec_of_upload(sounds(frames), "wave")

    assert (spec.model.generator.width, spec.model.discriminator.width) == (width, width)
    assert spec.loop.batch_size == batch


def test_the_tones_keep_the_recipe_that_their_bar_was_measured_with() -> None:
    spec = resolve(parse_spec({"dataset": "tones"}), memory_limit_bytes=2**40).spec

    assert (spec.model.architecture, spec.loop.batch_size, spec.loop.max_steps) == ("mlp", 32, 4_000)


@pytest.mark.parametrize("frames", [17, 4_000])
def test_the_work_of_convolutions_along_time_is_what_torch_counts(frames: int) -> None:
    facts, random = sounds(frames), torch.Generator().manual_seed(0)
    model = ModelSpec(architecture="wave", generator=NetworkSpec(width=8))
    generator = WaveGenerator(model, facts, random)

    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        generator.sounds(torch.zeros(5, *generator.shortest))

    assert counted.get_total_flops() == 2 * 5 * wave_multiply_adds(8, facts)
