"""Measures of quality against closed forms, brute force and each other."""

import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from service.spec.datasets import STACKED_DIGITS, GridParams
from service.spec.facts import DatasetFacts, TableColumn
from service.spec.job import DatasetRef
from service.spec.quality import KNOWN_MIXTURES, KNOWN_MODES, KNOWN_PITCHES, METRICS, merit
from worker.gan.data.points import grid_mixture
from worker.gan.data.registry import open_dataset
from worker.gan.data.split import Split
from worker.gan.data.training_data import Rows
from worker.gan.metrics.baselines import draw_copula, draw_gaussian, shuffle_columns
from worker.gan.metrics.cache import Cache
from worker.gan.metrics.classifiers import train_on_made_test_on_real
from worker.gan.metrics.comparison import compare
from worker.gan.metrics.frechet import frechet_distance, frechet_of_moments, kernel_distance
from worker.gan.metrics.judges import teach_judges, turned
from worker.gan.metrics.mixtures import LAWS, Mixture, mixture_metrics
from worker.gan.metrics.neighbours import Neighbourhood, less_than
from worker.gan.metrics.pitches import Pitches, learn_pitches
from worker.gan.metrics.sounds import FULL_POWER, log_mel, log_mel_summary, power_spectra, spectral_convergence
from worker.gan.metrics.stacks import classes_of, learn_stacks
from worker.gan.metrics.tables import column_metrics
from worker.gan.metrics.yardstick import Yardstick, make_yardstick

HALVES = Split(0.5, seed=3)
TWO_NOTES = DatasetFacts(
    "notes", "audio", (1, 4_000), count=40, sha256="0" * 64, labels=("low", "high", "silent"), sample_rate=16_000
)
PICTURE = DatasetFacts("pictures", "image", (3, 40, 36), count=60, sha256="0" * 64)


def random() -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(5))


def yardstick_of(name: str, *, count: int = 1_000, split: Split = HALVES, cache: Path | None = None) -> Yardstick:
    ref = DatasetRef(name=name)
    return make_yardstick(ref, open_dataset(ref, split), count=count, split=split, cache=Cache(cache))


def test_frechet_distance_of_two_gaussians_is_the_closed_form() -> None:
    """With commuting covariances it is |m - n|^2 + sum (s_i - t_i)^2 over the deviations."""
    mean, other_mean = np.array([1.0, -2.0, 0.5]), np.array([0.0, 1.0, 0.5])
    deviation, other_deviation = np.array([1.0, 2.0, 0.5]), np.array([3.0, 0.1, 0.5])
    turn, _ = np.linalg.qr(random().standard_normal((3, 3)))

    distance = frechet_of_moments(
        mean, turn @ np.diag(deviation**2) @ turn.T, other_mean, turn @ np.diag(other_deviation**2) @ turn.T
    )

    expected = ((mean - other_mean) ** 2).sum() + ((deviation - other_deviation) ** 2).sum()
    assert distance == pytest.approx(expected, rel=1e-12)


def test_frechet_distance_grows_with_a_shift_and_stays_finite_where_a_feature_never_changes() -> None:
    rows = random().standard_normal((200, 4)) * [1, 1, 1, 0]

    assert frechet_distance(rows, rows) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(rows, rows + 2) == pytest.approx(16, rel=1e-9)


def test_kernel_distance_is_the_double_sum_of_its_definition() -> None:
    real, made = random().standard_normal((7, 3)), random().standard_normal((7, 3)) + 1
    scaled, other = (rows / np.sqrt((real**2).mean()) for rows in (real, made))

    def mean_kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.mean([[(x @ y / 3 + 1) ** 3 for y in b] for x in a]))

    expected = mean_kernel(scaled, scaled) + mean_kernel(other, other) - 2 * mean_kernel(scaled, other)
    assert kernel_distance(real, made) == pytest.approx(expected, rel=1e-9)
    assert kernel_distance(real, real) == pytest.approx(0, abs=1e-12)


def test_neighbourhood_metrics_are_those_of_brute_force() -> None:
    real, made, k = random().standard_normal((40, 3)), 0.7 * random().standard_normal((40, 3)) + 0.4, 5

    def distance(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.linalg.norm(a - b))

    def radius(rows: np.ndarray, i: int) -> float:
        return sorted(distance(rows[i], rows[j]) for j in range(len(rows)) if j != i)[k - 1]

    real_radii, made_radii = ([radius(rows, i) for i in range(40)] for rows in (real, made))
    in_real = [[distance(real[i], made[j]) <= real_radii[i] for j in range(40)] for i in range(40)]
    in_made = [[distance(real[i], made[j]) <= made_radii[j] for j in range(40)] for i in range(40)]

    assert Neighbourhood.of(real, real, k).metrics(made) == pytest.approx(
        {
            "precision": np.mean([any(in_real[i][j] for i in range(40)) for j in range(40)]),
            "recall": np.mean([any(in_made[i]) for i in range(40)]),
            "density": np.sum(in_real) / k / 40,
            "coverage": np.mean([any(in_real[i]) for i in range(40)]),
        }
    )


def test_a_fresh_draw_is_as_near_to_training_as_to_held_out_rows_and_a_copy_is_nearer() -> None:
    train, held_out, fresh = np.split(random().standard_normal((1_500, 2)), 3)
    neighbourhood = Neighbourhood.of(train, held_out)

    honest, copied = neighbourhood.memorisation(fresh), neighbourhood.memorisation(train + 1e-6)

    assert honest["nearer_to_train"] == pytest.approx(0.5, abs=0.1)
    assert honest["copying"] == pytest.approx(0.5, abs=0.1)
    assert copied["nearer_to_train"] > 0.98
    assert copied["copying"] > 0.98


def test_a_fresh_draw_is_as_near_to_fewer_training_rows_as_to_more_held_out_ones() -> None:
    rows = random().standard_normal((1_800, 8))
    neighbourhood = Neighbourhood.of(rows[:300], rows[300:1_300])

    assert neighbourhood.memorisation(rows[1_300:])["nearer_to_train"] == pytest.approx(0.5, abs=0.1)


def test_a_classifier_that_saw_one_class_is_as_good_as_that_is_frequent() -> None:
    real, labels = random().standard_normal((40, 2)), np.repeat([0, 1], [10, 30])

    assert train_on_made_test_on_real(real, np.ones(40, int), real, labels) == 0.75


def test_the_probability_of_being_less_counts_equal_ones_half() -> None:
    low, high = random().integers(0, 6, 50), random().integers(1, 8, 30)

    area = roc_auc_score(np.repeat([0, 1], [50, 30]), np.concatenate([low, high]))

    assert less_than(low, high) == pytest.approx(area)


def test_a_perfect_sampler_of_a_mixture_reaches_the_numbers_that_follow_from_its_law() -> None:
    grid = grid_mixture(GridParams())
    count = 40_000
    made = grid.centres[random().integers(0, 25, count)] + grid.sigma * random().standard_normal((count, 2))

    metrics = mixture_metrics(grid, made)

    assert metrics["modes"] == 25
    assert metrics["high_quality"] == pytest.approx(1 - np.exp(-4.5), abs=0.002)  # 98.889 %
    assert metrics["reverse_kl"] == pytest.approx(24 / (2 * count), rel=0.8)
    assert metrics["width"] == pytest.approx(1, abs=0.02)


def test_a_mode_that_is_missed_and_modes_that_are_too_narrow_show() -> None:
    grid = grid_mixture(GridParams())
    centres = np.repeat(grid.centres[:24], 10, axis=0)

    metrics = mixture_metrics(grid, centres + grid.sigma / 2 * random().standard_normal(centres.shape))

    assert metrics["modes"] == 24
    assert metrics["reverse_kl"] == pytest.approx(np.log(25 / 24))
    assert metrics["width"] == pytest.approx(0.5, abs=0.1)


def test_in_many_dimensions_a_sample_at_its_shell_counts_as_near() -> None:
    mixture = Mixture(10 * np.eye(3, 1_200), sigma=0.1)
    made = np.repeat(mixture.centres, 20, axis=0) + 0.1 * random().standard_normal((60, 1_200))

    metrics = mixture_metrics(mixture, made)

    assert (metrics["modes"], metrics["high_quality"]) == (3, 1)
    assert metrics["width"] == pytest.approx(1, abs=0.02)


def test_each_known_mixture_has_its_law() -> None:
    assert set(KNOWN_MIXTURES) == set(LAWS)
    assert set(KNOWN_MODES) == {*LAWS, STACKED_DIGITS.name}


def test_shuffled_columns_keep_their_shapes_and_lose_their_pairs() -> None:
    yardstick = yardstick_of("breast_cancer")
    random_state = np.random.Generator(np.random.PCG64(0))

    shuffled, copula = (
        column_metrics(yardstick.facts, yardstick.real.values, draw(yardstick.train, yardstick.real, random_state))
        for draw in (shuffle_columns, draw_copula)
    )

    assert shuffled["shapes"] > 0.9
    assert shuffled["pairs"] < copula["pairs"] - 0.1


def test_a_mixed_table_is_compared_by_numbers_names_and_gaps() -> None:
    columns = (TableColumn("size", "continuous", missing=True), TableColumn("kind", "category", ("a", "b", "c")))
    facts = DatasetFacts("mixed", "table", (5,), count=300, sha256="0" * 64, table=columns)
    kinds = random().integers(0, 3, 300)
    real = np.stack([kinds + 0.1 * random().standard_normal(300), kinds], axis=1)
    real[:30, 0] = np.nan
    without_c = np.where(real == 2, 1.0, real)
    unrelated = np.stack([real[:, 0], np.roll(real[:, 1], 7)], axis=1)

    assert column_metrics(facts, real, real) == {"shapes": 1, "pairs": 1, "category_coverage": 1}
    assert column_metrics(facts, real, without_c)["category_coverage"] == pytest.approx(2 / 3)
    assert column_metrics(facts, real, unrelated)["shapes"] == 1
    assert column_metrics(facts, real, unrelated)["pairs"] < 0.7


def test_baselines_have_the_moments_of_the_class_they_imitate() -> None:
    mean, labels = np.array([[0.0, 5.0], [9.0, -5.0]]), np.repeat([0, 1], 2_000)
    rows = mean[labels] + random().standard_normal((4_000, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])
    train = Rows(rows, labels)

    for draw in (draw_gaussian, draw_copula):
        made = draw(train, train, random())

        assert made[labels == 1].mean(axis=0) == pytest.approx(mean[1], abs=0.1)
        assert np.cov(made[labels == 0], rowvar=False) == pytest.approx(np.array([[1, 0.8], [0.8, 1]]), abs=0.1)


@pytest.mark.parametrize("name", ["ring", "digits", "iris", "tones", "stacked_digits"])
def test_every_metric_of_a_data_set_is_measured_and_real_rows_beat_the_baselines(name: str) -> None:
    ref = DatasetRef(name=name)
    data = open_dataset(ref, HALVES)
    yardstick = make_yardstick(ref, data, count=500, split=HALVES, cache=Cache(None))

    comparison = compare(yardstick, data, Cache(None), "a key")

    names = {metric.name for metric in METRICS.values() if metric.applies_to(data.facts)}
    for metrics in (comparison.real, *comparison.baselines.values()):
        assert set(metrics) == names
    trivial = comparison.baselines["class_gaussian" if data.facts.labels else "gaussian"]
    better = {"ring": "precision", "iris": "tstr"}.get(name, "frechet")
    assert merit(better, comparison.real) > merit(better, trivial)  # type: ignore[operator]


def test_an_unconditional_generator_is_measured_without_what_needs_labels() -> None:
    yardstick = yardstick_of("iris")

    assert "tstr" not in yardstick.measure(Rows(yardstick.train.values, None))


def test_judges_come_out_alike_and_are_taken_from_the_cache(tmp_path: Path) -> None:
    first, again = yardstick_of("digits", cache=tmp_path), yardstick_of("digits", cache=tmp_path)
    fresh = teach_judges(first.facts, first.train)

    for judge, same, kept in zip(first.judges, fresh, again.judges, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(judge.weights, same.weights, strict=True))
        assert all(np.array_equal(a, b) for a, b in zip(judge.weights, kept.weights, strict=True))
    assert len(list(tmp_path.iterdir())) == 1


def test_a_cache_that_is_spoiled_or_cannot_be_written_only_costs_time(tmp_path: Path) -> None:
    cache, nowhere = Cache(tmp_path), Cache(tmp_path / "file" / "below")
    (tmp_path / "file").write_bytes(b"")
    cache.keep("key", [np.arange(3)])
    os.truncate(tmp_path / "key.npz", 40)
    nowhere.keep("key", [np.arange(3)])

    assert cache.load("key") is None
    assert nowhere.load("key") is None


def test_of_a_full_cache_what_was_used_longest_ago_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.gan.metrics.cache._MOST_BYTES", 35_000)
    cache = Cache(tmp_path)
    for age, key in enumerate("cba"):
        cache.keep(key, [np.zeros(10_000, np.uint8)])
        os.utime(tmp_path / f"{key}.npz", (age, age))
    cache.load("c")

    cache.keep("d", [np.zeros(10_000, np.uint8)])

    assert sorted(path.stem for path in tmp_path.iterdir()) == ["a", "c", "d"]


def test_larger_pictures_without_labels_are_judged_by_which_way_up_they_are() -> None:
    fades = np.linspace(0, 255, 40)[:, None] * np.ones(36)
    pictures = np.clip(fades + 30 * random().standard_normal((60, 3, 40, 36)), 0, 255).astype(np.uint8)
    train = Rows(pictures, None)

    judge = teach_judges(PICTURE, train)[0]

    turned_pictures, ways = turned(pictures / 255)
    assert (judge.scores(judge.units(turned_pictures)).argmax(axis=1) == ways).mean() > 0.9
    assert judge.units(turned_pictures).shape == (60, 16)


def test_a_sound_is_loud_in_the_band_of_its_pitch_whatever_its_phase() -> None:
    time = np.arange(4_000) / 16_000
    low, shifted, high = (
        np.sin(2 * np.pi * f * time + phase)[None, None] for f, phase in ((440, 0), (440, 2), (3_000, 0))
    )

    bands = log_mel(np.concatenate([low, high]), 16_000).mean(axis=1)

    assert bands[0].argmax() < bands[1].argmax()
    near = np.abs(log_mel_summary(low, 16_000) - log_mel_summary(shifted, 16_000)).mean()
    far = np.abs(log_mel_summary(low, 16_000) - log_mel_summary(high, 16_000)).mean()
    assert near < far / 5
    assert spectral_convergence(low, shifted) < 0.05
    assert spectral_convergence(low, high) > 0.5


def test_noise_that_nobody_hears_is_silence_and_louder_noise_is_not() -> None:
    tone = notes(440.0)
    noise = random().standard_normal(tone.shape)

    def moved(level: float) -> float:
        summaries = [log_mel_summary(sounds, 16_000) for sounds in (tone, tone + level * noise)]
        return float(np.abs(summaries[0] - summaries[1]).mean())

    assert power_spectra(np.sin(np.pi / 8 * np.arange(4_000))[None, None]).max() == pytest.approx(FULL_POWER, rel=0.01)
    assert moved(1e-4) < 0.01
    assert moved(1e-2) > 1


def test_stacked_digits_fill_a_thousand_modes_evenly_and_two_fixed_channels_ten_of_them() -> None:
    law = yardstick_of("stacked_digits").law
    assert law is not None
    even = law.draw(random())
    fixed = even.copy()
    fixed[:, 1:] = even[0, 1:]

    whole, narrow = law.metrics(even), law.metrics(fixed)

    assert whole["modes"] == 1_000
    assert whole["reverse_kl"] == pytest.approx(999 / (2 * len(even)), rel=0.3)
    assert narrow["modes"] == 10
    assert narrow["reverse_kl"] == pytest.approx(np.log(100), abs=0.01)


def test_digits_that_no_judge_has_learnt_from_are_named_nearly_all() -> None:
    rows = open_dataset(DatasetRef(name="stacked_digits", params={"count": 1_000}), HALVES)
    pictures = rows.to_data_units(rows.samples[:])  # type: ignore[arg-type]
    some, others = Rows(pictures[:250], None), pictures[250:].reshape(-1, 8, 8)

    law = learn_stacks(rows.facts, some, cache=Cache(None), key="")

    seen = {digit.tobytes() for digit in law.digits}
    unseen = np.array([digit for digit in others if digit.tobytes() not in seen])
    assert len(unseen) > 200
    assert (law.digits_in(unseen[:, None])[:, 0] == classes_of(unseen)).mean() > 0.95


def notes(*hertz: float, noise: float = 0.0, harmonic: float = 0.0) -> np.ndarray:
    """Return twenty sounds of each frequency, every one of another phase and level."""
    rng, time = random(), np.arange(4_000) / 16_000
    angle = 2 * np.pi * (np.repeat(hertz, 20)[:, None] * time + rng.random((20 * len(hertz), 1)))
    waves = np.sin(angle) + harmonic * np.sin(2 * angle) + noise * rng.standard_normal(angle.shape)
    return (rng.uniform(0.2, 0.9, (len(waves), 1)) * waves)[:, None]


def test_tones_are_in_tune_within_a_quarter_of_a_semitone_and_noise_never_is() -> None:
    tuning = Pitches(np.array([440.0, 440 * 2 ** (1 / 12)]), are_of_classes=True, sample_rate=16_000)
    asked = np.repeat([0, 1], 20)
    right, detuned = tuning.hertz, tuning.hertz * 2 ** (40 / 1_200)
    noise = random().standard_normal((40, 1, 4_000))

    def measured(sounds: np.ndarray, labels: np.ndarray | None = asked) -> dict[str, float]:
        return tuning.metrics(Rows(sounds, labels))

    assert measured(notes(*right)) == {"pitches": 2, "in_tune": 1}
    assert measured(notes(*right * 2 ** (20 / 1_200)))["in_tune"] == 1
    assert measured(notes(*detuned)) == {"pitches": 0, "in_tune": 0}
    assert measured(notes(*right[::-1]))["in_tune"] == 0  # the other's pitch is the wrong one
    assert measured(notes(*right[::-1]), None)["in_tune"] == 1  # unless none was asked for
    assert measured(notes(right[0], right[0]), None) == {"pitches": 1, "in_tune": 1}
    assert measured(notes(*right, noise=0.02))["in_tune"] == 1
    assert measured(notes(*right, harmonic=0.2))["in_tune"] == 0  # 14 dB below the peak
    assert measured(noise)["in_tune"] == 0
    assert measured(np.zeros((40, 1, 4_000)))["in_tune"] == 0


def test_pitches_are_learnt_of_classes_else_of_semitones_and_not_at_all_of_what_has_none() -> None:
    classes = np.repeat([0, 1], 20)
    own, semitones = notes(430.0, 600.0), notes(440.0, 880.0)
    unrelated = np.arange(40) % 2
    noise = random().standard_normal((40, 1, 4_000))

    of_classes = learn_pitches(TWO_NOTES, Rows(own, classes))
    of_semitones = [learn_pitches(TWO_NOTES, Rows(semitones, labels)) for labels in (None, unrelated)]

    assert of_classes is not None
    assert of_classes.hertz == pytest.approx([430, 600, np.nan], rel=0.001, nan_ok=True)
    assert [found and (found.are_of_classes, found.hertz.tolist()) for found in of_semitones] == [
        (False, pytest.approx([440, 880]))
    ] * 2
    assert learn_pitches(TWO_NOTES, Rows(notes(430.0, 600.0), unrelated)) is None
    assert learn_pitches(TWO_NOTES, Rows(noise, classes)) is None
    assert set(KNOWN_PITCHES) == {"tones"}


def test_a_class_without_rows_has_no_pitch_and_nothing_hits_it() -> None:
    high = notes(600.0)
    pitches = learn_pitches(TWO_NOTES, Rows(high, np.ones(len(high), np.int64)))

    assert pitches is not None
    assert pitches.metrics(Rows(high, None)) == {"pitches": 1, "in_tune": 1}
    assert pitches.metrics(Rows(high, np.full(len(high), 2)))["in_tune"] == 0
