"""The stream of a job as its watchers get it: messages, as server-sent events or as lines of JSON."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import orjson

from service.answers.job import ProgressAnswer
from service.clock import rfc3339
from service.history import formats
from service.history.reading import Reading
from service.history.segments import Block
from service.models import Event, Flush
from service.store.events import OF_THEIR_OWN
from service.store.stream import Batch


class Message(NamedTuple):
    """One message. A snapshot has no id; all others count from 1 without gaps."""

    id: int | None
    event: str
    data: bytes  # JSON


@dataclass(frozen=True)
class Form:
    """How messages are written, and what is sent where there is none for a while, which no reader sees."""

    media_type: str
    write: Callable[[Message], bytes]
    pulse: bytes


def _as_event(message: Message) -> bytes:
    number = b"" if message.id is None else b"id: %d\n" % message.id
    return number + b"event: %b\ndata: %b\n\n" % (message.event.encode(), message.data)


def _as_line(message: Message) -> bytes:
    number = b"null" if message.id is None else b"%d" % message.id
    return b'{"id":%b,"event":"%b","data":%b}\n' % (number, message.event.encode(), message.data)


EVENTS = Form("text/event-stream", _as_event, b": still here\n\n")
LINES = Form("application/x-ndjson", _as_line, b" ")  # JSON may have spaces before a value
FORMS = {form.media_type: form for form in (EVENTS, LINES)}


def snapshot(job: bytes, seq: int) -> Message:
    """Tell a job as it is, from its JSON, and the number of the newest message that it takes into account."""
    return Message(None, "snapshot", b'{"seq":%d,' % seq + job.removeprefix(b"{"))


def messages_of(batch: Batch, *, after: int, state: str) -> Iterator[Message]:
    """Tell what follows a number. `state` is told with news of before they told a status themselves."""
    for entry in batch.entries:
        if isinstance(entry, Event):
            yield _news(entry, state)
            continue
        if entry.seq - 1 > after:
            yield _losses(entry, batch)
        yield _progress(entry)


def _news(event: Event, state: str) -> Message:
    kind = event.type if event.type in OF_THEIR_OWN else "status"
    told = event.data if kind != "status" else {"status": state} | event.data
    head = {"at": rfc3339(event.at), "type": event.type, "message": event.message, "attempt": event.attempt}
    return Message(event.seq, kind, orjson.dumps(told | head))


def _losses(flush: Flush, batch: Batch) -> Message:
    block = batch.losses[flush.seq]
    head = {"at": rfc3339(flush.at), "attempt": flush.attempt, "from_step": flush.from_step, "to_step": flush.to_step}
    return Message(flush.seq - 1, "losses", formats.to_json(head | formats.columnar(_reading(batch, block))))


def _reading(batch: Batch, block: Block) -> Reading:
    return Reading(
        columns=tuple(batch.columns),
        steps=block.steps,
        values=np.ascontiguousarray(block.values),
        method="none",
        total_steps=len(block.steps),
        next_after_step=block.last_step,
    )


def _progress(flush: Flush) -> Message:
    progress = ProgressAnswer.at(
        flush.to_step,
        flush.max_steps,
        samples_seen=flush.samples_seen,
        steps_per_second=flush.steps_per_second,
        is_running=True,
    )
    head: dict[str, Any] = {"at": rfc3339(flush.at), "attempt": flush.attempt}
    return Message(flush.seq, "progress", orjson.dumps(head | progress.model_dump()))
