"""The codec of one segment: a block of consecutive steps as compressed bytes, its statistics, and how blocks are cut.

A segment covers the steps of one absolute block of SEGMENT_STEPS, and everything stored of it is a function of its
values alone. So the store looks the same however flushes and crashes happened to deliver the rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import zstandard

SEGMENT_STEPS = 4096

_FLOAT, _LENGTH = np.dtype("<f4"), np.dtype("<u4")
# Losses are noise in their low bits: higher levels cost ten times the time and win nothing.
_ZSTD_LEVEL = 1

Values = npt.NDArray[np.float32]
Steps = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """Consecutive steps: values is (C, N), because one column is what codecs and readers want together."""

    first_step: int
    values: Values

    @property
    def last_step(self) -> int:
        """Return the last step; first_step - 1 if the block is empty."""
        count: int = self.values.shape[1]
        return self.first_step + count - 1

    @property
    def steps(self) -> Steps:
        """Return the numbers of the steps, (N,)."""
        return np.arange(self.first_step, self.last_step + 1, dtype=np.int64)

    def cut(self, first: int, last: int) -> "Block":
        """Return the part that lies within the steps first to last, both included."""
        start = max(first, self.first_step)
        stop = max(min(last, self.last_step) + 1, start)
        return Block(start, self.values[:, start - self.first_step : stop - self.first_step])


def block_of(first_step: int, rows: npt.ArrayLike) -> Block:
    """Make a block of rows as a recorder hands them over, (N, C)."""
    return Block(first_step, np.ascontiguousarray(np.asarray(rows, dtype=_FLOAT).T))


def join(blocks: Sequence[Block]) -> Block:
    """Put blocks that follow each other without a gap into one."""
    return Block(blocks[0].first_step, np.concatenate([block.values for block in blocks], axis=1))


def is_full(last_step: int) -> bool:
    """Tell whether a segment that ends with this step takes no further one."""
    return last_step % SEGMENT_STEPS == 0


def split(block: Block) -> Iterator[Block]:
    """Cut a block where segments end, at the multiples of SEGMENT_STEPS."""
    first = block.first_step
    while first <= block.last_step:
        last = first + (-first) % SEGMENT_STEPS
        yield block.cut(first, last)
        first = last + 1


def pack(values: Values) -> bytes:
    """Compress (C, N) values, each column by itself, so that one is read without the others.

    The lengths of the compressed columns stand first. Bytes of equal significance stand together, which is what zstd
    can use.
    """
    columns, steps = values.shape
    bytewise = np.ascontiguousarray(values, dtype=_FLOAT).view(np.uint8).reshape(columns, steps, 4)
    compressor = zstandard.ZstdCompressor(_ZSTD_LEVEL)
    frames = [compressor.compress(planes) for planes in np.ascontiguousarray(bytewise.transpose(0, 2, 1))]
    return np.array([len(frame) for frame in frames], _LENGTH).tobytes() + b"".join(frames)


def unpack(payload: bytes, *, columns: int, chosen: Sequence[int]) -> Values:
    """Return the chosen columns of packed values, (len(chosen), N)."""
    planes = [np.frombuffer(column, np.uint8).reshape(4, -1) for column in _decompress(payload, columns, chosen)]
    parts = np.empty((len(planes), planes[0].shape[1], 4), np.uint8)
    for row, column in enumerate(planes):
        for place in range(4):  # five times as fast as a transposed copy
            parts[row, :, place] = column[place]
    return parts.view(_FLOAT)[..., 0]


def _decompress(payload: bytes, columns: int, chosen: Sequence[int]) -> list[bytes]:
    decompressor = zstandard.ZstdDecompressor()
    if payload.startswith(zstandard.FRAME_HEADER):  # which no length is: all columns as one, as they were packed once
        whole = decompressor.decompress(payload)
        size = len(whole) // columns
        return [whole[column * size : (column + 1) * size] for column in chosen]
    lengths = np.frombuffer(payload, _LENGTH, columns).tolist()
    ends = [*accumulate(lengths, initial=_LENGTH.itemsize * columns)]
    return [decompressor.decompress(payload[ends[column] : ends[column + 1]]) for column in chosen]


def statistics(block: Block, columns: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Describe each column: last, min and max with their first steps, sum, count of non-finite.

    Non-finite values take part in nothing but their count and leave None where there is no other (JSON has no NaN).
    """
    finite = np.isfinite(block.values)
    lowest = np.where(finite, block.values, np.inf).argmin(axis=1)
    highest = np.where(finite, block.values, -np.inf).argmax(axis=1)
    sums = np.where(finite, block.values, 0).sum(axis=1, dtype=np.float64)
    nonfinite = np.count_nonzero(~finite, axis=1)
    return {
        column: {
            "last": short(block.values[row, -1]),
            "min": short(block.values[row, lowest[row]]),
            "min_step": block.first_step + int(lowest[row]),
            "max": short(block.values[row, highest[row]]),
            "max_step": block.first_step + int(highest[row]),
            "sum": float(sums[row]),
            "nonfinite": int(nonfinite[row]),
        }
        for row, column in enumerate(columns)
    }


def short(value: np.float32) -> float | None:
    """Return the float with the fewest decimals that is this float32, or None if it is not finite."""
    return float(str(value)) if np.isfinite(value) else None
