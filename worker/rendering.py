"""The warm process that draws samples on demand and exports generators. Both sides import this: it loads no torch."""

import json
import os
import sys
from collections import OrderedDict
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from service.blobs import NO_SPACE, BlobStore, make_blobs, read_verified, store_lightly
from service.clock import monotonic_s
from service.errors import BlobDamaged, BlobMissing, StorageAway
from service.settings import Settings
from service.spec.drawing import drawing_from_json
from service.spec.exports import SUFFIXES, export_from_json
from worker.attempt import LastWords
from worker.isolation import isolate, limit_memory

if TYPE_CHECKING:
    from worker.gan.generation import OpenedGenerator

TITLE = "ganymede: sampler"
_TELL_S = 0.25  # between two words of how many samples are made
_NICENESS = 5  # between training and those who answer people: somebody waits for it
_SHARE_HELD = 0.25  # of the memory, for generators that are kept; drawing and writing take the rest
_OPENED_PER_BYTE = 3  # of a generator's file: its weights, its encoding, and what torch keeps beside them


@dataclass(frozen=True)
class Request:
    """One attempt at an order."""

    order_id: str
    attempt: int
    generator: dict[str, Any]  # key, size, SHA-256
    drawing: dict[str, Any]

    def send(self, channel: Connection) -> None:
        """Ask the process."""
        channel.send_bytes(json.dumps(asdict(self)).encode())


@dataclass(frozen=True)
class Answer:
    """The stored file, or a refusal: why, in words."""

    file: dict[str, Any] | None = None
    refusal: LastWords | None = None

    def send(self, channel: Connection) -> None:
        """Tell who has asked."""
        channel.send_bytes(json.dumps(asdict(self)).encode())


class Tally:
    """How many samples of a request are made; who has asked hears of it now and then, besides the answer."""

    def __init__(self, channel: Connection) -> None:
        self._channel = channel
        self._made, self._told_at = 0, monotonic_s()

    def add(self, more: int) -> None:
        """Count samples that were made."""
        self._made += more
        if monotonic_s() - self._told_at >= _TELL_S:
            self._channel.send_bytes(json.dumps({"made": self._made}).encode())
            self._told_at = monotonic_s()


def receive(channel: Connection) -> Answer | int:
    """Return an answer, or how many samples are made; raises EOFError when the process has ended."""
    told = json.loads(channel.recv_bytes())
    if "made" in told:
        return int(told["made"])
    return Answer(told["file"], LastWords(**told["refusal"]) if told["refusal"] else None)


class Shelf:
    """The generators that were used last, opened, by the hash of their files."""

    def __init__(self, blobs: BlobStore, held_bytes: int) -> None:
        self._blobs, self._held_bytes = blobs, held_bytes
        self._opened: OrderedDict[str, tuple[OpenedGenerator, int]] = OrderedDict()

    def take(self, file: dict[str, Any]) -> "OpenedGenerator":
        """Return the generator of a recorded file, from the store if need be; raises BlobMissing or BlobDamaged."""
        from worker.gan.generation import open_generator

        if file["sha256"] not in self._opened:
            opened = open_generator(read_verified(self._blobs, file))
            self._opened[file["sha256"]] = (opened, _OPENED_PER_BYTE * file["size"])
        self._opened.move_to_end(file["sha256"])
        while len(self._opened) > 1 and sum(size for _, size in self._opened.values()) > self._held_bytes:
            self._opened.popitem(last=False)
        return self._opened[file["sha256"]][0]

    def clear(self) -> None:
        """Keep nothing."""
        self._opened.clear()


def render_on_demand(channel: Connection, settings: Settings, *, words: Connection) -> None:
    """Answer requests one after the other, in this process, until nobody is left to ask. Closes unused `words`."""
    import torch

    isolate(TITLE, niceness=_NICENESS)
    words.close()
    os.environ["GANYMEDE_CRASH_POINTS"] = ""
    limit_memory(settings.sample_memory_bytes)
    torch.set_num_threads(1)
    blobs = make_blobs(settings.blobs)
    shelf = Shelf(blobs, int(_SHARE_HELD * settings.sample_memory_bytes))
    try:
        while True:
            request = Request(**json.loads(channel.recv_bytes()))
            _answer(request, shelf, blobs, channel).send(channel)
    except EOFError:
        sys.stdout.flush()
        os._exit(0)


def _answer(request: Request, shelf: Shelf, blobs: BlobStore, channel: Connection) -> Answer:
    try:
        try:
            return Answer(file=_carry_out(request, shelf, blobs, Tally(channel)))
        except (MemoryError, RuntimeError) as error:
            if not _lacks_memory(error):
                raise
            shelf.clear()  # generators that are kept open share the memory that the samples may have
            return Answer(file=_carry_out(request, shelf, blobs, Tally(channel)))
    except Exception as error:  # noqa: BLE001 (the rim of the process: whoever asked hears what no one else can tell)
        shelf.clear()  # what there was no memory for may fit now, and what is broken is read again
        return Answer(refusal=describe(error))


def _lacks_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or "allocate memory" in str(error)


def _carry_out(request: Request, shelf: Shelf, blobs: BlobStore, tally: Tally) -> dict[str, Any]:
    generator = shelf.take(request.generator)
    if (export := export_from_json(request.drawing)) is not None:
        from worker.gan.exports import export_generator

        name, data = f"generator.{SUFFIXES[export.format]}", export_generator(generator, export.format)
    else:
        drawing = drawing_from_json(request.drawing)
        name, data = f"samples.{drawing.format}", generator.carry_out(drawing, tally.add)
    return store_lightly(blobs, job_id=request.order_id, attempt=request.attempt, name=name, data=data)


def describe(error: Exception) -> LastWords:
    """Return what is said of an exception that ends an attempt at an order."""
    from worker.gan.exports import NotInstalled
    from worker.gan.files import UnreadableState
    from worker.gan.rejection import TooRare

    code, message = "crashed", f"The rendering broke off with {type(error).__name__}: {error}"
    match error:
        case TooRare():
            code, message = "too_rare", str(error)
        case NotInstalled():
            code, message = "format_unavailable", str(error)
        case BlobMissing():
            code, message = "file_missing", "The checkpoint has been replaced by newer ones; ask for one that is kept."
        case BlobDamaged() | UnreadableState():
            code, message = "file_damaged", f"The generator cannot be read: {error}."
        case StorageAway():
            code, message = "no_storage", f"The file cannot be stored: {error}."
        case OSError():  # its text may name paths of this machine
            message = f"The rendering broke off: {error.strerror or type(error).__name__}."
            code = "no_storage" if error.errno in NO_SPACE else code
        case _ if _lacks_memory(error):
            code, message = "samples_too_large", "It needs more memory than there is; of samples, ask for fewer."
    return LastWords(code, message)
