"""Random numbers as a function of (seed, stream, draw): nothing is drawn in sequence, a resume needs no state of it."""

from enum import IntEnum
from functools import lru_cache
from hashlib import sha256

import torch

STREAM_BITS = 3


class Stream(IntEnum):
    """What a draw is for. The numbers are part of every training: never reuse or reorder them."""

    INITIAL_WEIGHTS = 0
    EPOCH_ORDER = 1
    LATENTS = 2
    LATENTS_AGAIN = 3
    SAMPLES = 4
    TORCH_GLOBAL = 5
    ROUND = 6
    QUALITY = 7


def random_for(seed: int, stream: Stream, draw: int) -> torch.Generator:
    """Return a CPU generator of its own for one draw: equal arguments, equal numbers."""
    return torch.Generator().manual_seed(seed_for(seed, stream, draw))


def seed_torch(seed: int, draw: int, device: torch.device) -> None:
    """Seed what layers draw from by themselves, such as dropout."""
    # torch.manual_seed would also walk every backend, for a tenth of a millisecond a step.
    torch.default_generator.manual_seed(seed_for(seed, Stream.TORCH_GLOBAL, draw))
    if device.type == "cuda":
        torch.cuda.manual_seed(seed_for(seed, Stream.TORCH_GLOBAL, draw))


def seed_for(seed: int, stream: Stream, draw: int) -> int:
    """Return a 32-bit seed that no other (stream, draw) of the same job has, for 2^29 draws of each stream.

    torch's CPU generator keeps only 32 bits of a seed, so hashes would meet after some 2^16 draws. A bijection cannot:
    the counter is masked by two keys with an invertible mix between them (Even and Mansour 1997).
    """
    first_key, second_key = _keys(seed)
    counter = (draw << STREAM_BITS | stream) & 0xFFFFFFFF
    return _mix(_mix(counter ^ first_key) ^ second_key)


@lru_cache(maxsize=16)
def _keys(seed: int) -> tuple[int, int]:
    digest = sha256(str(seed).encode()).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")


def _mix(x: int) -> int:
    """The finaliser of MurmurHash3, a bijection on 32 bits in which each input bit flips half of the output's."""
    x = (x ^ x >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    x = (x ^ x >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return x ^ x >> 16
