"""The Celery application of a worker and its tasks. Tasks only hand over; the work is the supervisor's."""

from celery import Celery

from service.broker import TRAIN, make_celery
from service.settings import Settings
from worker.supervisor import Supervisor


def make_app(settings: Settings, supervisor: Supervisor) -> Celery:
    """Return the application with its tasks, which train in this process's slots."""
    celery = make_celery(settings)

    @celery.task(name=TRAIN)  # type: ignore[untyped-decorator]
    def train() -> None:
        supervisor.work()

    return celery
