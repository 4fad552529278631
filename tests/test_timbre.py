"""Sounds as timbres: what becomes of them as few numbers and back, and what a short training makes of strings."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from service.spec.facts import DatasetFacts
from service.spec.job import DatasetRef, JobSpec
from service.spec.resolve import parse_spec, resolve
from service.spec.sizes.timbre import BINS, COMPONENTS, loudness_frames
from service.spec.uploads import Upload
from worker.gan.data.encoding import restore_encoding
from worker.gan.data.phases import sounds_as_loud, spectra_of
from worker.gan.data.split import Split
from worker.gan.data.timbre import Timbre
from worker.gan.data.training_data import EncodedRows, Rows, TrainingData, as_seen_by, open_rows
from worker.gan.files import read_state, write_state
from worker.gan.metrics.cache import Cache
from worker.gan.metrics.pitches import loudest
from worker.gan.metrics.sounds import log_mel
from worker.gan.metrics.yardstick import make_yardstick
from worker.gan.training import Training
from worker.measurer import measure_training

RATE, SAMPLES = 16_000, 4_000
LOWEST_HZ = (110, 440)  # of each class; the highest is an octave above
CPU = torch.device("cpu")


def strings(count: int, seed: int = 0) -> Rows:
    """Pluck strings of any pitch within an octave of their class, any phases and level."""
    random = np.random.Generator(np.random.PCG64(seed))
    labels, partials = np.arange(count) % 2, np.arange(1, 6)[:, None]
    seconds = np.arange(SAMPLES) / RATE
    sounds = np.empty((count, 1, SAMPLES), np.float32)
    for place, label in enumerate(labels):
        hertz = LOWEST_HZ[label] * 2 ** random.random()
        phases = 2 * np.pi * random.random((5, 1))
        waves = np.sin(2 * np.pi * hertz * partials * seconds + phases) * np.exp(-6 * partials * seconds) / partials
        sounds[place, 0] = random.uniform(0.2, 0.4) * waves.sum(axis=0)
    return Rows(sounds, labels)


def facts_of(rows: Rows) -> DatasetFacts:
    shape = rows.values.shape[1:]
    return DatasetFacts("ds_mine", "audio", shape, len(rows.values), "ab" * 32, ("low", "high"), sample_rate=RATE)


def opened(rows: Rows, held_out: float = 0.0) -> TrainingData:
    return open_rows(facts_of(rows), rows, Split(held_out, 1))


def spec_of(facts: DatasetFacts, max_steps: int) -> JobSpec:
    posted = {"dataset": "ds_mine", "seed": 1, "loop": {"max_steps": max_steps}, "resources": {"threads": 1}}
    return resolve(parse_spec(posted), memory_limit_bytes=2**40, find_upload=lambda _: Upload("ready", facts)).spec


def magnitudes_of(sounds: Tensor) -> Tensor:
    return spectra_of(sounds).abs()


def test_sounds_made_from_loudness_alone_are_as_loud_and_in_tune() -> None:
    sounds = torch.from_numpy(strings(12).values[:, 0])

    made = sounds_as_loud(magnitudes_of(sounds), SAMPLES)

    wrong = (magnitudes_of(made) - magnitudes_of(sounds)).norm() / magnitudes_of(sounds).norm()
    assert wrong < 0.06
    assert (made - sounds).norm() > 0.3 * sounds.norm()  # their phases are others
    np.testing.assert_allclose(loudest(made.numpy(), RATE)[0], loudest(sounds.numpy(), RATE)[0], rtol=0.01)


@pytest.mark.parametrize("samples", [1, 127, 128, 129, 1_000])
def test_sounds_of_any_length_have_as_many_frames_as_are_said(samples: int) -> None:
    sounds = 0.1 * torch.randn(3, samples, generator=torch.Generator().manual_seed(0))

    assert magnitudes_of(sounds).shape == (3, BINS, loudness_frames(samples))
    assert sounds_as_loud(magnitudes_of(sounds), samples).shape == (3, samples)


def test_timbres_of_sounds_never_seen_come_back_as_loud_over_time_and_in_tune() -> None:
    timbre, unseen = Timbre.of(strings(400).values), strings(40, seed=1).values

    numbers = timbre.forward(unseen)
    made = timbre.backward(numbers)

    assert numbers.shape == (40, COMPONENTS)
    assert made.shape == unseen.shape
    assert np.abs(log_mel(made, RATE) - log_mel(unseen, RATE)).mean() < 0.5
    np.testing.assert_allclose(loudest(made, RATE)[0], loudest(unseen, RATE)[0], rtol=0.03)


def test_strong_components_have_about_unit_variance_and_missing_ones_stay_silent() -> None:
    few = strings(8).values
    timbre = Timbre.of(few)

    numbers = timbre.forward(few)

    assert 0.5 < numbers[:, 0].square().mean() < 4
    assert not numbers[:, 8:].any()
    assert np.array_equal(timbre.backward(numbers), timbre.backward(numbers + 5 * (torch.arange(COMPONENTS) >= 8)))


def test_silence_comes_back_as_silence() -> None:
    timbre = Timbre.of(np.zeros((5, 1, 300), np.float32))

    assert not timbre.forward(np.zeros((2, 1, 300), np.float32)).any()
    assert np.abs(timbre.backward(torch.ones(2, COMPONENTS))).max() < 1e-6


def test_a_timbre_is_made_again_from_what_it_has_learnt() -> None:
    rows = strings(40)
    timbre = Timbre.of(rows.values)

    again = restore_encoding(facts_of(rows), timbre.learnt())

    numbers = timbre.forward(rows.values)
    assert torch.equal(again.forward(rows.values), numbers)
    assert np.array_equal(again.backward(numbers), timbre.backward(numbers))


def test_sounds_too_many_to_be_held_are_held_as_timbres(monkeypatch: pytest.MonkeyPatch) -> None:
    held = as_seen_by("timbre", opened(strings(70)))
    monkeypatch.setattr("worker.gan.data.training_data.HELD_BYTES", 0)
    large = opened(strings(70))

    seen = as_seen_by("timbre", large)

    assert isinstance(large.samples, EncodedRows)
    assert isinstance(seen.samples, Tensor)
    torch.testing.assert_close(seen.samples, held.samples, atol=0.02, rtol=0.02)
    assert as_seen_by("wave", large) is large


def test_minutes_of_strings_of_two_registers_beat_a_normal_law_of_each(tmp_path: Path) -> None:
    data = opened(strings(300), held_out=0.2)
    spec = spec_of(data.facts, max_steps=400)
    yardstick = make_yardstick(DatasetRef(name="ds_mine"), data, count=60, split=Split(0.2, 1), cache=Cache(tmp_path))
    training = Training(spec, data, device=CPU, dtype=torch.float32)

    for _ in range(spec.loop.max_steps):
        training.step()

    made, trivial = measure_training(training, yardstick, thoroughly=True), yardstick.of_baselines(data)
    assert spec.model.architecture == "timbre"
    assert (made["frechet"] or np.inf) < 0.3 * (trivial["class_gaussian"]["frechet"] or 0)
    assert (made["tstr"] or 0) > 0.95
    assert min(made["coverage"] or 0, made["recall"] or 0) > 0.2
    assert pitches_of(training, 0).max() < 300 < pitches_of(training, 1).min()


def pitches_of(training: Training, label: int) -> np.ndarray:
    """Return the loudest frequency of 20 sounds of a class, of which no two should be alike."""
    latents = training.draw_latents(20, torch.Generator().manual_seed(3))
    made = training.data.to_data_units(training.sample(latents, torch.full((20,), label)))
    hertz = loudest(made, RATE)[0]
    assert np.ptp(hertz) > 0.2 * hertz.mean()
    return hertz


def test_a_resume_sees_sounds_as_the_networks_learnt_to_and_not_as_it_would_learn_to_itself() -> None:
    data = opened(strings(40))
    spec = spec_of(data.facts, max_steps=40)
    unbroken, broken, resumed = (Training(spec, data, device=CPU, dtype=torch.float32) for _ in range(3))
    for training in (unbroken, broken):
        training.step()
    elsewhere = read_state(write_state(broken.state()))
    elsewhere.tensors["encoding.axes"][0] *= -1  # as another processor may find it

    resumed.restore(read_state(write_state(broken.state())))
    broken.restore(elsewhere)
    for training in (unbroken, resumed):
        training.step()

    assert write_state(resumed.state()) == write_state(unbroken.state())
    assert torch.equal(broken.state().tensors["encoding.axes"], elsewhere.tensors["encoding.axes"])
    turned, usual = (torch.as_tensor(each.data.samples[:5]) for each in (broken, resumed))
    assert torch.allclose(turned[:, 0], -usual[:, 0], atol=1e-5)
    assert torch.allclose(turned[:, 1:], usual[:, 1:], atol=1e-5)
