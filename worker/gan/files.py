"""Training states and generators as safetensors files: tensors, and JSON in one metadata key. No pickle, no clock."""

import io
import json
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
from torch import Tensor

from service.spec.headers import METADATA_KEY, read_metadata
from worker.gan.state import ENCODING, TrainingState, part, snapshot

FORMAT = 1

Part = Literal["generator", "ema"]


class UnreadableState(Exception):
    """A file is not a training state of a format that this version reads."""


class MissingPart(Exception):
    """A training state holds no such part, as `ema` where no average is kept."""

    def __init__(self, missing: str) -> None:
        super().__init__(f"the training keeps no {missing}")
        self.missing = missing


def write_state(state: TrainingState) -> bytes:
    """Serialise a whole state; equal states give equal bytes."""
    return _write(state.tensors, state.facts)


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
    if which not in parts(state):
        raise MissingPart(which)
    facts = {key: state.facts[key] for key in ("step", "samples_seen", "model", "dataset", "data")}
    encoding = snapshot(ENCODING, part(ENCODING, state.tensors))
    return _write(part(which, state.tensors) | encoding, {**facts, "part": which})


def _write(tensors: dict[str, Tensor], facts: dict[str, Any]) -> bytes:
    text = json.dumps({"format": FORMAT, **facts}, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return safetensors.torch.save(tensors, metadata={METADATA_KEY: text})
