"""The Celery application of a worker and its tasks. Tasks only hand over; the work is the supervisor's."""

from collections.abc import Sequence

from celery import Celery

from service.broker import INGEST, SAMPLE, TRAIN, make_celery
from service.settings import Settings
from worker.preparer import Preparer
from worker.sampler import Sampler
from worker.supervisor import Supervisor


def make_app(settings: Settings, supervisor: Supervisor, preparer: Preparer, samplers: Sequence[Sampler]) -> Celery:
    """Return the application with its tasks, which train in this process's slots, and beside them prepare uploads
    and draw samples.
    """
    celery = make_celery(settings)

    @celery.task(name=TRAIN)  # type: ignore[untyped-decorator]
    def train() -> None:
        supervisor.work()

    @celery.task(name=INGEST)  # type: ignore[untyped-decorator]
    def ingest() -> None:
        preparer.work()

    @celery.task(name=SAMPLE)  # type: ignore[untyped-decorator]
    def sample() -> None:
        for sampler in samplers:  # small orders first; while one is at work, the next message goes on to the other
            sampler.work()

    return celery
