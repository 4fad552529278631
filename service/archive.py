"""Everything that a job leaves behind, as the files of one archive."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import BaseModel
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from service.answers.job import EventAnswer
from service.answers.job_json import describe
from service.answers.quality import QualityAnswer, QualityPage
from service.blobs import BlobStore, open_verified
from service.errors import BlobDamaged, BlobMissing
from service.history.formats import to_csv
from service.history.query import Query
from service.history.windows import read_in_windows
from service.models import Job, Sample
from service.spec.columns import recorded_columns
from service.spec.job import JobSpec
from service.store import history
from service.store.checkpoints import newest_checkpoints
from service.store.events import list_events
from service.store.history import Stretch
from service.store.quality import get_yardstick, list_quality
from service.store.samples import list_samples
from service.zips import Entry

_ALL = 2**31  # rows; some thousand of a long job
_NUMBER_BYTES = 24  # of text, at most
_PIECE_BYTES = 2**20

README = """\
# {job}

Everything that one training job of Ganymede has left.

| file | what it is |
|---|---|
| `job.json` | the job: its state, its progress, its spec as it was posted |
| `spec.json` | the spec with every value that was used; posted again to /jobs it trains the same, but for forks |
| `losses.csv` | every number of every step, a row for each |
| `quality.json` | the measured steps, beside real data and generators that need no training |
| `events.ndjson` | what happened, a line for each event |
| `samples/` | what the generator made of the same latents, by step |
| `ema.safetensors` | the generator at the last checkpoint, as an average of its weights; the better one, if kept |
| `generator.safetensors` | the generator at the last checkpoint, its weights as the last step left them |

A job that has not come so far lacks some of them. What should be here and could not be read stands in `MISSING.txt`.

With Ganymede installed the generator makes as many samples as you like:

    from pathlib import Path
    from worker.gan.generation import open_generator

    generator = open_generator(Path("generator.safetensors"))
    samples, labels = generator.sample(count=1000, seed=1)

Its weights alone are plain tensors; the JSON in the header of the file says what network they belong to:

    from safetensors import safe_open

    with safe_open("generator.safetensors", "numpy") as file:
        weights = {{name: file.get_tensor(name) for name in file.keys()}}
        facts = file.metadata()["ganymede"]
"""


@dataclass(frozen=True)
class Contents:
    """What the rows of a job say, read at one moment. Its files and its history are read as they are sent."""

    job_id: str
    texts: dict[str, bytes]
    columns: tuple[str, ...]
    recorded: Sequence[Stretch]
    files: dict[str, dict[str, Any]]  # by their names in the archive


def read_contents(session: Session, job: Job) -> Contents:
    """Read what the archive of a job is made of."""
    newest = newest_checkpoints(session, job.id)[:1]
    generators = {f"{part}.safetensors": file for row in newest for part, file in row.files.items() if part != "all"}
    samples = list_samples(session, job.id, limit=_ALL).data
    return Contents(
        job_id=job.id,
        texts={
            "README.md": README.format(job=job.id).encode(),
            "job.json": _json(describe(session, job), "queue_position"),  # that changes with other jobs
            "spec.json": orjson.dumps(job.resolved_spec, option=orjson.OPT_INDENT_2),
            "quality.json": _json(_quality_of(session, job)),
            "events.ndjson": _events_of(session, job.id),
        },
        columns=recorded_columns(JobSpec.model_validate(job.resolved_spec)),
        recorded=history.stretches_of(session, job.id),
        files=_samples_by_name(samples) | generators,
    )


def list_entries(contents: Contents, engine: Engine, blobs: BlobStore) -> Iterator[Entry]:
    """Yield the files of an archive. Those that are gone or damaged are named in the last of them."""
    inside = f"{contents.job_id}/"
    for name, text in contents.texts.items():
        yield Entry(inside + name, [text], len(text))
    yield Entry(inside + "losses.csv", _losses(contents, engine), _most_bytes(contents))
    missing: list[str] = []
    for name, file in contents.files.items():
        try:
            reader = open_verified(blobs, file)
        except (BlobMissing, BlobDamaged) as error:
            missing.append(f"{name}: {error}\n")
            continue
        with reader:
            yield Entry(inside + name, iter(lambda: reader.read(_PIECE_BYTES), b""), file["size"])  # noqa: B023
    if missing:
        text = "".join(missing).encode()
        yield Entry(inside + "MISSING.txt", [text], len(text))


def _losses(contents: Contents, engine: Engine) -> Iterator[bytes]:
    """Yield the history as CSV, each window of it from a transaction of its own."""
    yield ",".join(("step", *contents.columns)).encode() + b"\n"
    for rows in read_in_windows(engine, contents.recorded, Query(columns=contents.columns)):
        _header, *pieces = to_csv(rows)
        yield from pieces


def _most_bytes(contents: Contents) -> int:
    steps = sum(stretch.last - stretch.first + 1 for stretch in contents.recorded)
    return (steps + 1) * (len(contents.columns) + 1) * _NUMBER_BYTES


def _samples_by_name(samples: Sequence[Sample]) -> dict[str, dict[str, Any]]:
    """Name the files of sampling points; what a zip holds stands in another of their formats, too."""
    return {
        f"samples/{row.step}.{kind}": file
        for row in samples
        for kind, file in sorted(row.files.items())
        if kind != "zip"
    }


def _quality_of(session: Session, job: Job) -> QualityPage:
    saved = [row.step for row in newest_checkpoints(session, job.id)]
    yardstick, followed = get_yardstick(session, job.id), job.resolved_spec.get("quality", {}).get("metric")
    rows = list_quality(session, job.id, limit=_ALL).data
    data = [QualityAnswer.of(row, saved=saved, yardstick=yardstick, followed=followed) for row in rows]
    return QualityPage(data=data, has_more=False, next_cursor=None)


def _events_of(session: Session, job_id: str) -> bytes:
    rows = list_events(session, job_id, limit=_ALL).data
    return b"".join(EventAnswer.of(row).model_dump_json().encode() + b"\n" for row in rows)


def _json(answer: BaseModel, *leave_out: str) -> bytes:
    return answer.model_dump_json(indent=2, exclude={*leave_out}).encode()
