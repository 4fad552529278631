"""Who is at what: attempts at jobs, data sets and orders, each with a beat, and how one that stands still is lost."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from service.broker import INGEST, SAMPLE, TRAIN
from service.models import Dataset, DatasetState, Order
from service.settings import Settings
from service.store import orders, preparation, transitions
from service.store.transitions import LossLimits


@dataclass(frozen=True)
class Lease:
    """An attempt that somebody is at; its beat grows for as long as they are heard of."""

    owner: str  # of its blobs: a job, a data set or an order
    attempt: int
    beat: int
    task: str  # what workers are woken for when it is lost
    lose: Callable[[Session], object]  # raises AttemptOver


def list_leases(session: Session, settings: Settings) -> list[Lease]:
    """Return all that is in hand."""
    return [
        *(_of_job(*running, settings) for running in transitions.list_running(session)),
        *(_of_dataset(dataset, settings) for dataset in preparation.list_in_hand(session)),
        *(_of_order(order, settings) for order in orders.list_in_hand(session)),
    ]


def loss_limits(settings: Settings) -> LossLimits:
    """Return how many losses the settings allow a job, and how long it waits after each."""
    return LossLimits(
        in_row=settings.losses_in_row,
        in_all=settings.losses_in_all,
        back_off_s=settings.back_off_s,
        back_off_max_s=settings.back_off_max_s,
    )


class Stillness:
    """For how long each of some counters has not moved, by the looks that were taken at them."""

    def __init__(self) -> None:
        self._still: dict[Hashable, tuple[int, float]] = {}  # the count, and seconds since it moved

    def look(self, counts: Mapping[Hashable, int], elapsed_s: float) -> None:
        """Compare with the look before, which was so many seconds ago; forget what is not there any more."""
        still = {}
        for name, count in counts.items():
            before, still_s = self._still.get(name, (None, 0.0))
            still[name] = (count, still_s + elapsed_s if count == before else 0.0)
        self._still = still

    @property
    def longest_s(self) -> float:
        """The seconds of the counter that has stood still for longest."""
        return max((still_s for _, still_s in self._still.values()), default=0.0)

    def of(self, name: Hashable) -> float:
        """Return the seconds for which a counter has been seen to stand still."""
        return self._still[name][1]


def _of_job(job_id: str, attempt: int, beat: int, settings: Settings) -> Lease:
    def lose(session: Session) -> None:
        message, limits = _message(f"attempt {attempt}", settings), loss_limits(settings)
        transitions.lose(session, job_id, attempt, reason="worker_lost", message=message, limits=limits)

    return Lease(job_id, attempt, beat, TRAIN, lose)


def _of_dataset(dataset: Dataset, settings: Settings) -> Lease:
    def lose(session: Session) -> None:
        if dataset.state == DatasetState.UPLOADING:
            preparation.forget_upload(session, dataset.id, dataset.beat)
            return
        message, most = _message("its preparation", settings), settings.losses_in_row
        attempt = (dataset.id, dataset.attempt)
        preparation.lose_preparation(session, *attempt, code="worker_lost", message=message, most_losses=most)

    return Lease(dataset.id, dataset.attempt, dataset.beat, INGEST, lose)


def _of_order(order: Order, settings: Settings) -> Lease:
    def lose(session: Session) -> None:
        message, most = _message("its rendering", settings), settings.losses_in_row
        attempt = (order.id, order.attempt)
        orders.lose_order(session, *attempt, code="sampling_failed", message=message, most_losses=most)

    return Lease(order.id, order.attempt, order.beat, SAMPLE, lose)


def _message(what: str, settings: Settings) -> str:
    return f"Nothing was heard of {what} for {settings.ttl_s:g} s."
