"""The history of every step: as numbers in several formats, as a summary, as a chart."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from flask import Response, request
from pydantic import Field
from sqlalchemy.orm import Session

from service.answers.losses import ColumnSummaryAnswer, LossesAnswer, LossesSummaryAnswer
from service.answers.writing import json_answer, tagged, tagged_by
from service.api import Reply, Routes
from service.binding import Query
from service.db import reading
from service.errors import Fault, InvalidInput
from service.history import arrow, formats
from service.history import query as question
from service.history.meaning import Meaning
from service.history.reading import Reading, read_history
from service.history.windows import WINDOW_STEPS, count_asked, read_in_windows
from service.models import Job
from service.problems import Refused
from service.routes.jobs import IF_NONE_MATCH, NOT_MODIFIED, TAGGED, JobPath
from service.spec.job import JobSpec
from service.spec.parts.strict import MAX_STEPS
from service.store import history
from service.store.forks import lineage_of
from service.store.history import Stretch
from service.store.jobs import Glimpse, get_job, glimpse
from service.web import Caller, Web

routes = Routes("losses", "Every number of every step.")


class LossesQuery(Query):
    """Which numbers, how densely, in which format."""

    columns: str | None = Field(None, max_length=1000, description="Names with commas between; all when not given.")
    from_step: int | None = Field(None, ge=0, le=MAX_STEPS, description="First step.")
    to_step: int | None = Field(None, ge=0, le=MAX_STEPS, description="Last step.")
    after_step: int | None = Field(None, ge=0, le=MAX_STEPS, description="Only steps after this one, for a poller.")
    max_points: int | None = Field(None, ge=1, le=1_000_000, description="Most steps of an answer; else all.")
    downsample: question.Downsample | None = Field(
        None,
        description="How to choose where there are more. minmax, as JSON has it by default: each column's extremes of "
        "each stretch. lttb, as formats of rows have it by default: whole steps that keep the first column's shape. "
        "mean: the mean of each stretch.",
    )
    format: Literal["json", "ndjson", "csv", "npz", "parquet", "arrow"] = Field("json", description="Of the answer.")
    lineage: bool = Field(
        False,
        description="Begin with the history of the jobs that this one continues, as far as they are left, in the "
        "columns that all of them record.",
    )


@dataclass(frozen=True)
class Format:
    """A way to write a reading."""

    media_type: str
    write: Callable[[Reading], bytes | Iterator[bytes]]


TABULAR: Mapping[str, Format] = {
    "ndjson": Format("application/x-ndjson", formats.to_ndjson),
    "csv": Format("text/csv", formats.to_csv),
    "npz": Format("application/octet-stream", formats.to_npz),
    "parquet": Format("application/vnd.apache.parquet", arrow.to_parquet),
    "arrow": Format("application/vnd.apache.arrow.file", arrow.to_arrow),
}
IN_PIECES = frozenset({"ndjson", "csv"})
MOST_NUMBERS = 40_000_000  # of what is read into memory for an answer
NEED_PYARROW = frozenset({"parquet", "arrow"})


@routes.add(
    "GET",
    "/jobs/<job_id>/losses",
    replies={
        200: Reply(
            "The numbers, as JSON by column, or a row a step.",
            LossesAnswer,
            media_types=tuple(table.media_type for table in TABULAR.values()),
            headers=TAGGED,
        ),
        304: NOT_MODIFIED,
    },
    problems=(406,),
    request_headers=IF_NONE_MATCH,
)
def show_losses(web: Web, caller: Caller, path: JobPath, query: LossesQuery) -> Response:
    """Show the losses of every step, or of fewer that keep the first, the last and the extremes.

    Columns that end in `_ms` are clocks, the only ones that may differ between equal runs. More than 40 million numbers
    come as csv or ndjson, or thinned by minmax.
    """
    _refuse_absent_format(query.format)

    def look(session: Session) -> tuple[Response, tuple[str, list[Stretch]]]:
        job = glimpse(session, caller.owner_id, path.job_id)
        ancestors = _ancestors(session, job.id) if query.lineage else []
        return tagged_by_history(session, job, *ancestors), (job.id, [stretch for stretch, _ in ancestors])

    def build(session: Session, found: tuple[str, list[Stretch]]) -> bytes:
        job_id, before = found
        meaning, result = read_losses(web, session, job_id, _question(query), before)
        return formats.to_json(tell(job_id, meaning, result))

    if query.format == "json":
        return web.kept.answer(web.engine, request, look, build)
    with reading(web.engine) as session:
        response, (job_id, before) = look(session)
        if response.status_code == 304:
            return response
        _, stretches, asked = _understand(web, session, job_id, _question(query), before)
        is_long = count_asked(stretches, asked) > WINDOW_STEPS
        comes_in_windows = is_long and asked.max_points is None and query.format in IN_PIECES
        result = None if comes_in_windows else _read(session, stretches, asked)
    if result is not None and result.row == "extremes":
        raise InvalidInput([_no_rows(query.format)])
    chosen = TABULAR[query.format]
    response.mimetype = chosen.media_type
    if result is None:
        response.response = _write_windows(read_in_windows(web.engine, stretches, asked), query.format)
    else:
        response.response = _pieces(chosen.write(result))
    return response


def _write_windows(windows: Iterable[Reading], format: str) -> Iterator[bytes]:
    for number, window in enumerate(windows):
        pieces = _pieces(TABULAR[format].write(window))
        yield from islice(pieces, 1 if format == "csv" and number else 0, None)  # its header stands in the first


def _no_rows(format: str) -> Fault:
    message = (
        f"extremes of several columns are not those of one step, as a row of {format} would say; ask for one column"
    )
    return Fault("downsample", "no_rows", message, allowed=["lttb", "mean"], got="minmax")


def _pieces(written: bytes | Iterator[bytes]) -> Iterable[bytes]:
    return [written] if isinstance(written, bytes) else written


def _refuse_absent_format(format: str) -> None:
    if format in NEED_PYARROW and not arrow.is_installed():
        allowed = ["json", *(name for name in TABULAR if name not in NEED_PYARROW)]
        fault = Fault("format", "format_unavailable", "pyarrow is not installed", allowed=allowed, got=format)
        raise Refused("format_unavailable", f"{format} needs pyarrow, which is not installed here.", faults=[fault])


def _question(query: LossesQuery) -> question.Query:
    return question.Query(
        columns=tuple(query.columns.split(",")) if query.columns else None,
        from_step=query.from_step,
        to_step=query.to_step,
        after_step=query.after_step,
        max_points=query.max_points,
        downsample=query.downsample or ("minmax" if query.format == "json" else "lttb"),
    )


def _ancestors(session: Session, job_id: str) -> list[tuple[Stretch, int]]:
    """Return what was recorded before a fork began, oldest first, each with the attempt that its job is at."""
    return [(each, session.get_one(Job, each.job_id).attempt) for each in lineage_of(session, job_id)]


def tagged_by_history(session: Session, job: Job | Glimpse, *facts: object) -> Response:
    """Return an answer without a body, tagged by what can change it; it is 304 already for a client that is up to date.

    Within an attempt the history only grows, and a new attempt raises its number: nothing need be read to know.
    """
    return tagged_by(request, job.id, job.attempt, history.last_step(session, job.id), *facts)


def read_losses(
    web: Web, session: Session, job_id: str, asked: question.Query, before: Sequence[Stretch] = ()
) -> tuple[Meaning, Reading]:
    """Return what a job's columns mean, and what was asked of them; of what its ancestors recorded before, too.

    Raises InvalidInput for what the question has wrong.
    """
    meaning, stretches, query = _understand(web, session, job_id, asked, before)
    return meaning, _read(session, stretches, query)


def _understand(
    web: Web, session: Session, job_id: str, asked: question.Query, before: Sequence[Stretch]
) -> tuple[Meaning, list[Stretch], question.Query]:
    """Return what a job's columns mean, what is recorded, and the question with its columns named."""
    meaning = _meaning_of(web, session, job_id)
    shared = [_meaning_of(web, session, stretch.job_id).columns for stretch in before]
    recorded = [column for column in meaning.columns if all(column in columns for columns in shared)]
    stretches = [*before, *history.stretches_of(session, job_id)]
    return meaning, stretches, question.resolve_columns(asked, recorded)


def _read(session: Session, stretches: Sequence[Stretch], query: question.Query) -> Reading:
    """Read what fits into memory; raise InvalidInput for what is too much. Extremes are made of what is stored."""
    steps, columns = count_asked(stretches, query), len(query.columns or ())
    is_thinned = query.max_points is not None and query.max_points < steps
    if steps * columns > MOST_NUMBERS and not (is_thinned and query.downsample == "minmax"):
        told = f"{steps:,} steps of {columns} columns are more than {MOST_NUMBERS:,} numbers; ask for fewer"
        if is_thinned:
            message = f"{told}, or for a json of minmax, which is made of stored extremes"
            raise InvalidInput([Fault("downsample", "too_many", message, allowed=["minmax"], got=query.downsample)])
        most = {"maximum": MOST_NUMBERS // columns}
        message = f"{told}, for max_points, or for all as csv or ndjson, which come piece by piece"
        raise InvalidInput([Fault("max_points", "too_many", message, allowed=most, got=query.max_points)])
    return read_history(session, stretches, query)


def tell(job_id: str, meaning: Meaning, result: Reading) -> dict[str, Any]:
    """Return a LossesAnswer, with arrays in it."""
    return formats.envelope(
        job_id, result, references=meaning.references, reduction=meaning.reduction, eval_point=meaning.eval_point
    )


def _meaning_of(web: Web, session: Session, job_id: str) -> Meaning:
    return web.meanings.recall(job_id) or web.meanings.remember(job_id, _read_meaning(session, job_id))


def _read_meaning(session: Session, job_id: str) -> Meaning:
    return Meaning.of(JobSpec.model_validate(session.get_one(Job, job_id).resolved_spec))


@routes.add(
    "GET",
    "/jobs/<job_id>/losses/summary",
    replies={200: Reply("The summary.", LossesSummaryAnswer, headers=TAGGED), 304: NOT_MODIFIED},
    request_headers=IF_NONE_MATCH,
)
def summarise_losses(web: Web, caller: Caller, path: JobPath) -> Response:
    """Summarise every column: last, min and max with their step, mean, count, count of non-finite."""
    with reading(web.engine) as session:
        job = get_job(session, caller.owner_id, path.job_id)
        summary = history.summary(session, job.id)
    columns = {
        name: ColumnSummaryAnswer.model_validate(column, from_attributes=True) for name, column in summary.items()
    }
    return tagged(json_answer(LossesSummaryAnswer(job=job.id, columns=columns)), request)
