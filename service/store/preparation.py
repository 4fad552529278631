"""Every change of a data set's state: its upload, and the attempts of workers to prepare it.

Who uploads or prepares passes (data set, attempt): a write of an attempt that is over raises AttemptOver. Nothing here
commits, announces work or waits, and no clock decides.
"""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from service.clock import now
from service.errors import AttemptOver
from service.ids import make_id
from service.models import Dataset, DatasetState
from service.spec.facts import DatasetFacts, facts_to_json
from service.store.conditional import update_one
from service.store.datasets import stored_bytes
from service.store.doomed import doom, doom_rows, keys_of
from service.store.keys import lock_owner

UPLOAD = 0  # the attempt that an upload is

# What the web does


def begin_upload(session: Session, owner_id: str) -> Dataset:
    """Store the row that protects the blob of an upload while its bytes come in."""
    dataset = Dataset(
        id=make_id("ds"),
        owner_id=owner_id,
        state=DatasetState.UPLOADING,
        options={},
        attempt=UPLOAD,
        warnings=[],
        files={},
        created_at=now(),
    )
    session.add(dataset)
    session.flush()
    return dataset


def beat_upload(session: Session, dataset_id: str, size_bytes: int) -> None:
    """Say that an upload goes on, and how far it has come."""
    _fence(
        session,
        dataset_id,
        UPLOAD,
        {"size_bytes": size_bytes, "stored_bytes": size_bytes, "version": Dataset.version + 1},
    )


def finish_upload(
    session: Session,
    dataset_id: str,
    file: dict[str, Any],
    *,
    identity: str,
    name: str | None,
    modality: str | None,
    options: dict[str, Any],
) -> Dataset:
    """Let a data set wait for its preparation. Of two with one identity the second breaks on the constraint."""
    values = {
        "state": DatasetState.PREPARING,
        "identity": identity,
        "sha256": file["sha256"],
        "size_bytes": file["size"],
        "stored_bytes": file["size"],
        "name": name,
        "modality": modality,
        "options": options,
        "files": {"upload": file},
        "version": Dataset.version + 1,
    }
    return _fence(session, dataset_id, UPLOAD, values)


def forget_upload(session: Session, dataset_id: str, beat: int | None = None) -> bool:
    """Remove the row of an upload that broke off; False when it has not, or has been heard of since this beat.

    Its blob, if there is one, is an orphan from now on.
    """
    query = select(Dataset).where(Dataset.id == dataset_id, Dataset.state == DatasetState.UPLOADING)
    if beat is not None:
        query = query.where(Dataset.beat == beat)
    dataset = session.scalars(query.with_for_update()).first()
    if dataset is None:
        return False
    doom_rows(session, [dataset])
    return True


def prepare_again(session: Session, dataset: Dataset, upload: dict[str, Any]) -> None:
    """Let a failed data set be prepared once more, as if for the first time; the file that it had before is doomed."""
    values = {"state": DatasetState.PREPARING, "losses": 0, "error_code": None, "error_message": None}
    values |= {"finished_at": None, "files": {"upload": upload}, "version": Dataset.version + 1}
    failed = update(Dataset).where(Dataset.id == dataset.id, Dataset.state == DatasetState.FAILED)
    before = keys_of(dataset.files)
    if update_one(session, failed.values(values)):
        doom(session, [key for key in before if key != upload["key"]])
        session.refresh(dataset)


# What a worker does


def next_to_prepare(session: Session, *, but: Collection[str] = (), limit: int = 10) -> Sequence[Dataset]:
    """Return the data sets that wait for their preparation, without some: the first of each owner, then the second."""
    is_waiting = (Dataset.state == DatasetState.PREPARING, Dataset.worker.is_(None), Dataset.id.not_in(but))
    of_owner = func.row_number().over(partition_by=Dataset.owner_id, order_by=Dataset.id).label("place")
    waiting = select(Dataset.id, of_owner).where(*is_waiting).subquery()
    query = select(Dataset).join(waiting, waiting.c.id == Dataset.id).order_by(waiting.c.place, Dataset.id)
    return session.scalars(query.limit(limit)).all()


def claim_preparation(session: Session, dataset: Dataset, *, worker: str) -> bool:
    """Begin the next attempt to prepare a data set, which `dataset` then shows. False: somebody else was first."""
    conditions = (
        Dataset.id == dataset.id,
        Dataset.attempt == dataset.attempt,
        Dataset.state == DatasetState.PREPARING,
        Dataset.worker.is_(None),
    )
    values = {"attempt": Dataset.attempt + 1, "worker": worker, "beat": Dataset.beat + 1}
    if not update_one(session, update(Dataset).where(*conditions).values(values | {"version": Dataset.version + 1})):
        return False
    session.refresh(dataset)
    return True


def beat_preparation(session: Session, dataset_id: str, attempt: int) -> None:
    """Say that a preparation goes on; raise AttemptOver when it is not wanted any more."""
    _fence(session, dataset_id, attempt, {})


def finish_preparation(
    session: Session,
    dataset_id: str,
    attempt: int,
    *,
    facts: DatasetFacts,
    warnings: list[dict[str, Any]],
    files: dict[str, dict[str, Any]],
    quota_bytes: int,
) -> None:
    """Show a data set as ready. `files` has rows, and where there are any labels and preview; warnings {code, message}.

    What was uploaded is doomed: nothing reads it any more. Where the owner's data sets would take more than the quota,
    the data set fails instead, and `files` are orphans.
    """
    dataset = _fence(session, dataset_id, attempt, {})
    lock_owner(session, dataset.owner_id)
    size_bytes = sum(file["size"] for file in files.values())
    if stored_bytes(session, dataset.owner_id) - dataset.stored_bytes + size_bytes > quota_bytes:
        limit = f"With its {size_bytes} bytes, your data sets would take more than {quota_bytes}, which is the limit."
        _fail(dataset, "quota_exceeded", f"{limit} Delete some and send it again.")
        return
    doom(session, keys_of(dataset.files))
    dataset.facts, dataset.warnings, dataset.files = facts_to_json(facts), warnings, files
    dataset.stored_bytes = size_bytes
    _settle(dataset, DatasetState.READY)


def fail_preparation(session: Session, dataset_id: str, attempt: int, *, code: str, message: str) -> None:
    """Say for good that the bytes are no data set; the message tells where and what would be right."""
    _fail(_fence(session, dataset_id, attempt, {}), code, message)


def release_preparation(session: Session, dataset_id: str, attempt: int) -> None:
    """Give a data set back, charging nothing: this worker stops or its storage is away."""
    _put_back(_fence(session, dataset_id, attempt, {}))


def lose_preparation(
    session: Session, dataset_id: str, attempt: int, *, code: str, message: str, most_losses: int
) -> DatasetState:
    """Count a lost attempt: let the data set be prepared again, or fail it when there were too many."""
    dataset = _fence(session, dataset_id, attempt, {})
    dataset.losses += 1
    if dataset.losses >= most_losses:
        _fail(dataset, code, f"{message} That was attempt {dataset.losses} of {most_losses}.")
    else:
        _put_back(dataset)
    return DatasetState(dataset.state)


# What the reconciler does


def list_in_hand(session: Session) -> Sequence[Dataset]:
    """Return what is being uploaded or prepared: what a lease is judged by."""
    being_prepared = (Dataset.state == DatasetState.PREPARING) & Dataset.worker.is_not(None)
    return session.scalars(select(Dataset).where((Dataset.state == DatasetState.UPLOADING) | being_prepared)).all()


def _settle(dataset: Dataset, state: DatasetState) -> None:
    dataset.state = state
    dataset.finished_at = now()
    _put_back(dataset)


def _fail(dataset: Dataset, code: str, message: str) -> None:
    dataset.error_code, dataset.error_message = code, message
    _settle(dataset, DatasetState.FAILED)


def _put_back(dataset: Dataset) -> None:
    dataset.worker = None
    dataset.version += 1


def _fence(session: Session, dataset_id: str, attempt: int, values: dict[str, Any]) -> Dataset:
    """Return the data set with its row locked for this transaction; raise AttemptOver when the attempt is over."""
    in_hand = (
        Dataset.state == DatasetState.UPLOADING
        if attempt == UPLOAD
        else (Dataset.state == DatasetState.PREPARING) & Dataset.worker.is_not(None)
    )
    conditions = (Dataset.id == dataset_id, Dataset.attempt == attempt, in_hand)
    if not update_one(session, update(Dataset).where(*conditions).values({"beat": Dataset.beat + 1} | values)):
        raise AttemptOver(f"attempt {attempt} of {dataset_id} is over")
    query = select(Dataset).where(Dataset.id == dataset_id).execution_options(populate_existing=True)
    return session.scalars(query).one()
