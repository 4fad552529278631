"""Sounds as they are uploaded: one WAV file, a zip of them."""

from pathlib import Path

import numpy as np
import pytest

from service.spec.datasets import TONES, TonesParams
from service.spec.facts import DatasetFacts
from tests.uploads import labels_of, make_wav, make_zip, prepare_bytes, rows_of
from worker.gan.data.tones import open_tones
from worker.ingest.mixtures import with_mixture
from worker.ingest.upload import BadUpload, Limits, Options

RATE = 16_000
TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)


@pytest.mark.parametrize(
    ("subtype", "error"), [("PCM_16", 2**-15), ("PCM_24", 2**-23), ("PCM_32", 1e-7), ("FLOAT", 1e-7)]
)
def test_every_form_is_read_as_libsndfile_wrote_it(tmp_path: Path, subtype: str, error: float) -> None:
    sounds = {f"{n}.wav": make_wav(TONE[: 640 + n], subtype=subtype) for n in range(8)}

    prepared = prepare_bytes(make_zip(sounds), tmp_path)

    assert (prepared.facts.modality, prepared.facts.shape, prepared.facts.sample_rate) == ("audio", (1, 640), RATE)
    assert np.abs(rows_of(tmp_path)[:, 0] - TONE[:640]).max() <= error


def test_channels_are_mixed_and_rates_brought_together(tmp_path: Path) -> None:
    fast = np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100) * 0.5
    stereo = make_wav(np.stack([fast, np.zeros_like(fast)], axis=1), rate=44_100)

    prepared = prepare_bytes(make_zip({f"{n}.wav": stereo for n in range(8)}), tmp_path)

    found = rows_of(tmp_path)[0, 0]
    assert prepared.facts.shape == (1, RATE)
    assert [remark.message for remark in prepared.remarks] == [
        "Sounds of 44,100 frames a second were converted to 16,000."
    ]
    assert np.abs(found - TONE / 2)[500:-500].max() < 0.01


def test_short_sounds_are_padded_long_ones_cut_and_folders_are_labels(tmp_path: Path) -> None:
    sounds = {f"{'low' if n < 4 else 'high'}/{n}.wav": make_wav(TONE[: 320 * (n + 1)]) for n in range(8)}

    prepared = prepare_bytes(make_zip(sounds), tmp_path, Options(seconds=0.1))

    assert prepared.facts.shape == (1, 1600)
    assert prepared.facts.labels == ("high", "low")
    assert labels_of(tmp_path) == [1] * 4 + [0] * 4
    assert "3 were cut, 4 padded" in prepared.remarks[0].message
    assert not rows_of(tmp_path)[0, 0, 320:].any()


@pytest.mark.parametrize(
    ("rates", "options", "rate", "remarks"),
    [
        ((8_000,), Options(), 8_000, []),
        ((8_000,), Options(sample_rate=16_000), 16_000, []),
        ((8_000, 16_000), Options(), 16_000, ["Sounds of 8,000 and 16,000 frames a second were converted to 16,000."]),
    ],
)
def test_sounds_of_one_rate_keep_it(
    tmp_path: Path, rates: tuple[int, ...], options: Options, rate: int, remarks: list[str]
) -> None:
    sounds = {f"{n}.wav": make_wav(TONE[: rates[n % len(rates)]], rate=rates[n % len(rates)]) for n in range(8)}

    prepared = prepare_bytes(make_zip(sounds), tmp_path, options)

    assert (prepared.facts.sample_rate, prepared.facts.shape) == (rate, (1, rate))
    assert [remark.message for remark in prepared.remarks] == remarks


def test_one_sound_of_a_low_rate_keeps_it(tmp_path: Path) -> None:
    prepared = prepare_bytes(make_wav(np.tile(TONE, 2), rate=8_000), tmp_path)

    assert (prepared.facts.sample_rate, prepared.facts.shape[1]) == (8_000, 1_984)


def test_one_sound_is_cut_into_pieces(tmp_path: Path) -> None:
    prepared = prepare_bytes(make_wav(np.tile(TONE, 3)), tmp_path, Options(seconds=0.2))

    assert rows_of(tmp_path).shape == (15, 1, 3200)
    assert np.abs(rows_of(tmp_path).reshape(-1) - np.tile(TONE, 3)).max() < 1e-4
    assert prepared.remarks == ()


def test_pure_tones_are_found_to_be_mixtures_of_few_and_noise_to_be_none(tmp_path: Path) -> None:
    tones = open_tones(TONES, TonesParams(count=600)).values
    noise = np.random.Generator(np.random.PCG64(1)).uniform(-1, 1, (600, 1, 1_000)).astype(np.float32)

    of_tones, of_noise = with_rows(tmp_path, tones), with_rows(tmp_path, noise)

    assert of_tones.components == pytest.approx(TONES.components, rel=0.05)
    assert of_tones.kept_power == TONES.kept_power == 1
    assert of_noise.kept_power is not None
    assert of_noise.kept_power < 0.3


def test_only_short_sounds_are_taken_apart(tmp_path: Path) -> None:
    short = prepare_bytes(make_wav(np.tile(TONE, 4)), make_directory(tmp_path / "short"), Options(seconds=0.5)).facts
    long = prepare_bytes(make_wav(np.tile(TONE, 8)), make_directory(tmp_path / "long"), Options(seconds=1)).facts

    assert short.kept_power == pytest.approx(1, abs=1e-3)
    assert (long.kept_power, long.components) == (None, None)


def with_rows(directory: Path, rows: np.ndarray) -> DatasetFacts:
    """Measure the facts of these sounds."""
    np.save(directory / "rows.npy", rows)
    facts = DatasetFacts("sounds", "audio", rows.shape[1:], len(rows), "0" * 64, sample_rate=RATE)
    return with_mixture(facts, directory / "rows.npy")


def make_directory(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (make_wav(TONE, subtype="PCM_U8"), "unknown_encoding", "8 bits"),
        (make_wav(TONE, subtype="ULAW"), "unknown_encoding", "form 7"),
        (make_wav(TONE)[:-100], "damaged", "31,900"),
        (make_wav(TONE)[:30], "damaged", "format chunk"),
        (make_wav(TONE[:10]), "too_few", "0 pieces"),
        (make_wav(np.full(4 * RATE, np.inf), subtype="FLOAT"), "out_of_range", "finite"),
        (make_zip({f"{n}.wav": make_wav(TONE) for n in range(8)} | {"9": b"RIFF"}), "damaged", '"9"'),
    ],
)
def test_what_is_wrong_with_a_sound_is_said(tmp_path: Path, data: bytes, code: str, words: str) -> None:
    with pytest.raises(BadUpload) as refused:
        prepare_bytes(data, tmp_path)

    assert refused.value.code == code
    assert words in str(refused.value)


def test_samples_of_too_many_frames_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadUpload, match="Ask for fewer seconds"):
        prepare_bytes(make_wav(TONE), tmp_path, Options(seconds=1), Limits(frames=8000))
