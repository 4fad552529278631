"""Sample files: what a person or a program reads back from each format is what the generator made."""

import csv
import dataclasses
import io
import wave
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from service.spec.facts import DatasetFacts
from service.spec.job import DatasetRef
from worker.gan.data.encoding import Pixels, Standardised
from worker.gan.data.registry import open_dataset
from worker.gan.data.training_data import TrainingData
from worker.gan.pictures import BLANK, EMPTY, GAP, PAPER, class_cells, draw_grid, draw_scatter, square_cells
from worker.gan.samples import exporter_for
from worker.gan.sampling import even_labels
from worker.gan.sounds import draw_sounds, draw_wave, spectrogram, to_wav


def opened(name: str) -> TrainingData:
    return open_dataset(DatasetRef(name=name))


def render_of(data: TrainingData, samples: torch.Tensor, labels: torch.Tensor | None) -> dict[str, bytes]:
    return exporter_for(data).render(samples, labels)


def rendered(name: str, count: int) -> dict[str, bytes]:
    data = opened(name)
    return render_of(data, data.samples[:count], None if data.labels is None else data.labels[:count])


def rows_of(file: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(file.decode())))


def picture(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)))


def with_pixels(*shape: int) -> tuple[TrainingData, torch.Tensor]:
    facts = DatasetFacts("pictures", "image", shape, 5, "")
    samples = torch.rand(5, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return TrainingData(facts, samples, None, Pixels(255)), samples


@pytest.mark.parametrize(
    ("name", "formats"),
    [
        ("digits", {"png", "npz", "zip"}),
        ("ring", {"png", "csv", "npz", "parquet"}),
        ("wine", {"csv", "npz", "parquet"}),
        ("tones", {"png", "wav", "npz", "zip"}),
    ],
)
def test_each_modality_has_its_formats(name: str, formats: set[str]) -> None:
    assert rendered(name, 10).keys() == formats


@pytest.mark.parametrize("name", ["digits", "ring", "iris", "tones"])
def test_equal_samples_give_equal_bytes_at_any_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = rendered(name, 10)
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)

    assert rendered(name, 10) == first


def test_npz_holds_samples_in_data_units_with_labels_and_their_names() -> None:
    data = opened("digits")

    with np.load(io.BytesIO(rendered("digits", 10)["npz"]), allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["samples"], data.to_data_units(data.samples[:10]))
        np.testing.assert_array_equal(arrays["labels"], data.labels[:10])
        assert arrays["label_names"].tolist() == list("0123456789")
        assert arrays["samples"].max() == 16


def test_npz_of_unlabelled_samples_holds_only_samples() -> None:
    with np.load(io.BytesIO(rendered("ring", 10)["npz"])) as arrays:
        assert arrays.files == ["samples"]


def test_csv_of_a_table_has_the_data_s_columns_and_the_class_last() -> None:
    header, first, *rest = rows_of(rendered("iris", 60)["csv"])

    assert header == ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)", "class"]
    assert first == ["5.1", "3.5", "1.4", "0.2", "setosa"]
    assert len(rest) == 59
    assert rest[-1][-1] == "versicolor"


def test_csv_of_an_unconditional_table_has_no_class() -> None:
    data = opened("iris")

    header, *_ = rows_of(render_of(data, data.samples[:3], None)["csv"])

    assert header == list(data.facts.columns)


def test_csv_of_points_reads_back_as_the_same_floats() -> None:
    data = opened("ring")

    header, *rows = rows_of(rendered("ring", 50)["csv"])

    assert header == ["x", "y"]
    np.testing.assert_array_equal(np.array(rows, dtype=np.float32), data.to_data_units(data.samples[:50]))


def test_csv_numbers_unnamed_columns() -> None:
    facts = DatasetFacts("vectors", "vector", (3,), 4, "")
    data = TrainingData(facts, torch.zeros(4, 3), None, Standardised(np.zeros(1), np.ones(1)))

    files = render_of(data, data.samples, None)

    assert rows_of(files["csv"])[0] == ["x1", "x2", "x3"]
    assert files.keys() == {"csv", "npz", "parquet"}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum", "\tx", "\rx"])
def test_csv_text_that_a_spreadsheet_would_run_is_quoted_but_numbers_are_not(text: str) -> None:
    facts = DatasetFacts("table", "table", (1,), 2, "", labels=(text, "plain"), columns=(text,))
    data = TrainingData(
        facts, torch.tensor([[-1.5], [2.0]]), torch.tensor([0, 1]), Standardised(np.zeros(1), np.ones(1))
    )

    rows = list(csv.reader(io.StringIO(render_of(data, data.samples, data.labels)["csv"].decode(), newline="")))

    assert rows == [["'" + text, "class"], ["-1.5", "'" + text], ["2", "plain"]]


def test_zip_holds_each_picture_in_its_own_size_named_by_its_class() -> None:
    data = opened("digits")

    with zipfile.ZipFile(io.BytesIO(rendered("digits", 70)["zip"])) as archive:
        names = archive.namelist()
        third = picture(archive.read(names[3]))

    assert len(names) == 70
    assert names[3] == "00003_3.png"
    np.testing.assert_array_equal(third, (data.to_data_units(data.samples[3])[0] / 16 * 255).round())


@pytest.mark.parametrize("label", ["../../etc", "a/b", "C:\\x", "name with spaces"])
def test_zip_names_cannot_leave_the_folder(label: str) -> None:
    digits = opened("digits")
    data = dataclasses.replace(digits, facts=dataclasses.replace(digits.facts, labels=(label,) * 10))

    with zipfile.ZipFile(io.BytesIO(render_of(data, data.samples[:1], torch.tensor([0]))["zip"])) as archive:
        (name,) = archive.namelist()

    assert not set(name) & set("/\\: ")


@pytest.mark.parametrize(("count", "columns"), [(64, 6), (200, 6), (30, 3), (10, 1)])
def test_a_grid_shows_as_many_of_each_class_without_holes(count: int, columns: int) -> None:
    data = opened("digits")
    labels = even_labels(count, 10)

    file = picture(render_of(data, torch.ones(count, 1, 8, 8), labels)["png"])

    side = (file.shape[0] - GAP) // 10 - GAP
    assert side % 8 == 0
    assert file.shape == (10 * (side + GAP) + GAP, columns * (side + GAP) + GAP)
    middles = file[GAP + side // 2 :: side + GAP, GAP + side // 2 :: side + GAP]
    np.testing.assert_array_equal(middles, np.full((10, columns), 255))


def test_every_sample_is_in_the_files_even_where_the_picture_leaves_it_out() -> None:
    data = opened("digits")

    files = render_of(data, data.samples[:64], even_labels(64, 10))

    with np.load(io.BytesIO(files["npz"])) as arrays, zipfile.ZipFile(io.BytesIO(files["zip"])) as archive:
        assert (len(arrays["samples"]), len(archive.namelist())) == (64, 64)


def test_a_cell_without_a_picture_is_a_quiet_grey() -> None:
    grid = np.asarray(draw_grid(np.zeros((3, 3, 8, 8), np.uint8), None))

    assert grid[-GAP - 1, -GAP - 1].tolist() == [BLANK] * 3
    assert grid[0, 0].tolist() == [PAPER] * 3


def test_a_grid_cell_is_the_picture_magnified_without_blur() -> None:
    pixels = torch.randint(0, 256, (4, 1, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8).numpy()

    grid = np.asarray(draw_grid(pixels, None))

    scale = (grid.shape[0] - 3 * GAP) // 16
    second_row_first = grid[GAP * 2 + 8 * scale : GAP * 2 + 16 * scale, GAP : GAP + 8 * scale]
    np.testing.assert_array_equal(second_row_first, np.kron(pixels[2, 0], np.ones((scale, scale))))


@pytest.mark.parametrize(("shape", "mode"), [((1, 6, 9), "L"), ((3, 28, 28), "RGB"), ((4, 5, 7), "RGBA")])
def test_pictures_of_any_size_and_channels_are_written(shape: tuple[int, ...], mode: str) -> None:
    data, samples = with_pixels(*shape)

    files = render_of(data, samples, None)

    assert Image.open(io.BytesIO(files["png"])).mode == mode
    with zipfile.ZipFile(io.BytesIO(files["zip"])) as archive:
        single = Image.open(io.BytesIO(archive.read("00000.png")))
    assert (single.mode, single.size) == (mode, (shape[2], shape[1]))


def test_large_pictures_are_not_shrunk() -> None:
    data, samples = with_pixels(3, 200, 300)

    width, height = Image.open(io.BytesIO(render_of(data, samples, None)["png"])).size

    assert (width, height) == (3 * 304 + GAP, 2 * 204 + GAP)


def test_cells_follow_the_classes() -> None:
    assert class_cells(np.array([7, 2, 7, 7, 2])).tolist() == [[1, 4], [0, 2]]
    assert class_cells(even_labels(64, 2).numpy()).shape == (2, 16)
    assert class_cells(even_labels(3, 5).numpy()).tolist() == [[0], [1], [2]]


def test_cells_are_filled_row_by_row_without_classes_or_with_one_or_many() -> None:
    assert square_cells(5).tolist() == [[0, 1, 2], [3, 4, EMPTY]]
    assert square_cells(70).tolist() == np.arange(64).reshape(8, 8).tolist()
    assert class_cells(np.zeros(4)).tolist() == [[0, 1], [2, 3]]
    assert class_cells(np.arange(17)).shape == square_cells(17).shape


def test_a_scatter_puts_a_sample_where_it_belongs_and_reals_set_the_limits() -> None:
    real = np.array([[-1.0, -1.0], [1.0, 1.0]])

    image = np.asarray(draw_scatter(real, np.array([[-1.0, 1.0], [500.0, 0.0]]))).astype(int)

    red, green, _ = np.moveaxis(image, 2, 0)
    rows, columns = np.nonzero(red - green > 100)
    margin = 640 * (0.16 / 2) / (1.16)
    assert image.shape == (640, 640, 3)
    assert rows.mean() == pytest.approx(margin / 2 + 0.08 / 1.16 * 640 / 2, abs=3)
    assert columns.mean() == pytest.approx(rows.mean(), abs=3)
    assert np.ptp(columns) < 10


def test_samples_of_one_class_or_one_sample_are_rendered() -> None:
    data = opened("digits")

    one = render_of(data, data.samples[:1], data.labels[:1])

    assert picture(one["png"]).ndim == 2


def frames_of(file: bytes) -> tuple[int, np.ndarray]:
    with wave.open(io.BytesIO(file)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth()) == (1, 2)
        return sound.getframerate(), np.frombuffer(sound.readframes(sound.getnframes()), "<i2")


def test_wav_holds_the_sounds_a_tenth_of_a_second_apart_and_zip_each_alone() -> None:
    data = opened("tones")
    labels = torch.tensor([0, 1, 4])

    files = render_of(data, data.samples[:3], labels)

    expected = (data.to_data_units(data.samples[:3])[:, 0] * 32_767).round()
    rate, frames = frames_of(files["wav"])
    assert (rate, len(frames)) == (16_000, 3 * 4_000 + 2 * 1_600)
    for number in range(3):
        np.testing.assert_array_equal(frames[number * 5_600 :][:4_000], expected[number])
        assert not frames[number * 5_600 + 4_000 :][:1_600].any()
    with zipfile.ZipFile(io.BytesIO(files["zip"])) as archive:
        names = archive.namelist()
        rate, second = frames_of(archive.read(names[1]))
    assert names[1] == "00001_C_.wav"
    assert rate == 16_000
    np.testing.assert_array_equal(second, expected[1])


def test_one_wav_follows_the_rows_of_the_picture_and_stays_short() -> None:
    data = opened("tones")

    files = render_of(data, torch.zeros(120, 1, 4_000), even_labels(120, 12))

    assert len(frames_of(files["wav"])[1]) == 60 * 5_600 - 1_600
    with zipfile.ZipFile(io.BytesIO(files["zip"])) as archive:
        assert len(archive.namelist()) == 120


def test_npz_of_sounds_says_how_fast_to_play_them() -> None:
    with np.load(io.BytesIO(rendered("tones", 4)["npz"]), allow_pickle=False) as arrays:
        assert arrays["sample_rate"] == 16_000
        assert arrays["samples"].shape == (4, 1, 4_000)


def test_frames_beyond_full_scale_are_cut_off() -> None:
    assert frames_of(to_wav(np.array([-2.0, -1, 0, 1, 2]), 8_000))[1].tolist() == [-32767, -32767, 0, 32767, 32767]


def test_a_spectrogram_shows_a_tone_at_its_place_in_mel() -> None:
    tone = np.sin(2 * np.pi * 1_000 * np.arange(16_000) / 16_000)

    levels = spectrogram(tone, 16_000)

    mel_of_1000, mel_of_8000 = 1_000, 2_840
    assert levels.shape == (48, 96)
    assert (abs(levels.argmax(axis=0) - 47 * (1 - mel_of_1000 / mel_of_8000)) <= 1).all()


def test_a_wave_is_drawn_from_its_lowest_to_its_highest_frame() -> None:
    drawn = draw_wave(np.repeat([0.0, 1.0], 480))

    ink = (drawn != 255).any(axis=0)
    rows, columns = np.nonzero(ink)
    assert set(rows[columns < 48]) == {11, 12}
    assert set(rows[columns >= 48]) == {0}


@pytest.mark.parametrize("frames", [1, 5, 95, 513])
def test_sounds_of_any_length_are_drawn(frames: int) -> None:
    assert draw_sounds(np.zeros((2, frames)), 8_000).shape == (2, 3, 72, 96)
