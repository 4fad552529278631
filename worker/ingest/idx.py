"""The IDX format of the MNIST files, plain or gzipped; a zip may pair pictures with labels."""

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from service.spec.facts import DatasetFacts
from worker.ingest.archive import Archive
from worker.ingest.arrays import prepare_array
from worker.ingest.bench import Bench
from worker.ingest.npy import ArrayHeader, map_numbers
from worker.ingest.upload import BadUpload, Limits

# http://yann.lecun.com/exdb/mnist: two zeros, the type, the number of axes, the axes as big-endian integers.
TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MOST_AXES = 4
GZIP_MAGIC = b"\x1f\x8b"
PIECE = 2**20


def looks_like_idx(head: bytes) -> bool:
    """Tell by the first four bytes."""
    return len(head) >= 4 and head[:2] == b"\0\0" and head[2] in TYPES and 1 <= head[3] <= MOST_AXES


def prepare_idx(bench: Bench, path: Path) -> DatasetFacts:
    """Prepare one file of pictures."""
    return prepare_array(bench, _map_idx(bench, _file_pieces(path), "The file"), None)


def prepare_idx_archive(bench: Bench, archive: Archive) -> DatasetFacts:
    """Prepare a zip of one file of pictures and one of labels, or of pictures alone."""
    if len(archive.entries) > 2:
        raise BadUpload("which_array", "A zip of IDX files holds one file of pictures and one of their labels.")
    arrays = [_map_idx(bench, archive.pieces(entry), "An IDX file") for entry in archive.entries]
    samples = [array for array in arrays if array.ndim > 1]
    labels = [array for array in arrays if array.ndim == 1]
    if len(samples) != 1:
        raise BadUpload("which_array", "A zip of IDX files holds one file of pictures and one of their labels.")
    return prepare_array(bench, samples[0], labels[0] if labels else None)


def _map_idx(bench: Bench, pieces: Iterable[bytes], name: str) -> np.ndarray:
    path = bench.scratch()
    with path.open("xb") as file:
        for piece in _unzipped(pieces, name, bench.limits):
            file.write(piece)
        size = file.tell()
    header = _read_header(path, name)
    return map_numbers(path, name, header, size - header.data_at)


def _read_header(path: Path, name: str) -> ArrayHeader:
    with path.open("rb") as file:
        head = file.read(4)
        axes = file.read(4 * head[3]) if looks_like_idx(head) else b""
    if not axes or len(axes) != 4 * head[3]:
        raise BadUpload("damaged", f"{name} does not begin as an IDX file does.")
    shape = tuple(int(size) for size in np.frombuffer(axes, ">u4"))
    return ArrayHeader(np.dtype(TYPES[head[2]]), shape, "C", 4 + len(axes))


def _file_pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def _unzipped(pieces: Iterable[bytes], name: str, limits: Limits) -> Iterator[bytes]:
    """Undo gzip where there is one, never more than a piece at a time and never a bomb."""
    unpacker, packed, unpacked = None, 0, 0
    for number, piece in enumerate(pieces):
        packed += len(piece)
        if number == 0 and piece[:2] == GZIP_MAGIC:
            unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)  # https://docs.python.org/3/library/zlib.html: gzip
        for part in [piece] if unpacker is None else _inflate(unpacker, piece, name):
            unpacked += len(part)
            if unpacked > min(limits.prepared_bytes, limits.ratio_free_bytes + limits.ratio * packed):
                raise BadUpload("suspicious_ratio", f"{name} unpacks to more than {limits.ratio} times its size.")
            yield part
    if unpacker is not None and not unpacker.eof:
        raise BadUpload("damaged", f"{name} ends in the midst of its gzip data; send it again.")


def _inflate(unpacker: "zlib._Decompress", piece: bytes, name: str) -> Iterator[bytes]:
    while piece and not unpacker.eof:
        try:
            yield unpacker.decompress(piece, PIECE)
        except zlib.error:
            raise BadUpload("damaged", f"{name} is damaged gzip data.") from None
        piece = unpacker.unconsumed_tail


def is_gzipped_idx(head: bytes) -> bool:
    """Tell by the first bytes of a file whether its gzip data begins as IDX does."""
    try:
        return looks_like_idx(zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, 4))
    except zlib.error:
        return False
