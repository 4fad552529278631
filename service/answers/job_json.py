"""The JSON of jobs, kept while nothing of them changes, so that many who watch a job cost little more than one."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from service.answers.job import JobAnswer
from service.models import Job, State
from service.recent import Recent
from service.store import jobs

MOST = 1_000  # some 6 kB each
Key = tuple[str, int, int | None]


class JobJson:
    """Remembers the answers given last, by all that they depend on: the job, its version and its place in the queue."""

    def __init__(self, most: int = MOST) -> None:
        self._known: Recent[Key, bytes] = Recent(most)

    def of(self, session: Session, rows: Sequence[Job]) -> list[bytes]:
        """Return the JSON of jobs that were found, in their order."""
        places = _places(session, rows)
        told = {job.id: self._known.recall((job.id, job.version, places.get(job.id))) for job in rows}
        unknown = [job for job in rows if told[job.id] is None]
        for answer in _describe(session, unknown, places):
            told[answer.id] = self._remember(answer)
        return [json for json in told.values() if json is not None]

    def _remember(self, answer: JobAnswer) -> bytes:
        key = (answer.id, answer.version, answer.queue_position)
        return self._known.remember(key, answer.model_dump_json().encode())


def describe(session: Session, job: Job) -> JobAnswer:
    """Tell one job."""
    return describe_all(session, [job])[0]


def describe_all(session: Session, rows: Sequence[Job]) -> list[JobAnswer]:
    """Tell several jobs."""
    return _describe(session, rows, _places(session, rows))


def _describe(session: Session, rows: Sequence[Job], places: dict[str, int]) -> list[JobAnswer]:
    if not rows:
        return []
    jobs.complete(session, rows)
    labels = jobs.labels_of(session, [job.id for job in rows])
    return [JobAnswer.of(job, labels=labels.get(job.id, {}), queue_position=places.get(job.id)) for job in rows]


def _places(session: Session, rows: Sequence[Job]) -> dict[str, int]:
    queued = [job.id for job in rows if job.state == State.QUEUED]
    return jobs.queue_positions(session, queued) if queued else {}
