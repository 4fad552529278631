"""Pictures as they are uploaded: zips of PNG and JPEG, arrays and IDX files."""

import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.uploads import labels_of, make_idx, make_npy, make_npz, make_picture, make_zip, prepare_bytes, rows_of
from worker.ingest.upload import BadUpload, Limits, Options

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (10, 6, 5), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (10, 6, 5, 3), dtype=np.uint8)


def named(pictures: list[bytes]) -> dict[str, bytes]:
    return {f"{number:02}.png": picture for number, picture in enumerate(pictures)}


def test_pngs_come_out_pixel_by_pixel(tmp_path: Path) -> None:
    prepared = prepare_bytes(make_zip(named([make_picture(one) for one in COLOUR])), tmp_path)

    assert (prepared.facts.modality, prepared.facts.shape, prepared.facts.count) == ("image", (3, 6, 5), 10)
    assert np.array_equal(rows_of(tmp_path), COLOUR.transpose(0, 3, 1, 2))
    assert prepared.remarks == ()
    with Image.open(tmp_path / "prepared" / prepared.preview) as preview:
        assert preview.width > 100


def test_folders_are_labels(tmp_path: Path) -> None:
    entries = {f"set/{'cats' if n % 2 else 'dogs'}/{n}.png": make_picture(one) for n, one in enumerate(GREY)}
    entries["__MACOSX/set/._0.png"] = b"nothing"
    prepared = prepare_bytes(make_zip(entries), tmp_path)

    assert prepared.facts.labels == ("cats", "dogs")
    assert labels_of(tmp_path) == [1, 0] * 5
    assert prepared.facts.shape == (1, 6, 5)


def test_pictures_of_other_sizes_are_brought_to_the_most_common_one(tmp_path: Path) -> None:
    pictures = [make_picture(one) for one in GREY[:8]] + [make_picture(np.zeros((9, 9), np.uint8))] * 2

    prepared = prepare_bytes(make_zip(named(pictures)), tmp_path)

    assert rows_of(tmp_path).shape == (10, 1, 6, 5)
    assert [remark.code for remark in prepared.remarks] == ["sizes_differ"]
    assert "2 of 10" in prepared.remarks[0].message


def test_alpha_is_kept_when_it_hides_something_and_dropped_when_not(tmp_path: Path) -> None:
    opaque = np.dstack([COLOUR[0], np.full((6, 5), 255, np.uint8)])
    veiled = np.dstack([COLOUR[0], GREY[0]])
    for name in ("opaque", "veiled"):
        (tmp_path / name).mkdir()

    without = prepare_bytes(make_zip(named([make_picture(opaque)] * 8)), tmp_path / "opaque")
    with_alpha = prepare_bytes(
        make_zip(named([make_picture(opaque)] * 7 + [make_picture(veiled)])), tmp_path / "veiled"
    )

    assert without.facts.shape == (3, 6, 5)
    assert with_alpha.facts.shape == (4, 6, 5)
    assert np.array_equal(rows_of(tmp_path / "veiled")[7], veiled.transpose(2, 0, 1))


def test_palettes_sixteen_bits_cmyk_and_lying_cameras_are_read_as_a_person_sees_them(tmp_path: Path) -> None:
    deep = io.BytesIO()
    Image.fromarray(GREY[0].astype(np.uint16) * 257).save(deep, "PNG")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    turned = make_picture(COLOUR[1].transpose(1, 0, 2), "JPEG", exif=exif)
    cmyk = make_picture(COLOUR[2], "JPEG", "CMYK")
    palette = make_picture(COLOUR[3], mode="P")
    pictures = [make_picture(one) for one in COLOUR[4:]]

    prepared = prepare_bytes(make_zip(named([deep.getvalue(), turned, cmyk, palette, *pictures])), tmp_path)

    assert prepared.facts.shape == (3, 6, 5)
    assert np.array_equal(rows_of(tmp_path)[0, 0], GREY[0])
    assert [remark.code for remark in prepared.remarks] == ["deep_pictures"]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (GREY, GREY[:, None]),
        (COLOUR, COLOUR.transpose(0, 3, 1, 2)),
        (COLOUR.transpose(0, 3, 1, 2), COLOUR.transpose(0, 3, 1, 2)),
        (np.asfortranarray(GREY), GREY[:, None]),
        (GREY / 255, GREY[:, None]),
        ((GREY / 127.5 - 1).astype(np.float32), GREY[:, None]),
        (GREY > 127, np.where(GREY > 127, 255, 0)[:, None]),
        (GREY.astype(">i4"), GREY[:, None]),
    ],
)
def test_arrays_of_pictures_become_pixels(tmp_path: Path, array: np.ndarray, expected: np.ndarray) -> None:
    prepared = prepare_bytes(make_npz(x=array, y=np.arange(10) % 3 + 5), tmp_path)

    assert np.array_equal(rows_of(tmp_path), expected)
    assert prepared.facts.labels == ("5", "6", "7")
    assert labels_of(tmp_path)[:4] == [0, 1, 2, 0]


def test_the_brightest_of_few_greys_is_white(tmp_path: Path) -> None:
    digits = (GREY % 17).astype(np.uint8)
    digits[0, 0, 0] = 16

    prepared = prepare_bytes(make_npy(digits), tmp_path)

    assert prepared.facts.white == 16
    assert np.array_equal(rows_of(tmp_path), digits[:, None])


def test_a_zip_of_idx_files_pairs_pictures_with_labels(tmp_path: Path) -> None:
    entries = {"labels": gzip.compress(make_idx(np.arange(10) % 2)), "images": gzip.compress(make_idx(GREY))}

    prepared = prepare_bytes(make_zip(entries), tmp_path)

    assert np.array_equal(rows_of(tmp_path), GREY[:, None])
    assert prepared.facts.labels == ("0", "1")


def test_one_gzipped_idx_file_is_pictures_without_labels(tmp_path: Path) -> None:
    prepared = prepare_bytes(gzip.compress(make_idx(GREY)), tmp_path)

    assert np.array_equal(rows_of(tmp_path), GREY[:, None])
    assert prepared.facts.labels == ()
    assert sorted(path.name for path in (tmp_path / "prepared").iterdir()) == ["preview.png", "rows.npy"]


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (make_picture(GREY[0]), "unknown_format", "zip"),
        (make_zip(named([make_picture(GREY[0])] * 3)), "too_few", "3 pictures"),
        (make_zip(named([make_picture(GREY[0])] * 8) | {"x.png": b"text"}), "damaged", "x.png"),
        (make_zip(named([make_picture(np.zeros((100, 101), np.uint8))] * 8)), "too_many_pixels", "101 x 100"),
        (make_npy(np.full((10, 4, 4), np.nan)), "not_finite", "Sample 0"),
        (make_npy(np.full((10, 4, 4), 300)), "out_of_range", "300"),
        (make_npz(x=GREY, y=np.arange(9)), "labels_differ", "9 labels for 10"),
        (make_npz(a=GREY, b=GREY), "which_array", '"a", "b"'),
        (make_npy(np.array([{}] * 9)), "unfit_array", "no objects"),
        (make_npy(GREY)[:-1], "damaged", "holds 299"),
        (gzip.compress(make_idx(GREY))[:-20], "damaged", "gzip"),
    ],
)
def test_what_is_wrong_with_pictures_is_said(tmp_path: Path, data: bytes, code: str, words: str) -> None:
    with pytest.raises(BadUpload) as refused:
        prepare_bytes(data, tmp_path, limits=Limits(pixels=10_000))

    assert refused.value.code == code
    assert words in str(refused.value)


def test_a_wish_that_the_file_cannot_fulfil_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadUpload, match="image data, not audio data"):
        prepare_bytes(make_npy(GREY), tmp_path, Options(modality="audio"))
