"""The tables. Times are UTC; every job-owned row goes with its job."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from service.spec.sweep import Goal
from service.tables import Table


class State(StrEnum):
    """What a job was last observed to be. Written by workers and the reconciler; by the web only where no worker is."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Desired(StrEnum):
    """What the owner wants of a job. Written by the web only."""

    RUN = "run"
    PAUSE = "pause"
    CANCEL = "cancel"


TERMINAL = frozenset({State.CANCELLED, State.SUCCEEDED, State.FAILED})


class Owner(Table):
    """Who jobs belong to. The owner `local` exists from the first migration on and is everybody while keys are off."""

    __tablename__ = "owners"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    created_at: Mapped[datetime]


class Key(Table):
    """An API key, by its hash alone."""

    __tablename__ = "keys"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    scope: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Job(Table):
    """A training job. A row in state queued is the outbox: nothing else says that there is work."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    name: Mapped[str | None] = mapped_column(String(200))
    priority: Mapped[int]
    dataset_id: Mapped[str | None] = mapped_column(String(32), index=True)  # of an uploaded data set
    device: Mapped[str] = mapped_column(String(8))  # auto, cpu or cuda: which workers may claim it
    shape: Mapped[str | None] = mapped_column(String(64))  # of jobs that may be trained together
    spec: Mapped[dict[str, Any]]  # as posted
    resolved_spec: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(16))
    desired: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(32))
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)
    version: Mapped[int] = mapped_column(default=1)  # grows with every change a client can see
    event_seq: Mapped[int] = mapped_column(default=0)  # of the newest event or flush
    attempt: Mapped[int] = mapped_column(default=0)  # the fencing token: grows with every claim
    worker: Mapped[str | None] = mapped_column(String(200))
    beat: Mapped[int] = mapped_column(default=0)
    hold_s: Mapped[float | None]  # wait before the next claim, counted off by whichever reconciler sees it
    losses_in_row: Mapped[int] = mapped_column(default=0)  # lost attempts since the last new checkpoint
    losses_in_all: Mapped[int] = mapped_column(default=0)
    step: Mapped[int] = mapped_column(default=0)
    max_steps: Mapped[int]
    samples_seen: Mapped[int] = mapped_column(default=0)
    trained_s: Mapped[float] = mapped_column(default=0.0)  # seconds of training up to `step`
    steps_per_second: Mapped[float | None]
    last_losses: Mapped[dict[str, Any] | None]
    rollbacks: Mapped[int] = mapped_column(default=0)  # each has halved the learning rates
    plan: Mapped[dict[str, Any] | None]  # how its steps are carried out, from the first attempt that took one
    diagnosis: Mapped[dict[str, Any] | None]  # where each rule stands, as the worker's doctor records it
    parent_id: Mapped[str | None] = mapped_column(String(32))  # of a fork; no key, for it may be deleted
    parent_step: Mapped[int | None]  # of the checkpoint that a fork begins from
    parent_seq: Mapped[int | None]  # of the parent's newest event when it was forked
    save_wanted: Mapped[bool] = mapped_column(default=False)  # by the owner, until a checkpoint of after the wish
    saves_asked: Mapped[int] = mapped_column(default=0)  # how often the owner has wished for one
    sweep_id: Mapped[str | None] = mapped_column(String(32))  # of a member
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]  # of the first attempt
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_jobs_owner_id_id", "owner_id", "id"),
        Index("ix_jobs_owner_id_state_id", "owner_id", "state", "id"),
        Index("ix_jobs_state_priority_id", "state", "priority", "id"),
        # Of forks alone: for all others it would only be one more page to write.
        Index(
            "ix_jobs_parent_id_id",
            "parent_id",
            "id",
            sqlite_where=text("parent_id IS NOT NULL"),
            postgresql_where=text("parent_id IS NOT NULL"),
        ),
        Index(
            "ix_jobs_sweep_id_id",
            "sweep_id",
            "id",
            sqlite_where=text("sweep_id IS NOT NULL"),
            postgresql_where=text("sweep_id IS NOT NULL"),
        ),
    )

    @property
    def status(self) -> str:
        """The one word for people, derived from the observed and the desired state."""
        if self.state == State.RUNNING and self.desired != Desired.RUN:
            return {Desired.PAUSE: "pausing", Desired.CANCEL: "cancelling"}[Desired(self.desired)]
        return self.state

    @property
    def is_terminal(self) -> bool:
        """Tell whether the job will never change its state again."""
        return self.state in TERMINAL


class Sweep(Table):
    """Jobs that were created together, to be compared. What varies among them, `search` tells; they tell the rest."""

    __tablename__ = "sweeps"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    name: Mapped[str | None] = mapped_column(String(200))
    method: Mapped[str] = mapped_column(String(16))  # grid, random or asha
    search: Mapped[dict[str, Any]]  # as posted under the method, with its seed
    spec: Mapped[dict[str, Any]]  # as posted
    metric: Mapped[str] = mapped_column(String(32))
    goal: Mapped[Goal] = mapped_column(String(8))
    created_at: Mapped[datetime]

    __table_args__ = (Index("ix_sweeps_owner_id_id", "owner_id", "id"),)

    @property
    def paths(self) -> list[str]:
        """The paths of the values that vary."""
        return [*(self.search if self.method == "grid" else self.search["parameters"])]


class DatasetState(StrEnum):
    """What an uploaded data set is. One that prepares and has a worker is being worked on; without one it waits."""

    UPLOADING = "uploading"
    PREPARING = "preparing"
    READY = "ready"
    FAILED = "failed"


class Dataset(Table):
    """An uploaded data set. While its bytes come in, its row keeps them from being taken for orphans."""

    __tablename__ = "datasets"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    name: Mapped[str | None] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(16))
    identity: Mapped[str | None] = mapped_column(String(64))  # hash of bytes, modality and options; None: not all here
    sha256: Mapped[str | None] = mapped_column(String(64))  # of the uploaded bytes
    size_bytes: Mapped[int] = mapped_column(default=0)  # of the upload, as far as it has come
    stored_bytes: Mapped[int] = mapped_column(default=0)  # of all its files: what counts against the owner's quota
    modality: Mapped[str | None] = mapped_column(String(16))  # that was asked for
    options: Mapped[dict[str, Any]]
    version: Mapped[int] = mapped_column(default=1)  # grows with every change a client can see
    attempt: Mapped[int] = mapped_column(default=0)  # the fencing token; 0 is the upload, each preparation has its own
    losses: Mapped[int] = mapped_column(default=0)  # preparations that were lost
    worker: Mapped[str | None] = mapped_column(String(200))
    beat: Mapped[int] = mapped_column(default=0)
    facts: Mapped[dict[str, Any] | None]
    warnings: Mapped[list[dict[str, Any]]]  # each {code, message}
    files: Mapped[dict[str, Any]]  # upload, rows, labels, preview: each key, size and SHA-256
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]  # ready or failed since

    __table_args__ = (
        UniqueConstraint("owner_id", "identity"),
        Index("ix_datasets_owner_id_id", "owner_id", "id"),
        Index("ix_datasets_state_id", "state", "id"),
    )

    @property
    def is_settled(self) -> bool:
        """Tell whether the data set is ready or failed."""
        return self.state in {DatasetState.READY, DatasetState.FAILED}

    @property
    def is_in_hand(self) -> bool:
        """Tell whether the current attempt goes on: somebody uploads or prepares it."""
        return self.state == DatasetState.UPLOADING or (
            self.state == DatasetState.PREPARING and self.worker is not None
        )


class JobLabel(Table):
    """One label of a job, as a row so that jobs are found by it through an index on every database."""

    __tablename__ = "job_labels"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(String(256))

    __table_args__ = (Index("ix_job_labels_key_value", "key", "value"),)


class Event(Table):
    """A transition or notable fact of a job; its flushes take the numbers that are missing in seq."""

    __tablename__ = "events"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    type: Mapped[str] = mapped_column(String(32))
    message: Mapped[str] = mapped_column(Text)
    attempt: Mapped[int]
    data: Mapped[dict[str, Any]]


class Flush(Table):
    """Steps that one flush has added to the history of a job, as its stream tells them: by two messages.

    `seq` is the number of the second, progress; the first, losses, has the number before it.
    """

    __tablename__ = "flushes"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    attempt: Mapped[int]
    from_step: Mapped[int]
    to_step: Mapped[int]
    max_steps: Mapped[int]
    samples_seen: Mapped[int]
    steps_per_second: Mapped[float | None]


class Segment(Table):
    """The losses of a block of consecutive steps, packed. The newest of a job grows until it is full."""

    __tablename__ = "segments"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    first_step: Mapped[int] = mapped_column(primary_key=True)
    last_step: Mapped[int]
    attempt: Mapped[int]
    columns: Mapped[list[str]]
    stats: Mapped[dict[str, Any]]  # per column: min and max with their steps, sum, count of non-finite
    overview: Mapped[bytes] = mapped_column(LargeBinary)  # minima and maxima of short runs of steps
    payload: Mapped[bytes] = mapped_column(LargeBinary)  # last: SQLite walks through it to what stands behind


class Overview(Table):
    """What many full segments say together, for charts and summaries of long runs; it never changes.

    Where there is none, as of what was recorded before there were any, the segments say the same.
    """

    __tablename__ = "overviews"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    cell_steps: Mapped[int] = mapped_column(primary_key=True)
    first_step: Mapped[int] = mapped_column(primary_key=True)
    last_step: Mapped[int]
    stats: Mapped[dict[str, Any]]  # as a segment's
    cells: Mapped[bytes] = mapped_column(LargeBinary)  # minima and maxima of runs of cell_steps steps


class Checkpoint(Table):
    """A durable, verified state of training. `files` maps a part to its key, size and SHA-256."""

    __tablename__ = "checkpoints"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    attempt: Mapped[int]
    samples_seen: Mapped[int]
    trained_s: Mapped[float]
    losses: Mapped[dict[str, Any]]
    files: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class Sample(Table):
    """A sampling point: the generator's answer to the job's fixed latents. `files` maps a format to key, size, hash."""

    __tablename__ = "samples"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    attempt: Mapped[int]
    count: Mapped[int]
    files: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class OrderState(StrEnum):
    """How far an order is. One that is queued waits for a worker, also where an attempt at it was lost."""

    QUEUED = "queued"
    RENDERING = "rendering"
    READY = "ready"
    FAILED = "failed"


class Order(Table):
    """Samples or an export that a client has asked for. Its file can always be made again."""

    __tablename__ = "orders"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    identity: Mapped[str] = mapped_column(String(64))  # hash of the generator's bytes and of what is asked of it
    generator: Mapped[dict[str, Any]]  # step, part, key, size and SHA-256 of its file
    drawing: Mapped[dict[str, Any]]  # what the generator is to draw, or to be exported as
    request: Mapped[dict[str, Any]]  # the same in the words of the client, with every value filled in
    state: Mapped[str] = mapped_column(String(16))
    version: Mapped[int] = mapped_column(default=1)  # grows with every change a client can see
    attempt: Mapped[int] = mapped_column(default=0)  # the fencing token
    losses: Mapped[int] = mapped_column(default=0)  # attempts that were lost
    worker: Mapped[str | None] = mapped_column(String(200))
    beat: Mapped[int] = mapped_column(default=0)
    made: Mapped[int] = mapped_column(default=0)  # samples of the attempt that goes on
    stored_bytes: Mapped[int] = mapped_column(default=0)
    files: Mapped[dict[str, Any]]  # once it is ready, `samples`: key, size and SHA-256; of an export, too
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]  # ready or failed since

    __table_args__ = (
        UniqueConstraint("job_id", "identity"),
        Index("ix_orders_owner_id_id", "owner_id", "id"),
        Index("ix_orders_state_id", "state", "id"),
    )

    @property
    def is_export(self) -> bool:
        """Tell whether it asks for the generator itself, in another format."""
        return "export" in self.drawing

    @property
    def is_settled(self) -> bool:
        """Tell whether the order is ready or has failed."""
        return self.state in {OrderState.READY, OrderState.FAILED}

    @property
    def is_in_hand(self) -> bool:
        """Tell whether a worker is at it."""
        return self.state == OrderState.RENDERING


class Quality(Table):
    """The metrics of a step. `merit` is the followed one, turned so that more is better; null where it says nothing."""

    __tablename__ = "quality"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    attempt: Mapped[int]
    metrics: Mapped[dict[str, Any]]
    merit: Mapped[float | None]
    created_at: Mapped[datetime]


class Yardstick(Table):
    """What real data and trivial generators reach in the metrics of a job; the same for each of its steps."""

    __tablename__ = "yardsticks"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    real: Mapped[dict[str, Any]]
    baselines: Mapped[dict[str, Any]]


class Installation(Table):
    """The one row that names this database; its blob store is marked with it."""

    __tablename__ = "installation"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)


class DoomedBlob(Table):
    """A blob that no row shows any more and that is to be removed: the first phase of a deletion."""

    __tablename__ = "doomed_blobs"

    key: Mapped[str] = mapped_column(String(300), primary_key=True)
    doomed_at: Mapped[datetime]


class BlobHold(Table):
    """A blob that checkpoints of several jobs show, by job: who lets go of it last dooms it."""

    __tablename__ = "blob_holds"

    key: Mapped[str] = mapped_column(String(300), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)


class Webhook(Table):
    """An address that an owner wants to be told at. The secret is kept as it is: every message is signed with it."""

    __tablename__ = "webhooks"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    name: Mapped[str | None] = mapped_column(String(200))
    url: Mapped[str] = mapped_column(Text)
    events: Mapped[list[str]]  # types of messages; `*` is all of them
    secret: Mapped[str] = mapped_column(String(100))
    enabled: Mapped[bool]
    created_at: Mapped[datetime]

    __table_args__ = (Index("ix_webhooks_owner_id_id", "owner_id", "id"),)


class DeliveryState(StrEnum):
    """What became of a message. One that waits may be due, be held for a while, or stand behind one of its job."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


class Delivery(Table):
    """A message to a webhook, written together with what it tells: what waits here is the outbox.

    It outlives its job, which may be deleted before the receiver is back.
    """

    __tablename__ = "deliveries"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    job_id: Mapped[str | None] = mapped_column(String(32))  # None for a test
    seq: Mapped[int]  # of the event: messages of a job go in this order
    type: Mapped[str] = mapped_column(String(64))
    body: Mapped[str] = mapped_column(Text)  # as it is signed and sent
    state: Mapped[str] = mapped_column(String(16))
    attempt: Mapped[int] = mapped_column(default=0)  # the fencing token: grows with every try
    hold_s: Mapped[float | None]  # wait before the next try, counted off by whichever courier sees it
    waited_s: Mapped[float] = mapped_column(default=0.0)  # all waits so far, also those of messages before it
    status_code: Mapped[int | None]  # of the last answer
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    tried_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_deliveries_webhook_id_id", "webhook_id", "id"),
        # Of messages that wait alone: soon there are many more that do not.
        Index(
            "ix_deliveries_waiting",
            "webhook_id",
            "job_id",
            "seq",
            sqlite_where=text("state = 'waiting'"),
            postgresql_where=text("state = 'waiting'"),
        ),
    )


class IdempotencyKey(Table):
    """The answer to a request that carried an Idempotency-Key; it goes with the job or the sweep that it is about."""

    __tablename__ = "idempotency_keys"

    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_sha256: Mapped[str] = mapped_column(String(64))
    job_id: Mapped[str] = mapped_column(String(32), index=True)  # or the id of a sweep
    answer: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]


class Worker(Table):
    """A worker process that has been seen."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(200), primary_key=True)
    device: Mapped[str] = mapped_column(String(16))
    slots: Mapped[int]
    busy: Mapped[int]
    beat: Mapped[int]
    version: Mapped[str] = mapped_column(String(32))
    facts: Mapped[dict[str, Any]]  # build, threads, machine
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
