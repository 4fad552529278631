"""Arrays in numpy's own format, read header first by a parser that knows nothing but plain numbers."""

import math
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np

from worker.ingest.upload import BadUpload

MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 4_096  # numpy writes 118 characters for a plain array

# https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html; a pattern instead of a literal parser, which
# can be made to recurse, and no dtype that could hold objects, fields or text.
HEADER = re.compile(
    r"\{\s*'descr':\s*'(?P<descr>[<>|=]?(?:b1|[iu][1248]|f[248]))',\s*"
    r"'fortran_order':\s*(?P<fortran>True|False),\s*"
    r"'shape':\s*\((?P<shape>(?:\d{1,15},?\s*){0,4})\),?\s*\}\s*"
)


@dataclass(frozen=True)
class ArrayHeader:
    """What an array is, and where in its file its numbers begin."""

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    data_at: int


def read_header(file: BinaryIO, name: str) -> ArrayHeader:
    """Read the header of an array; raises BadUpload for anything but numbers in at most four dimensions."""
    start = file.read(8)
    if start[:6] != MAGIC or len(start) < 8 or start[6] not in (1, 2, 3):
        raise BadUpload("damaged", f"{name} does not begin as an .npy file does.")
    form = "<H" if start[6] == 1 else "<L"
    given = file.read(struct.calcsize(form))
    length = struct.unpack(form, given)[0] if len(given) == struct.calcsize(form) else 0
    if not 0 < length <= LONGEST_HEADER:
        raise BadUpload("damaged", f"{name} has a header of {length:,} bytes; numpy writes about a hundred.")
    found = HEADER.fullmatch(file.read(length).decode("latin-1"))
    if found is None:
        message = f"{name} is no plain array: save numbers or booleans of at most four dimensions, no objects or text."
        raise BadUpload("unfit_array", message)
    shape = tuple(int(size) for size in re.findall(r"\d+", found["shape"]))
    return ArrayHeader(np.dtype(found["descr"]), shape, "F" if found["fortran"] == "True" else "C", file.tell())


def map_array(path: Path, name: str) -> np.ndarray:
    """Map the array of a file into memory; raises BadUpload unless the file is exactly as long as its header says."""
    with path.open("rb") as file:
        header = read_header(file, name)
        held_bytes = file.seek(0, 2) - header.data_at
    return map_numbers(path, name, header, held_bytes)


def map_numbers(path: Path, name: str, header: ArrayHeader, held_bytes: int) -> np.ndarray:
    """Map numbers that are described already; raises BadUpload unless there are exactly as many as described."""
    needed_bytes = math.prod(header.shape) * header.dtype.itemsize
    if needed_bytes != held_bytes:
        message = f"{name} should hold {needed_bytes:,} bytes of numbers and holds {held_bytes:,}; it is damaged."
        raise BadUpload("damaged", message)
    if needed_bytes == 0:
        raise BadUpload("too_few", f"{name} is empty: its shape is {header.shape}.")
    return np.memmap(path, header.dtype, mode="r", offset=header.data_at, shape=header.shape, order=header.order)
