"""Uploaded data sets as their owners see them: find, count, delete. Changes of state are in preparation."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.errors import Conflict, Fault, InvalidInput, NotFound
from service.models import TERMINAL, Dataset, DatasetState, Job
from service.spec.facts import DatasetFacts, facts_from_json
from service.spec.uploads import Upload
from service.store.doomed import doom_rows


def get_dataset(session: Session, owner_id: str, dataset_id: str) -> Dataset:
    """Return an owner's data set; raise NotFound for an unknown id and for somebody else's alike."""
    dataset = session.get(Dataset, dataset_id)
    if dataset is None or dataset.owner_id != owner_id:
        raise NotFound("data set", dataset_id)
    return dataset


def find_same(session: Session, owner_id: str, identity: str) -> Dataset | None:
    """Return the owner's data set of the same bytes and options."""
    return session.scalars(select(Dataset).where(Dataset.owner_id == owner_id, Dataset.identity == identity)).first()


def list_datasets(session: Session, owner_id: str, *, limit: int, before: str | None = None) -> Sequence[Dataset]:
    """Return an owner's data sets, newest first, after the one that a page ended with."""
    query = select(Dataset).where(Dataset.owner_id == owner_id)
    if before is not None:
        query = query.where(Dataset.id < before)
    return session.scalars(query.order_by(Dataset.id.desc()).limit(limit)).all()


def version_of(session: Session, owner_id: str, dataset_id: str) -> tuple[int, bool]:
    """Return the version of an owner's data set and whether it is settled, for a long poll; raise NotFound."""
    query = select(Dataset.version, Dataset.state).where(Dataset.id == dataset_id, Dataset.owner_id == owner_id)
    row = session.execute(query).first()
    if row is None:
        raise NotFound("data set", dataset_id)
    return row.version, row.state in {DatasetState.READY, DatasetState.FAILED}


def stored_bytes(session: Session, owner_id: str) -> int:
    """Return how many bytes of data sets an owner keeps here, with those that are coming in."""
    total = func.coalesce(func.sum(Dataset.stored_bytes), 0)
    return int(session.scalars(select(total).where(Dataset.owner_id == owner_id)).one())


def facts_of(dataset: Dataset) -> DatasetFacts | None:
    """Return the facts of a ready data set under its id and the hash of the uploaded bytes.

    An id stands for the same bytes and options for ever. A name for people could be that of a built-in set.
    """
    if dataset.facts is None or dataset.sha256 is None:
        return None
    return replace(facts_from_json(dataset.facts), name=dataset.id, sha256=dataset.sha256)


def uploads_of(session: Session, owner_id: str) -> Callable[[str], Upload | None]:
    """Return the function by which a spec finds an owner's data sets."""

    def find(dataset_id: str) -> Upload | None:
        dataset = session.get(Dataset, dataset_id)
        if dataset is None or dataset.owner_id != owner_id:
            return None
        return Upload(dataset.state, facts_of(dataset))

    return find


def hold_for_job(session: Session, dataset_id: str) -> None:
    """Keep a data set from being deleted until the job for it is stored; raise InvalidInput when it just was."""
    query = select(Dataset.id).where(Dataset.id == dataset_id, Dataset.state == DatasetState.READY)
    if session.scalars(query.with_for_update(read=True)).first() is None:
        message = f"the data set {dataset_id} was deleted"
        raise InvalidInput([Fault("/dataset", "unknown_name", message, got=dataset_id)])


def delete_dataset(session: Session, dataset: Dataset) -> None:
    """Delete a data set; its blobs are doomed. Raise Conflict while a job that has not ended is for it."""
    locked = select(Dataset).where(Dataset.id == dataset.id).with_for_update().execution_options(populate_existing=True)
    if session.scalars(locked).one_or_none() is None:
        raise NotFound("data set", dataset.id)
    query = select(func.count()).select_from(Job).where(Job.dataset_id == dataset.id, Job.state.not_in(TERMINAL))
    if live := session.scalars(query).one():
        need = "A job that has not ended needs" if live == 1 else f"{live} jobs that have not ended need"
        raise Conflict("dataset_in_use", f"{need} the data set; cancel first or wait.")
    doom_rows(session, [dataset])
