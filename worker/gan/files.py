"""Training states and generators as safetensors files: tensors, and JSON in one metadata key. No pickle, no clock."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch
from torch import Tensor

from service.spec.headers import METADATA_KEY, read_metadata
from worker.gan.state import ENCODING, TrainingState, named, part

FORMAT = 1

Part = Literal["generator", "ema"]
Pieces = Sequence[bytes | memoryview]
"""A file as pieces of memory, one after the other; those of tensors are the tensors' own."""

_DTYPES = {  # in the order in which safetensors lays them out, so that each number is aligned
    torch.int64: "I64",
    torch.float64: "F64",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_RANKS = {dtype: rank for rank, dtype in enumerate(_DTYPES)}
_HEADER_ALIGNMENT = 8


class UnreadableState(Exception):
    """A file is not a training state of a format that this version reads."""


class MissingPart(Exception):
    """A training state holds no such part, as `ema` where no average is kept."""

    def __init__(self, missing: str) -> None:
        super().__init__(f"the training keeps no {missing}")
        self.missing = missing


def write_state(state: TrainingState) -> bytes:
    """Serialise a whole state; equal states give equal bytes."""
    return b"".join(state_pieces(state))


def state_pieces(state: TrainingState) -> Pieces:
    """Return the file of a whole state without a copy of its tensors: until it is stored they stay as they are."""
    return _pieces(state.tensors, state.facts)


def read_state(source: bytes | Path) -> TrainingState:
    """Read what write_state wrote; raises UnreadableState."""
    data = source if isinstance(source, bytes) else source.read_bytes()
    try:
        tensors, facts = safetensors.torch.load(data), read_metadata(io.BytesIO(data))
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise UnreadableState(str(error)) from error
    if facts.pop("format", None) != FORMAT:
        raise UnreadableState(f"not of format {FORMAT}")
    return TrainingState(tensors, facts)


def parts(state: TrainingState) -> tuple[Part, ...]:
    """Name the parts that can be cut out of a state."""
    return ("generator", "ema") if part("ema", state.tensors) else ("generator",)


def generator_file(state: TrainingState, which: Part) -> bytes:
    """Cut out one generator with what is needed to build it again; raises MissingPart.

    Only spec, step and weights are in it: equal training gives equal bytes, whatever job did it and when.
    """
    return b"".join(generator_pieces(state, which))


def generator_pieces(state: TrainingState, which: Part) -> Pieces:
    """Return the file of one generator as `state_pieces` does that of all; raises MissingPart."""
    if which not in parts(state):
        raise MissingPart(which)
    facts = {key: state.facts[key] for key in ("step", "samples_seen", "model", "dataset", "data")}
    encoding = named(ENCODING, part(ENCODING, state.tensors))
    return _pieces(part(which, state.tensors) | encoding, {**facts, "part": which})


def _pieces(tensors: dict[str, Tensor], facts: dict[str, Any]) -> Pieces:
    """Lay a file out as safetensors would, whose own writer would copy every tensor twice."""
    text = json.dumps({"format": FORMAT, **facts}, sort_keys=True, separators=(",", ":"), allow_nan=False)
    header: dict[str, Any] = {"__metadata__": {METADATA_KEY: text}}
    pieces, end = [], 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (_RANKS[item[1].dtype], item[0])):
        piece = _memory_of(tensor)
        begin, end = end, end + len(piece)
        header[name] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
        pieces.append(piece)
    written = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    written += b" " * (-len(written) % _HEADER_ALIGNMENT)
    return [len(written).to_bytes(8, "little") + written, *pieces]


def _memory_of(tensor: Tensor) -> memoryview:
    if not tensor.is_contiguous():
        raise ValueError("a tensor is written as it lies, which is not in order")
    in_order = tensor.as_strided((tensor.numel(),), (1,))  # of one number any stride is in order
    memory: memoryview = in_order.view(torch.uint8).numpy().data
    return memory
