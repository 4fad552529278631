"""The built-in data sets: what the catalogue says of them is what is opened."""

import hashlib

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import kstest
from sklearn import datasets as sklearn_datasets

from service.spec.datasets import DATASETS, GridParams, RingParams, SubspaceParams
from service.spec.facts import DatasetFacts
from service.spec.job import DatasetRef
from worker.gan.data.flat_spectrum import FlatSpectrum
from worker.gan.data.points import Mixture, grid_mixture, ring_mixture, subspace_mixture
from worker.gan.data.registry import OPENERS, open_dataset
from worker.gan.data.training_data import DatasetChanged

RECORDED = ("digits", "iris", "wine", "breast_cancer")
PLANE = ("ring", "grid", "moons", "swiss_roll", "spiral")
TABLES = ("iris", "wine", "breast_cancer")


def facts_of(name: str, **params: object) -> DatasetFacts:
    dataset = DATASETS[name]
    return dataset.facts(dataset.params.model_validate(params))


def test_every_described_data_set_can_be_opened() -> None:
    assert DATASETS.keys() == OPENERS.keys()


@pytest.mark.parametrize("name", DATASETS)
def test_the_opened_data_is_what_the_facts_say(name: str) -> None:
    data = open_dataset(DatasetRef(name=name))

    facts = facts_of(name)
    assert data.facts == facts
    assert data.samples.shape == (facts.count, *facts.shape)
    assert data.samples.dtype == torch.float32
    assert (data.labels is None) == (not facts.labels)
    if data.labels is not None:
        assert data.labels.shape == (facts.count,)
        assert data.labels.unique().tolist() == list(range(len(facts.labels)))


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_facts_are_those_of_scikit_learn(name: str) -> None:
    bunch = getattr(sklearn_datasets, f"load_{name}")()

    content = bunch.data.astype("<f8").tobytes() + bunch.target.astype("<i8").tobytes()
    facts = facts_of(name)
    assert facts.sha256 == hashlib.sha256(content).hexdigest()
    assert facts.labels == tuple(str(label) for label in bunch.target_names)
    if name in TABLES:
        assert facts.columns == tuple(bunch.feature_names)


@pytest.mark.parametrize("name", PLANE)
def test_points_are_the_same_every_time_and_others_for_other_parameters(name: str) -> None:
    first = open_dataset(DatasetRef(name=name))
    again = open_dataset(DatasetRef(name=name))
    fewer = open_dataset(DatasetRef(name=name, params={"count": 500}))

    assert torch.equal(first.samples, again.samples)
    assert first.facts.sha256 == again.facts.sha256
    assert fewer.samples.shape == (500, 2)
    assert fewer.facts.sha256 != first.facts.sha256


def test_a_parameter_written_as_an_integer_names_the_same_content() -> None:
    assert facts_of("ring", radius=1).sha256 == facts_of("ring", radius=1.0).sha256


@pytest.mark.parametrize(("name", "params"), [("ring", {"modes": 1}), ("ring", {"mode": 8}), ("digits", {"count": 5})])
def test_parameters_out_of_bounds_or_unknown_are_refused(name: str, params: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        open_dataset(DatasetRef(name=name, params=params))


@pytest.mark.parametrize("name", ["ring", "digits"])
def test_a_reference_with_another_hash_is_refused(name: str) -> None:
    with pytest.raises(DatasetChanged) as refused:
        open_dataset(DatasetRef(name=name, sha256="0" * 64))

    assert refused.value.expected == "0" * 64
    assert refused.value.found == facts_of(name).sha256


@pytest.mark.parametrize(
    ("name", "mixture"), [("ring", ring_mixture(RingParams())), ("grid", grid_mixture(GridParams()))]
)
def test_a_mixture_is_drawn_from_its_known_law(name: str, mixture: Mixture) -> None:
    data = open_dataset(DatasetRef(name=name))

    points = data.to_data_units(data.samples).astype(float)
    offsets = points[:, None] - mixture.centres
    nearest = np.linalg.norm(offsets, axis=2).argmin(axis=1)
    shares = np.bincount(nearest) / len(points)
    assert shares == pytest.approx(1 / len(mixture.centres))
    inward = offsets[np.arange(len(points)), nearest] / mixture.sigma
    assert kstest(inward.ravel(), "norm").pvalue > 0.001


def test_centres_lie_where_the_parameters_put_them() -> None:
    ring = ring_mixture(RingParams(modes=4, radius=3.0))
    grid = grid_mixture(GridParams(side=2, spacing=4.0))

    np.testing.assert_allclose(ring.centres, [[3, 0], [0, 3], [-3, 0], [0, -3]], atol=1e-12)
    np.testing.assert_allclose(grid.centres, [[-2, -2], [2, -2], [-2, 2], [2, 2]])


def test_many_coordinates_keep_their_differences_and_are_as_long_as_two() -> None:
    data = open_dataset(DatasetRef(name="subspace", params={"count": 500, "dimensions": 60, "subspace": 30}))

    samples = data.specimens()
    assert samples.square().sum(dim=1).mean().item() == pytest.approx(2, rel=1e-3)
    inside, outside = samples.std(dim=0).tensor_split([30])
    assert inside.min() > 2 * outside.max()


def test_the_centres_of_the_subspace_are_where_the_parameters_say() -> None:
    mixture = subspace_mixture(SubspaceParams(dimensions=60, subspace=30))

    assert mixture.centres.shape == (10, 60)
    assert np.abs(mixture.centres[:, :30]).max() <= 1
    assert not mixture.centres[:, 30:].any()
    with pytest.raises(ValidationError, match="more dimensions"):
        SubspaceParams(dimensions=3, subspace=4)


def test_moons_without_noise_lie_on_two_half_circles() -> None:
    data = open_dataset(DatasetRef(name="moons", params={"noise": 0.0}))

    x, y = data.to_data_units(data.samples).astype(float).T
    on_upper = (np.abs(np.hypot(x, y) - 1) < 1e-5) & (y > -1e-5)
    on_lower = (np.abs(np.hypot(x - 1, y - 0.5) - 1) < 1e-5) & (y < 0.5 + 1e-5)
    assert np.all(on_upper | on_lower)
    assert 0.45 < on_upper.mean() < 0.55


def test_the_spiral_without_noise_has_a_radius_that_grows_with_its_angle() -> None:
    data = open_dataset(DatasetRef(name="swiss_roll", params={"noise": 0.0, "turns": 1.5}))

    x, y = data.to_data_units(data.samples).astype(float).T
    radius = np.hypot(x, y)
    angle = 4.5 * np.pi * radius
    np.testing.assert_allclose(np.stack([x, y]), radius * np.stack([np.cos(angle), np.sin(angle)]), atol=2e-5)
    assert (radius.min(), radius.max()) == pytest.approx((1 / 3, 1), abs=1e-3)


def test_the_arms_of_a_spiral_without_noise_start_at_the_origin_and_wind_alike() -> None:
    data = open_dataset(DatasetRef(name="spiral", params={"noise": 0.0, "arms": 3, "turns": 2.0}))

    x, y = data.to_data_units(data.samples).astype(float).T
    radius = np.hypot(x, y)
    arm = (np.arctan2(y, x) / (2 * np.pi) - 2 * radius) % 1 * 3
    nearest = np.rint(arm)
    assert np.abs(arm - nearest)[radius > 0.05].max() < 1e-3
    assert np.bincount(nearest.astype(int) % 3) / len(x) == pytest.approx([1 / 3] * 3, abs=0.01)
    assert (radius.min(), radius.max()) == pytest.approx((0, 1), abs=0.01)


def test_stacked_digits_are_digits_in_each_channel_with_every_combination() -> None:
    data = open_dataset(DatasetRef(name="stacked_digits"))

    known = sklearn_datasets.load_digits()
    number_of = {row.astype(np.uint8).tobytes(): digit for row, digit in zip(known.data, known.target, strict=True)}
    pictures = data.to_data_units(data.samples)
    digits = np.array([[number_of[channel.tobytes()] for channel in picture] for picture in pictures])
    modes = np.bincount(digits @ [100, 10, 1], minlength=1_000)
    assert modes.min() > 0
    assert modes.max() < 3 * modes.mean()


def test_tones_are_pure_and_of_the_pitch_that_their_label_names() -> None:
    data = open_dataset(DatasetRef(name="tones", params={"count": 240}))

    sounds = data.to_data_units(data.samples)[:, 0].astype(float)
    spectrum = np.abs(np.fft.rfft(sounds * np.hanning(4_000), n=32_000))
    hertz = spectrum.argmax(axis=1) * 16_000 / 32_000
    assert data.labels is not None
    assert data.facts.labels[9] == "A"
    expected = 440 * 2 ** ((data.labels.numpy() - 9) / 12)
    np.testing.assert_allclose(hertz, expected, atol=0.6)
    levels = np.sqrt(2) * sounds.std(axis=1)
    assert (levels.min(), levels.max()) == pytest.approx((0.25, 0.9), abs=0.03)
    assert data.labels.bincount().tolist() == [20] * 12


@pytest.mark.parametrize("frames", [1, 2, 31, 64])
def test_a_flat_spectrum_has_variance_1_and_comes_back_exactly(frames: int) -> None:
    colour = np.linspace(1.0, 0.0, frames // 2 + 1)
    noise = np.random.Generator(np.random.PCG64(1)).standard_normal((300, 1, frames))
    rows = np.fft.irfft(np.fft.rfft(noise) * colour, n=frames) / 10

    encoding = FlatSpectrum.of(rows)
    samples = encoding.forward(rows)
    restored = FlatSpectrum.restore(encoding.learnt(), frames)

    assert samples.square().mean().item() == pytest.approx(1, rel=1e-4)
    np.testing.assert_allclose(restored.backward(samples), rows, atol=1e-6)
    loud = np.fft.rfft(samples.numpy())[..., : max(1, frames // 4)]
    assert np.ptp((np.abs(loud) ** 2).mean(axis=(0, 1))) < 0.05 * frames


def test_silence_is_silent_in_network_units_too_and_clipping_is_at_full_scale() -> None:
    encoding = FlatSpectrum.of(np.zeros((3, 1, 8)))

    assert encoding.forward(np.zeros((3, 1, 8))).abs().max() == 0
    assert encoding.backward(torch.full((1, 1, 8), 3.0)).tolist() == [[[1.0] * 8]]


@pytest.mark.parametrize("name", [*PLANE, *TABLES])
def test_vectors_and_tables_have_mean_0_and_deviation_1_in_network_units(name: str) -> None:
    samples = open_dataset(DatasetRef(name=name)).samples.double()

    torch.testing.assert_close(samples.mean(dim=0), torch.zeros(samples.shape[1]).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(samples.std(dim=0), torch.ones(samples.shape[1]).double(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", TABLES)
def test_whitened_tables_have_no_correlations_left(name: str) -> None:
    samples = open_dataset(DatasetRef(name=name)).samples.double()

    off_diagonal = torch.corrcoef(samples.T) - torch.eye(samples.shape[1])
    assert off_diagonal.abs().max() < 1e-4


@pytest.mark.parametrize("name", RECORDED)
def test_real_rows_come_back_exactly_in_their_own_units(name: str) -> None:
    data = open_dataset(DatasetRef(name=name))

    rows = getattr(sklearn_datasets, f"load_{name}")().data
    np.testing.assert_array_equal(data.to_data_units(data.samples).reshape(rows.shape), rows)


def test_digits_lie_between_minus_1_and_1_and_leave_on_their_own_grid() -> None:
    data = open_dataset(DatasetRef(name="digits"))

    beyond = torch.tensor([-3.0, -1.0, 0.06, 0.07, 1.0, 2.0]).reshape(6, 1, 1, 1).expand(6, 1, 8, 8)
    exported = data.to_data_units(beyond)
    assert (data.samples.min(), data.samples.max()) == (-1, 1)
    assert exported.dtype == np.uint8
    assert exported[:, 0, 0, 0].tolist() == [0, 0, 8, 9, 16, 16]


def test_generated_rows_of_a_table_stay_within_its_range_and_decimals() -> None:
    data = open_dataset(DatasetRef(name="iris"))

    wild = 4 * torch.randn(500, 4, generator=torch.Generator().manual_seed(1))
    rows = data.to_data_units(wild)
    real = sklearn_datasets.load_iris().data
    assert np.all(rows >= real.min(axis=0))
    assert np.all(rows <= real.max(axis=0))
    np.testing.assert_array_equal(rows, rows.round(1))
