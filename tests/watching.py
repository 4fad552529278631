"""Reading the stream of a job as clients do, and putting its history together from it."""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple


class Message(NamedTuple):
    """One message of a stream."""

    id: int | None
    event: str
    data: dict[str, Any]


def read_lines(text: bytes) -> list[Message]:
    """Read the whole lines of JSON; what follows the last of them was cut off."""
    return [Message(**json.loads(line)) for line in text[: text.rfind(b"\n") + 1].splitlines()]


def read_events(text: bytes) -> list[Message]:
    """Read the whole server-sent events."""
    blocks = text.rpartition(b"\n\n")[0].split(b"\n\n")
    return [_event(block.decode()) for block in blocks if block and not block.startswith(b":")]


def _event(block: str) -> Message:
    fields = dict(line.split(": ", 1) for line in block.splitlines())
    return Message(int(fields["id"]) if "id" in fields else None, fields["event"], json.loads(fields["data"]))


def told_history(messages: Iterable[Message]) -> dict[int, dict[str, Any]]:
    """Put rows together by step: each recorded once, and taken away by a rollback."""
    rows: dict[int, dict[str, Any]] = {}
    for message in messages:
        if message.event == "rollback":
            rows = {step: row for step, row in rows.items() if step <= message.data["to_step"]}
        if message.event == "losses":
            columns = message.data["columns"]
            for values in zip(*columns.values(), strict=True):
                row = dict(zip(columns, values, strict=True))
                assert row["step"] not in rows, "told twice"
                rows[row["step"]] = row
    return rows
