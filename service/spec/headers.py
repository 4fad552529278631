"""What a generator's file says of itself: the JSON in its header, which is read without its tensors."""

import io
import json
from dataclasses import dataclass
from typing import Any

from service.spec.facts import DatasetFacts, facts_from_json

METADATA_KEY = "ganymede"  # one key: safetensors writes several in an order of its own
_LENGTH_BYTES = 8
_MOST_BYTES = 64 * 2**20  # a longer header is none of ours


@dataclass(frozen=True)
class GeneratorHeader:
    """What can be asked of a generator: the data it imitates, whether it is told classes, how many latents it takes."""

    facts: DatasetFacts
    conditional: bool
    latent_dim: int


def read_metadata(file: io.BufferedIOBase) -> dict[str, Any]:
    """Return the JSON that we put into a safetensors file; raises ValueError or KeyError for any other file."""
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if length > _MOST_BYTES:
        raise ValueError("the header is too long")
    metadata: dict[str, Any] = json.loads(json.loads(file.read(length))["__metadata__"][METADATA_KEY])
    return metadata


def read_header(file: io.BufferedIOBase) -> GeneratorHeader:
    """Return what a generator's file says; raises ValueError or KeyError for a file of another kind."""
    metadata = read_metadata(file)
    model = metadata["model"]
    return GeneratorHeader(facts_from_json(metadata["data"]), model["conditional"], model["latent_dim"])
