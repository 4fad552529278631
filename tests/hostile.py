"""Some four hundred files that mean harm or are broken, in twenty families, the same ones for the same seed."""

import gzip
import io
import struct
import wave
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, PngImagePlugin

from tests.uploads import make_idx, make_npy, make_npz, make_picture, make_zip

EACH = 20
Random = np.random.Generator


@cache
def good_files() -> tuple[bytes, ...]:
    """Return a small sound file of every format; the other families spoil them."""
    random = np.random.default_rng(1)
    pictures = random.integers(0, 256, (9, 8, 8, 3), dtype=np.uint8)
    table = {"n": np.arange(40), "x": random.normal(size=40), "word": ["red", "blue"] * 20}
    parquet = io.BytesIO()
    pq.write_table(pa.table(table), parquet)
    csv = "n,x,word\n" + "".join(f"{n},{n / 8},{'red' if n % 2 else 'blue'}\n" for n in range(40))
    return (
        zip_of([make_picture(one) for one in pictures]),
        zip_of([make_picture(one, "JPEG") for one in pictures], zipfile.ZIP_DEFLATED),
        make_npz(x=pictures, y=np.arange(9) % 2),
        make_npy(random.normal(size=(20, 3))),
        csv.encode(),
        parquet.getvalue(),
        a_wav(40_000),
        zip_of([a_wav(400)] * 8),
        gzip.compress(make_idx(pictures[..., 0])),
        make_zip({"images": make_idx(pictures[..., 0]), "labels": make_idx(np.arange(9))}),
    )


def zip_of(files: list[bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    return make_zip({f"{'ab'[number % 2]}/{number}": data for number, data in enumerate(files)}, method)


def a_wav(frames: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 16_000, frames, "NONE", ""))
        sound.writeframes((8000 * np.sin(np.arange(frames) / 7)).astype("<i2").tobytes())
    return file.getvalue()


def some(random: Random, number: int) -> bytearray:
    """Return a copy of a good file, each in turn."""
    return bytearray(good_files()[number % len(good_files())])


def truncated(random: Random, number: int) -> bytes:
    data = some(random, number)
    return bytes(data[: int(random.integers(1, len(data)))])


def flipped(random: Random, number: int) -> bytes:
    data = some(random, number)
    for at in random.integers(0, len(data), 6):
        data[at] ^= 1 << int(random.integers(8))
    return bytes(data)


def overwritten(random: Random, number: int) -> bytes:
    data = some(random, number)
    at, length = int(random.integers(0, len(data))), int(random.integers(1, 64))
    data[at : at + length] = bytes(length) if number % 2 else random.bytes(length)
    return bytes(data)


def continued(random: Random, number: int) -> bytes:
    """Something before or behind, or two files in one."""
    data, other = bytes(some(random, number)), bytes(some(random, number + 3))
    return (data + random.bytes(99), data + other, data + bytes(4096), data[: len(data) // 2] + other)[number % 4]


def random_after_magic(random: Random, number: int) -> bytes:
    magics = (b"PK\3\4", b"PK\5\6", b"\x93NUMPY", b"PAR1", b"RIFF\0\0\0\0WAVE", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff",
              b"\x1f\x8b\x08", b"\0\0\x08\x03", b"")  # fmt: skip
    tail = b"PAR1" if number % len(magics) == 3 else b""
    return magics[number % len(magics)] + random.bytes(int(random.integers(1, 5000))) + tail


def bomb(random: Random, number: int) -> bytes:
    zeros = bytes((4 + number) * 2**20)
    match number % 5:
        case 0:
            return make_zip({f"{n}.png": zeros for n in range(4)}, zipfile.ZIP_DEFLATED)
        case 1:
            return gzip.compress(make_idx(np.zeros((8, 2, 2))) + zeros)
        case 2:
            return make_zip({"x.npy": make_npy(np.zeros((2**20, 4 + number), np.uint8))}, zipfile.ZIP_DEFLATED)
        case 3:
            return make_zip({"images": gzip.compress(make_idx(np.zeros((8, 1024, 1024 + number))))})
        case _:
            return zip_of([a_png(30_000 + number, 30_000)] * 8)


def overlapping(random: Random, number: int) -> bytes:
    """Directory entries that point into one another: a quine's trick, Fifield 2019."""
    data = bytearray(zip_of([make_picture(np.full((8, 8), n, np.uint8)) for n in range(8 + number)]))
    for at in directory_entries(data)[1 : 2 + number]:
        offset = 0 if number % 2 else int(random.integers(0, 200))
        struct.pack_into("<L", data, at + 42, offset)
    return bytes(data)


def directory_entries(data: bytearray) -> list[int]:
    places, at = [], data.find(b"PK\1\2")
    while at >= 0:
        places.append(at)
        at = data.find(b"PK\1\2", at + 46)
    return places


def odd_name(random: Random, number: int) -> bytes:
    names = ("../out.png", "/var/out.png", "..\\out.png", "C:\\out.png", "a/../../out.png", "x" * 5000,
             "\u202egnp.exe", "=cmd|'/c calc'!A1/0.png", "con", ".", "..", "a/./b", "~root/x.png", "-rf", "a\nb.png",
             "\ud7ff.png", "\r\n.png", "//server/share.png", "a//b.png", "%2e%2e/x.png")  # fmt: skip
    picture = make_picture(np.full((8, 8), number, np.uint8))
    return make_zip({names[number]: picture, **{f"{names[number]}-{n}": picture for n in range(8)}})


def odd_entry(random: Random, number: int) -> bytes:
    """Links, devices, passwords, methods, lies about sizes and checksums, no entries at all."""
    picture = make_picture(np.full((8, 8), number, np.uint8))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", (zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)[number % 3]) as archive:
        for n in range(0 if number == 0 else 9):
            entry = zipfile.ZipInfo(f"{n}/" if number == 1 else f"{n}.png")
            entry.external_attr = ((0o120777, 0o060666, 0o010666, 0o100644)[number % 4]) << 16
            archive.writestr(entry, b"/etc/passwd" if number % 4 == 0 else picture)
    data = bytearray(file.getvalue())
    for at in directory_entries(data)[:1]:
        if number > 10:
            place = (8, 10, 16, 20, 24, 28, 30, 32, 34)[number % 9]  # flags, method, checksum, sizes, lengths, disk
            struct.pack_into("<H", data, at + place, int(random.integers(1, 2**16)))
    return bytes(data)


def lying_directory(random: Random, number: int) -> bytes:
    """End records that claim other counts, sizes and places, also those of ZIP64."""
    data = bytearray(good_files()[0])
    at = data.rfind(b"PK\5\6")
    struct.pack_into("<L", data, at + (8, 10, 12, 16)[number % 4], int(random.integers(0, 2**32)))
    if number >= 10:
        record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, *random.integers(0, 2**40, 4).tolist())
        locator = struct.pack("<4sLQL", b"PK\6\7", 0, int(random.integers(0, len(data))), 1)
        data[at:at] = record + locator
        struct.pack_into("<HHLL", data, data.rfind(b"PK\5\6") + 8, 65_535, 65_535, 2**32 - 1, 2**32 - 1)
    return bytes(data)


def nested(random: Random, number: int) -> bytes:
    inner = good_files()[number % len(good_files())]
    match number % 4:
        case 0:
            return zip_of([good_files()[0]] * 8)
        case 1:
            return make_zip({"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": b"<workbook/>"})
        case 2:
            return make_zip({"data": inner})
        case _:
            return gzip.compress(inner)


def lying_npy(random: Random, number: int) -> bytes:
    headers = (
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 1000000000000), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 4), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296, 4, 4), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (20,), }",
        "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (20,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (20, 0), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 20), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1,1,1,1,1,1), }",
        "__import__('os').system('touch harm')",
        "(" * 4000,
        "{'descr': '<U5', 'fortran_order': False, 'shape': (20, 3), }",
        "{'descr': '<m8', 'fortran_order': False, 'shape': (20, 3), }",
        "{'descr': '<f16', 'fortran_order': False, 'shape': (20, 3), }",
        "{'descr': '<c16', 'fortran_order': True, 'shape': (20, 3), }",
        "{'descr': '<V9', 'fortran_order': True, 'shape': (20, 3), }",
        "",
        "{'descr': '<f8', 'fortran_order': True, 'shape': (20, 3), }" + " " * 70_000,
        "{'descr': '<f4', 'fortran_order': True, 'shape': (20, 3), }",
        "{'shape': (20, 3)}",
    )
    header = headers[number].encode()
    length = struct.pack("<L", len(header) if number != 5 else 2**32 - 1)
    data = b"\x93NUMPY\2\0" + length + header + random.bytes(480)
    return data if number % 2 else make_zip({"x.npy": data})


class Harm:
    """Leaves a file behind when somebody unpickles it."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, ("harm", "w")


def pickled(random: Random, number: int) -> bytes:
    objects = np.array([Harm()] * (8 + number), dtype=object)
    file = io.BytesIO()
    if number % 3 == 0:
        np.save(file, objects, allow_pickle=True)
        return file.getvalue()
    if number % 3 == 1:
        np.savez(file, x=np.zeros((20, 3)), y=objects)
        return file.getvalue()
    return objects.dumps()


def not_finite(random: Random, number: int) -> bytes:
    shape: tuple[int, ...] = ((20, 3), (20, 4, 4), (20, 4, 4, 3), (3, 2))[number % 4]
    values = random.normal(size=shape) * 10.0 ** int(random.integers(0, 300))
    values.flat[int(random.integers(values.size))] = (np.nan, np.inf, -np.inf)[number % 3]
    return make_npy(values) if number % 2 else make_npz(x=values, y=np.full(len(values), np.nan))


def odd_csv(random: Random, number: int) -> bytes:
    texts = (
        "a,b\n1,2\n3\n", "a,b\n" + "1,2\n" * 30 + "1,2,3\n", "a,b\n1,\0\n" * 9, 'a,b\n"' + "1,2\n" * 500,
        "a\n" + "9" * 70_000, ",".join("abc") * 20_000, "a,b\n" + "=1+1,@x\n" * 20, "a;b\n" + "1,5;x\n" * 20,
        "\n" * 5000, "a,b\n", '"' * 999, "a,b\n" + "1e999,2\n" * 20, "a,b\n" + "inf,nan\n" * 20, "\ufeff" * 50,
        "a,b\r" + "1,2\r" * 20, "a,b\n" + "1,2\n" * 20 + '"x\ny",2\n', "a,a\n" + "1,2\n" * 20, "1,2\n" * 20,
        "d\n" + "2020-02-30\n" * 9 + "0001-01-01\n", "n\n" + "123456789012345678901234567890\n" * 20,
    )  # fmt: skip
    return texts[number].encode(("utf-8", "utf-16", "latin-1", "utf-8")[number % 4], "replace")


def odd_parquet(random: Random, number: int) -> bytes:
    columns = (
        {"x": [[1, 2]] * 20}, {"x": [{"a": 1}] * 20}, {"x": [b"\0\xff"] * 20}, {"x": [None] * 20}, {"x": []},
        {"x": [float("nan")] * 20}, {"x": [2**62 + n for n in range(20)]}, {"=x": ["=1+1", "\0"] * 10},
        {str(n): [1] for n in range(3000)}, {"x": ["y" * 100_000] * 20},
    )  # fmt: skip
    file = io.BytesIO()
    pq.write_table(pa.table(columns[number % 10]), file)
    data = bytearray(file.getvalue())
    if number >= 10:
        length = int.from_bytes(data[-8:-4], "little")
        at = len(data) - 8 - int(random.integers(0, length))
        data[at] ^= 0xFF
        data[-8:-4] = (length if number % 2 else int(random.integers(2**32))).to_bytes(4, "little")
    return bytes(data)


def odd_wav(random: Random, number: int) -> bytes:
    data = bytearray(a_wav(40_000))
    places = {20: "<H", 22: "<H", 24: "<L", 28: "<L", 32: "<H", 34: "<H", 4: "<L", 16: "<L", 40: "<L", 36: "<L"}
    place, form = list(places.items())[number % 10]
    largest = 2 ** (8 * struct.calcsize(form)) - 1
    struct.pack_into(form, data, place, (0, largest)[number % 2] if number < 10 else int(random.integers(largest)))
    if number == 19:
        data[12:12] = b"junk\0\0\0\0" * 5000
    return bytes(data) if number % 3 else zip_of([bytes(data)] * 8)


def a_png(width: int, height: int, depth: int = 8, colour: int = 0, extra: bytes = b"", body: bytes = b"") -> bytes:
    """Write the chunks of a PNG as told, with right checksums, whatever they say."""
    header = struct.pack(">LLBBBBB", width, height, depth, colour, 0, 0, 0)
    pixels = zlib.compress(body or bytes(2000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


@cache
def png_bomb(kind: bytes, bits: int) -> bytes:
    return chunk(kind, b"x\0\0" + zlib.compress(bytes(2**bits)))


def odd_png(random: Random, number: int) -> bytes:
    moving, palette = io.BytesIO(), io.BytesIO()
    frames = [Image.new("RGB", (8, 8), (n * 20, 0, 0)) for n in range(5)]
    frames[0].save(moving, "PNG", save_all=True, append_images=frames[1:])
    notes = PngImagePlugin.PngInfo()
    notes.add_text("x", "y" * 100_000, zip=True)
    Image.new("P", (8, 8)).save(palette, "PNG", transparency=0, pnginfo=notes)
    pictures = (
        a_png(2**31 - 1, 2**31 - 1), a_png(0, 0), a_png(5000, 5000), a_png(8, 8, 16), a_png(8, 8, 1),
        a_png(8, 8, 3), a_png(8, 8, 8, 3), a_png(8, 8, 8, 9),
        a_png(8, 8, extra=png_bomb(b"zTXt", 26)), a_png(8, 8, extra=png_bomb(b"iCCP", 24)), moving.getvalue(),
        palette.getvalue(), a_png(8, 8, 8, 6, body=random.bytes(264)), a_png(8, 8, body=b"\x09" * 99),
        a_png(8, 8, 16, 2),
        a_png(8, 8, extra=chunk(b"tRNS", b"")), a_png(8, 8, extra=chunk(b"eXIf", random.bytes(40))),
        a_png(8, 8, extra=chunk(b"PLTE", random.bytes(7))), a_png(8, 8, extra=chunk(b"acTL", bytes(8))),
        a_png(2, 2**24),
    )  # fmt: skip
    return zip_of([pictures[number]] * 8 + [make_picture(np.zeros((8, 8), np.uint8))] * (number % 2))


def odd_jpeg(random: Random, number: int) -> bytes:
    image = Image.fromarray(random.integers(0, 256, (8, 9, 3), dtype=np.uint8))
    file = io.BytesIO()
    mode = ("RGB", "CMYK", "L")[number % 3]
    exif = b"Exif\0\0" + random.bytes(60) if number % 4 == 1 else b""
    image.convert(mode).save(file, "JPEG", progressive=bool(number % 2), exif=exif)
    data = bytearray(file.getvalue())
    if number % 4 == 2:
        frame = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
        struct.pack_into(">HH", data, frame + 5, *random.integers(0, 2**16, 2).tolist())
    if number % 4 == 3:
        data = data[: int(random.integers(20, len(data)))]
    return zip_of([bytes(data)] * 9)


def false_name(random: Random, number: int) -> bytes:
    """Files that are not what they are called, kinds mixed in one archive, formats that are not taken."""
    file = io.BytesIO()
    form = ("GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO", "TGA", "PDF", "EPS", "JPEG2000")[number % 10]
    Image.new("RGB", (16, 16)).save(file, form)
    if number < 10:
        return make_zip({f"{n}.png": file.getvalue() for n in range(9)})
    picture, sound, array = make_picture(np.zeros((8, 8), np.uint8)), a_wav(400), make_npy(np.zeros((9, 3)))
    parts = [picture, sound, array, file.getvalue(), b"#!/bin/sh\n", b"<svg/>"]
    return make_zip({f"{n}.png": parts[(n + number) % len(parts)] for n in range(9)})


def odd_idx(random: Random, number: int) -> bytes:
    images = bytearray(make_idx(random.integers(0, 256, (9, 4, 4))))
    images[(2, 3, 4, 7, 8, 11, 15)[number % 7]] = int(random.integers(256))
    labels = make_idx(random.integers(0, 10, (9, 8, 300)[number % 3]))
    match number % 4:
        case 0:
            return bytes(images)
        case 1:
            return make_zip({"a": bytes(images), "b": labels})
        case 2:
            return gzip.compress(bytes(images))[: int(random.integers(10, 60))]
        case _:
            return make_zip({"a": gzip.compress(bytes(images)), "b": gzip.compress(labels), "c": labels})


FAMILIES: dict[str, Callable[[Random, int], bytes]] = {
    family.__name__: family
    for family in (
        truncated, flipped, overwritten, continued, random_after_magic, bomb, overlapping, odd_name, odd_entry,
        lying_directory, nested, lying_npy, pickled, not_finite, odd_csv, odd_parquet, odd_wav, odd_png, odd_jpeg,
        false_name, odd_idx,
    )
}  # fmt: skip


def files_of(family: str) -> Iterator[bytes]:
    """Yield the files of a family."""
    for number in range(EACH):
        yield FAMILIES[family](np.random.default_rng([len(family), number]), number)
