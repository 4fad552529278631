"""What can happen to a stored file behind the service's back."""

from collections.abc import Callable
from typing import Any

from service.blobs import BlobStore

DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "flipped": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "truncated": lambda data: data[:-1],
    "extended": lambda data: data + b"\0",
    "empty": lambda _: b"",
    "missing": lambda _: None,
}


def damage(blobs: BlobStore, file: dict[str, Any], how: str) -> None:
    """Do something to the bytes of a recorded file."""
    with blobs.open(file["key"]) as reader:
        damaged = DAMAGES[how](reader.read())
    if damaged is None:
        blobs.delete(file["key"])
        return
    while True:
        try:
            blobs.put(file["key"], damaged)
        except FileNotFoundError:
            continue  # the sweep that follows the end of an attempt took the unfinished file away
        return
