"""Claims uploaded data sets and watches over the processes that prepare them, one at a time. Loads no torch."""

import hashlib
import signal
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from service.blobs import BlobStore, read_pieces, store_pieces
from service.clock import monotonic_s
from service.db import DATABASE_AWAY, reading, writing
from service.errors import AttemptOver, BlobDamaged, BlobMissing
from service.models import Dataset
from service.orphans import belongs_to, sweep_orphans
from service.scratch import held_directory, remove_left
from service.settings import Settings
from service.spec.uploads import ID_PREFIX
from service.store import preparation
from worker.attempt import LastWords
from worker.calls import Calls
from worker.forkserver import ForkedProcess, ForkServer
from worker.ingest.upload import LABELS, ROWS, Limits, Options, Prepared, Upload
from worker.preparation import Bounds, as_warnings, prepare_apart, read_answer

_LOOK_S = 0.5  # between two looks at a preparation while nothing happens
_MENDABLE = {"crashed", "no_space"}  # by another attempt; everything else is the file's doing


class Drained(Exception):
    """The worker stops: what it has begun is given back."""


class Preparer:
    """The one place of a worker, beside its slots, where uploads are prepared."""

    def __init__(
        self, engine: Engine, blobs: BlobStore, fork_server: ForkServer, *, settings: Settings, worker_id: str
    ) -> None:
        self._engine, self._blobs, self._fork_server = engine, blobs, fork_server
        self._settings, self._worker_id = settings, worker_id
        self._calls = Calls()
        self._draining = threading.Event()
        self._limits = Limits(prepared_bytes=settings.prepared_max_bytes)
        self._beaten_at = 0.0
        self._in_doubt: list[tuple[str, int]] = []  # (data set, attempt): what became of it the database has not told
        self._log = structlog.get_logger().bind(worker=worker_id)

    def work(self) -> None:
        """Prepare waiting data sets one after the other until there is none; return at once when that goes on."""
        self._calls.follow(self._try_to_work_off)

    def _try_to_work_off(self) -> None:
        try:
            self._work_off()
        except DATABASE_AWAY as error:
            self._log.warning("database away, nothing prepared", error=str(error))
        except (OSError, EOFError) as error:
            self._log.warning("no fork server, nothing prepared", error=repr(error))

    def _work_off(self) -> None:
        put_off: set[str] = set()  # what cannot be read or stored now keeps no other waiting
        while not self._draining.is_set() and (dataset := self._claim(put_off)) is not None:
            if not self._carry_out(dataset):
                put_off.add(dataset.id)

    def drain(self) -> None:
        """Claim nothing more and give back what is being prepared. Safe in a signal handler."""
        self._draining.set()

    def join(self) -> None:
        """Wait until nothing is being prepared and give back what is in doubt; call after `drain`."""
        with self._calls.working:
            try:
                self._release_doubtful()
            except DATABASE_AWAY as error:
                self._log.warning("database away, a preparation stays in doubt", error=str(error))

    def _claim(self, put_off: Collection[str]) -> Dataset | None:
        self._release_doubtful()
        self._fork_server.get_warm()
        with reading(self._engine) as session:
            waiting = preparation.next_to_prepare(session, but=put_off)
        for seen in waiting:
            try:
                with writing(self._engine) as session:
                    dataset = session.get(Dataset, seen.id)
                    claimed = dataset and preparation.claim_preparation(session, dataset, worker=self._worker_id)
            except DATABASE_AWAY:
                self._in_doubt.append((seen.id, seen.attempt + 1))
                raise
            if claimed:
                return dataset
        return None

    def _release_doubtful(self) -> None:
        """Give back what this worker may hold without knowing it; an outage charges nobody."""
        while self._in_doubt:
            dataset_id, attempt = self._in_doubt[0]
            with writing(self._engine) as session, suppress(AttemptOver):
                dataset = session.get(Dataset, dataset_id, with_for_update=True)
                if dataset is not None and dataset.worker == self._worker_id:
                    preparation.release_preparation(session, dataset_id, attempt)
            self._in_doubt.pop(0)

    def _carry_out(self, dataset: Dataset) -> bool:
        """Prepare a claimed data set and record how that ended; False when it had better wait."""
        log = self._log.bind(dataset=dataset.id, attempt=dataset.attempt)
        log.info("preparation started")
        can_go_on = True
        try:
            with self._directory(dataset) as directory:
                self._prepare(dataset, directory)
        except AttemptOver:
            log.warning("the preparation is over, nothing is kept")
        except Drained:
            self._record(dataset, None)
        except (BlobDamaged, BlobMissing) as error:
            # In a store that is not there, as a directory that is not mounted, all files seem to be lost for good.
            can_go_on = belongs_to(self._blobs, self._engine)
            damaged = LastWords("upload_damaged", f"{error}. Upload it again.")
            self._record(dataset, damaged if can_go_on else None)
        except (OSError, EOFError) as error:
            log.warning("storage full or away, data set given back", error=repr(error))
            self._record(dataset, None)
            can_go_on = False
        self._sweep(dataset)
        return can_go_on

    def _prepare(self, dataset: Dataset, directory: Path) -> None:
        upload = self._fetch(dataset, directory / "upload")
        target = directory / "prepared"
        target.mkdir()
        failure = self._parse(dataset, upload, target)
        if failure is not None:
            self._record(dataset, failure)
            return
        prepared = read_answer(target)
        files = {
            kind: self._store(dataset, target / name)
            for kind, name in {"rows": ROWS, "labels": LABELS, "preview": prepared.preview}.items()
            if (target / name).exists()
        }
        self._finish(dataset, prepared, files)

    def _fetch(self, dataset: Dataset, path: Path) -> Upload:
        """Copy the uploaded bytes to this machine; raise BlobDamaged when they are others."""
        digest = hashlib.sha256()
        with path.open("xb") as file:
            for piece in read_pieces(self._blobs, dataset.files["upload"]["key"]):
                self._beat(dataset)
                digest.update(piece)
                file.write(piece)
        if digest.hexdigest() != dataset.sha256:
            raise BlobDamaged("What was uploaded does not have its recorded hash")
        given = {name: value for name, value in dataset.options.items() if value is not None}
        options = Options(modality=dataset.modality, **given)  # type: ignore[arg-type]
        return Upload(path, dataset.id, digest.hexdigest(), options)

    def _parse(self, dataset: Dataset, upload: Upload, target: Path) -> LastWords | None:
        """Run the preparation in a process of its own; return why it failed, if it did."""
        most_s = self._settings.prepare_s
        bounds = Bounds(self._settings.prepare_memory_bytes, int(most_s), self._limits.prepared_bytes)
        process = self._fork_server.fork(prepare_apart, upload, target, self._limits, bounds)
        until, late = monotonic_s() + most_s, False
        try:
            while not process.wait(_LOOK_S):
                self._beat(dataset)
                late = monotonic_s() > until
                if late:
                    process.kill()
        except BaseException:
            process.kill()
            process.end()
            raise
        return explain(process, late=late, most_s=most_s)

    def _store(self, dataset: Dataset, path: Path) -> dict[str, object]:
        def pieces() -> Iterator[bytes]:
            with path.open("rb") as file:
                while piece := file.read(2**20):
                    self._beat(dataset)
                    yield piece

        return store_pieces(self._blobs, f"{dataset.id}/{dataset.attempt}/{path.name}", pieces())

    def _beat(self, dataset: Dataset) -> None:
        """Say now and then that the preparation goes on; raise Drained or AttemptOver when it is not to."""
        if self._draining.is_set():
            raise Drained
        if monotonic_s() - self._beaten_at < self._settings.flush_s:
            return
        self._beaten_at = monotonic_s()
        try:
            with writing(self._engine) as session:
                preparation.beat_preparation(session, dataset.id, dataset.attempt)
        except DATABASE_AWAY as error:
            self._log.warning("database away", error=str(error))

    def _finish(self, dataset: Dataset, prepared: Prepared, files: dict[str, dict[str, object]]) -> None:
        finish, facts, warnings = preparation.finish_preparation, prepared.facts, as_warnings(prepared)
        quota_bytes = self._settings.dataset_quota_bytes

        def show(session: Session, *attempt: Any) -> None:
            finish(session, *attempt, facts=facts, warnings=warnings, files=files, quota_bytes=quota_bytes)

        if self._end(dataset, show):
            self._log.info("data set prepared", dataset=dataset.id, count=facts.count)

    def _end(self, dataset: Dataset, write: Callable[[Session, str, int], object]) -> bool:
        """End the attempt in one transaction, False when it was over or this worker stops; waits for the database, for
        its outage is not to be charged.
        """
        while True:
            try:
                with writing(self._engine) as session:
                    write(session, dataset.id, dataset.attempt)
            except AttemptOver:
                self._log.warning("the preparation is over", dataset=dataset.id, attempt=dataset.attempt)
                return False
            except DATABASE_AWAY as error:
                self._log.warning("database away at the end of a preparation", dataset=dataset.id, error=str(error))
                if self._draining.wait(_LOOK_S):
                    self._in_doubt.append((dataset.id, dataset.attempt))
                    return False
            else:
                return True

    def _record(self, dataset: Dataset, failure: LastWords | None) -> None:
        """Give a data set back, or record why its preparation failed: for good when the file itself is to blame."""

        def record(session: Session, *attempt: Any) -> None:
            if failure is None:
                preparation.release_preparation(session, *attempt)
            elif failure.reason not in _MENDABLE:
                preparation.fail_preparation(session, *attempt, code=failure.reason, message=failure.message)
            else:
                most, message = self._settings.losses_in_row, failure.message
                lose = preparation.lose_preparation
                lose(session, *attempt, code=failure.reason, message=message, most_losses=most)

        if self._end(dataset, record):
            self._log.info("data set not prepared", dataset=dataset.id, why=failure and failure.message)

    def _sweep(self, dataset: Dataset) -> None:
        try:
            sweep_orphans(self._engine, self._blobs, dataset.id)
        except OSError as error:
            self._log.warning("orphans not swept", dataset=dataset.id, error=str(error))

    @contextmanager
    def _directory(self, dataset: Dataset) -> Iterator[Path]:
        """Give the preparation a directory of its own; what killed processes have left is removed."""
        root = self._settings.home.absolute() / "preparing"
        root.mkdir(parents=True, exist_ok=True)
        remove_left(root, ID_PREFIX)
        with held_directory(root, f"{dataset.id}-") as directory:
            yield directory


def explain(process: ForkedProcess, *, late: bool, most_s: float) -> LastWords | None:
    """Return why a preparation that has ended failed; None when it did not."""
    code, words = process.end()
    if words is not None:
        return LastWords.read(words)
    if late or code == -signal.SIGXCPU:
        return LastWords(
            "too_slow", f"The file took more than {most_s:g} s to read; send less data or a plainer format."
        )
    if code != 0:
        return LastWords("crashed", f"The preparation ended with exit code {code}.")
    return None
