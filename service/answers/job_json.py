"""The JSON of jobs, kept while nothing of them changes, so that many who watch a job cost little more than one."""

from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from service.answers.job import JobAnswer
from service.models import Job
from service.recent import Recent
from service.store import jobs
from service.store.jobs import Glimpse
from service.store.samples import latest_samples

MOST = 1_000  # some 6 kB each
Key = tuple[str, int, int | None]


class JobJson:
    """Remembers the answers given last, by all that they depend on: the job, its version and its place in the queue."""

    def __init__(self, most: int = MOST) -> None:
        self._known: Recent[Key, bytes] = Recent(most)

    def of(self, session: Session, rows: Sequence[Glimpse], places: Mapping[str, int]) -> list[bytes]:
        """Return the JSON of jobs that were found, in their order; places are those of the queued ones."""
        told = {job.id: self._known.recall((job.id, job.version, places.get(job.id))) for job in rows}
        unknown = [job_id for job_id, json in told.items() if json is None]
        for answer in _describe(session, jobs.find_all(session, unknown) if unknown else [], places):
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
    return _describe(session, rows, jobs.places_of(session, rows))


def _describe(session: Session, rows: Sequence[Job], places: Mapping[str, int]) -> list[JobAnswer]:
    begun = [job.id for job in rows if job.attempt]
    samples = latest_samples(session, begun) if begun else {}
    return [JobAnswer.of(job, queue_position=places.get(job.id), samples=samples.get(job.id)) for job in rows]
