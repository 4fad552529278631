"""A zip of PNG and JPEG files: every picture checked before it is decoded, and brought to one size."""

import io
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from service.spec.facts import DatasetFacts
from worker.gan.pictures import MODES
from worker.ingest.archive import Archive, folder_of, place
from worker.ingest.bench import Bench, classes_of_folders, require_samples
from worker.ingest.upload import BadUpload, shown

FORMATS = ("PNG", "JPEG")
GREY_MODES = {"1", "L", "I", "I;16", "I;16B", "F"}
DEEP_MODES = {"I", "I;16", "I;16B"}
ALPHA_MODES = {"LA", "PA", "RGBA", "La", "RGBa"}
_Answer = TypeVar("_Answer")
ORIENTATION, LYING = 0x0112, (5, 6, 7, 8)  # EXIF: values at which width and height change places
COMMON_SHARE = 0.5  # a size that so many pictures have is that of the data set

# Decoders of hostile bytes raise nearly everything; a fault of ours would be seen by the tests of good pictures.
_FAULTS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, EOFError, RuntimeError,
    Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What a picture's header says, and of one with an alpha channel whether that hides anything."""

    size: tuple[int, int]  # width, height, as shown
    grey: bool
    transparent: bool
    deep: bool
    moving: bool


def prepare_photos(bench: Bench, archive: Archive) -> DatasetFacts:
    """Prepare a zip of pictures, whose folders are classes."""
    bench.check_modality("a zip of pictures", "image")
    require_samples(len(archive.entries), "pictures")
    seen = [_with_picture(bench, archive, number, look) for number in range(len(archive.entries))]
    channels = 4 if any(one.transparent for one in seen) else 1 if all(one.grey for one in seen) else 3
    width, height = choose_size(bench, [one.size for one in seen])
    _remark(bench, seen)
    with bench.write_rows(np.uint8, (channels, height, width)) as writer:
        for number in range(len(archive.entries)):
            writer.append(
                _with_picture(bench, archive, number, lambda picture: pixels(picture, channels, (width, height)))
            )
    names, classes = classes_of_folders([folder_of(entry) for entry in archive.entries])
    if names:
        bench.write_labels(classes, len(names), writer.count)
    return DatasetFacts(
        bench.upload.name, "image", (channels, height, width), writer.count, bench.upload.sha256, labels=names
    )


def look(picture: Image.Image) -> Seen:
    """Read the header of a picture, and its alpha channel if it has one."""
    width, height = picture.size
    lying = picture.getexif().get(ORIENTATION) in LYING
    has_alpha = picture.mode in ALPHA_MODES or "transparency" in picture.info
    return Seen(
        (height, width) if lying else (width, height),
        grey=picture.mode in GREY_MODES or picture.mode == "LA",
        transparent=has_alpha and picture.convert("RGBA").getchannel("A").getextrema()[0] != 255,
        deep=picture.mode in DEEP_MODES,
        moving=getattr(picture, "n_frames", 1) > 1,
    )


def pixels(picture: Image.Image, channels: int, size: tuple[int, int]) -> np.ndarray:
    """Return a picture as (1, C, H, W) uint8, upright, cropped to the shape in its middle and scaled."""
    upright = ImageOps.exif_transpose(picture)
    if upright.mode in DEEP_MODES:  # 16 bits; Pillow would cut off what is above 255
        upright = Image.fromarray((np.asarray(upright).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    converted = upright.convert(MODES[channels])
    if converted.size != size:
        converted = ImageOps.fit(converted, size, Image.Resampling.LANCZOS)
    array = np.asarray(converted)
    return (array[:, :, None] if channels == 1 else array).transpose(2, 0, 1)[None]


def choose_size(bench: Bench, sizes: list[tuple[int, int]]) -> tuple[int, int]:
    """Return the size that at least half of the pictures have, or the median of widths and heights."""
    counts = Counter(sizes)
    size, having = max(counts.items(), key=lambda item: (item[1], item[0]))
    if having < COMMON_SHARE * len(sizes):
        size = (int(np.median([width for width, _ in sizes])), int(np.median([height for _, height in sizes])))
    others = len(sizes) - counts[size]
    if others:
        message = (
            f"{others:,} of {len(sizes):,} pictures were cropped in their middle and scaled to {size[0]} x {size[1]}."
        )
        bench.remark("sizes_differ", message)
    return size


def _remark(bench: Bench, seen: list[Seen]) -> None:
    deep, moving = sum(one.deep for one in seen), sum(one.moving for one in seen)
    if deep:
        bench.remark("deep_pictures", f"{deep:,} pictures of 16 bits were reduced to 8.")
    if moving:
        bench.remark("moving_pictures", f"{moving:,} pictures move; their first frame was taken.")


def _with_picture(bench: Bench, archive: Archive, number: int, use: Callable[[Image.Image], _Answer]) -> _Answer:
    entry = archive.entries[number]
    with _told_as_damage(place(entry)), Image.open(io.BytesIO(archive.read(entry)), formats=FORMATS) as picture:
        width, height = picture.size
        if width * height > bench.limits.pixels:
            message = f"{place(entry)} has {width:,} x {height:,} pixels; at most {bench.limits.pixels:,} are taken."
            raise BadUpload("too_many_pixels", message)
        return use(picture)


@contextmanager
def _told_as_damage(name: str) -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            yield
        except UnidentifiedImageError:  # its own words tell an address in memory
            raise BadUpload("damaged", f"{name} is no PNG or JPEG picture.") from None
        except _FAULTS as error:
            raise BadUpload("damaged", f"{name} is no PNG or JPEG picture that can be read: {shown(error)}.") from None
