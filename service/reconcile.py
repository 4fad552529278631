"""The reconciler: finds what a crash has left undone and mends it. It may run anywhere, in any number, at any time.

No wall clock decides anything. Time is counted on this process's monotonic clock, and only while the database answers,
so that neither a jump of the clock nor an outage nor a pause of this process ever declares an attempt lost.
"""

import secrets
import threading
from collections.abc import Callable, Iterator, Sequence

import structlog
from sqlalchemy import Engine

from service.blobs import BlobStore
from service.broker import INGEST, SAMPLE, Wakeups
from service.clock import monotonic_s
from service.crashpoints import crash_point
from service.db import DATABASE_AWAY, reading, writing
from service.errors import AttemptOver, StorageAway
from service.leases import Lease, Stillness, list_leases
from service.orphans import belongs_to, list_stored, sweep_orphans
from service.removals import allowed
from service.settings import Settings
from service.spec.halving import Verdict
from service.store import orders, preparation, sweeps, transitions
from service.store.doomed import doom, forget_doomed, list_doomed
from service.store.workers import forget_worker, list_workers

_ANY_DEVICE = ("auto", "cpu", "cuda")
_UNPROVEN_TTLS = 0.25  # for so long a beat may stand still before that is held against the attempt
_WORKER_FORGOTTEN_TTLS = 2  # its row is for people and scalers alone; a worker that is only slow comes back


class Reconciler:
    """Scans again and again in a thread of its own. Every action is conditional in the database, so two never clash."""

    def __init__(
        self,
        engine: Engine,
        blobs: BlobStore,
        settings: Settings,
        wakeups: Wakeups,
        *,
        clock: Callable[[], float] = monotonic_s,
    ) -> None:
        self._engine, self._blobs, self._settings, self._wakeups = engine, blobs, settings, wakeups
        self._clock = clock
        self._leases, self._holds, self._workers = Stillness(), Stillness(), Stillness()
        self._last_scan_at: float | None = None  # None after a failure: the time since then does not count
        self._mended_at = -float("inf")
        self._swept_at = clock()
        self._no_blob = f"/{secrets.token_hex(8)}"  # a key that no blob has, and no other reconciler
        self._owns_store = False  # until the store has said so
        self._rests_until = -float("inf")  # from removing blobs, as their store is away
        self._unswept: dict[str, None] = {}  # jobs, orders and data sets whose orphans are to be looked for, in order
        self._met: set[str] = set()  # what the last look through the whole store has found
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reconciler", daemon=True)
        self._log = structlog.get_logger()

    def start(self) -> None:
        """Begin to scan."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the scan it may be in."""
        self._stopping.set()
        self._thread.join()

    def scan(self) -> None:
        """Look at everything once and act. Raises when the database is away; the next scan begins afresh."""
        elapsed_s = self._elapsed()
        self._expire_leases(elapsed_s)
        self._end_holds(elapsed_s)
        self._forget_workers(elapsed_s)
        if self._clock() - self._mended_at >= self._settings.wake_again_s:
            self._mend()
            self._mended_at = self._clock()
        self._last_scan_at = self._clock()
        # Last, with the time already noted: neither blobs that are out of reach nor a fault in what follows may keep
        # leases from running out.
        self._sweep()
        self._remove_doomed()
        self._stop_outperformed()

    def _run(self) -> None:
        while not self._stopping.wait(self._settings.scan_s):
            try:
                self.scan()
            except DATABASE_AWAY as error:
                self._log.warning("database away, nothing is judged", error=str(error))
            except Exception:  # noqa: BLE001 (the rim of this thread, which must outlive every fault)
                self._log.exception("scan failed")

    def _elapsed(self) -> float:
        """Return the seconds since the last good scan, capped: who was stopped for a minute has not watched for one."""
        last, self._last_scan_at = self._last_scan_at, None
        return 0.0 if last is None else min(self._clock() - last, 2 * self._settings.scan_s)

    def _expire_leases(self, elapsed_s: float) -> None:
        """Declare lost whose beat has stood still for the time to live."""
        with reading(self._engine) as session:
            leases = list_leases(session, self._settings)
        self._leases.look({(lease.owner, lease.attempt): lease.beat for lease in leases}, elapsed_s)
        self._prove_writable()
        for lease in leases:
            if self._leases.of((lease.owner, lease.attempt)) >= self._settings.ttl_s:
                self._lose(lease)

    def _prove_writable(self) -> None:
        """Raise unless the database takes writes, where a beat has stood still for long: one on a full disk answers
        questions while nobody can beat.
        """
        if self._leases.longest_s < self._settings.ttl_s * _UNPROVEN_TTLS:
            return
        with writing(self._engine) as session:
            doom(session, [self._no_blob])
            forget_doomed(session, [self._no_blob])

    def _lose(self, lease: Lease) -> None:
        """Declare an attempt lost, now or with a later scan: a process that was stopped in the midst of a write holds
        its row until the database ends its transaction, and that must keep no other from being judged.
        """
        try:
            with writing(self._engine) as session:
                lease.lose(session)
        except AttemptOver:
            return  # another reconciler was first, or the attempt has ended
        except DATABASE_AWAY as error:
            self._log.warning("attempt not declared lost yet", of=lease.owner, attempt=lease.attempt, error=str(error))
            return
        crash_point("loss.committed")
        self._log.warning("attempt lost", of=lease.owner, attempt=lease.attempt)
        self._unswept[lease.owner] = None
        self._wakeups.announce(lease.task)

    def _end_holds(self, elapsed_s: float) -> None:
        """Let jobs be claimed again that have waited out their back-off."""
        with reading(self._engine) as session:
            held = [(job.id, job.attempt, job.hold_s or 0.0) for job in transitions.list_held(session)]
        self._holds.look({(job_id, attempt): 0 for job_id, attempt, _ in held}, elapsed_s)
        for job_id, attempt, hold_s in held:
            if self._holds.of((job_id, attempt)) >= hold_s:
                with writing(self._engine) as session:
                    transitions.end_hold(session, job_id, attempt)
                self._wakeups.announce()

    def _forget_workers(self, elapsed_s: float) -> None:
        with reading(self._engine) as session:
            workers = list_workers(session)
        self._workers.look({worker.id: worker.beat for worker in workers}, elapsed_s)
        for worker_id in [worker.id for worker in workers]:
            if self._workers.of(worker_id) >= self._settings.ttl_s * _WORKER_FORGOTTEN_TTLS:
                with writing(self._engine) as session:
                    forget_worker(session, worker_id)

    def _stop_outperformed(self) -> None:
        """Stop the members of sweeps that have fallen behind: each by itself, for a write of its trainer may hang."""
        with reading(self._engine) as session:
            verdicts = sweeps.list_fallen_behind(session)
        for verdict in verdicts:
            try:
                self._stop(verdict)
            except DATABASE_AWAY as error:
                self._log.warning("member not stopped yet", job=verdict.member, error=str(error))

    def _stop(self, verdict: Verdict) -> None:
        with writing(self._engine) as session:
            is_new = transitions.stop_outperformed(session, verdict.member, verdict)
        if is_new:
            self._log.info("member stopped", job=verdict.member, why=str(verdict))

    def _sweep(self) -> None:
        """Sweep after the jobs that wait for it, every so often after all, and never so long that leases go unseen."""
        try:
            if not self._owns_store:
                self._owns_store = belongs_to(self._blobs, self._engine)
            if self._clock() - self._swept_at >= self._settings.sweep_s:
                self._swept_at = self._clock()
                self._sweep_all()
            until = self._clock() + self._settings.scan_s
            while self._unswept and self._clock() < until:
                self._sweep_next()
        except OSError as error:
            self._log.warning("orphans not swept", error=str(error))

    def _sweep_all(self) -> None:
        if not self._owns_store:
            self._log.error("the blob store is not that of the database, no orphans are removed")
            return
        stored = [*list_stored(self._blobs)]
        # What is drawn for an errand lies in the store before its order is written down, a moment later.
        ripe = [owner for owner in stored if owner in self._met or not owner.startswith(orders.ID_PREFIX)]
        self._unswept |= dict.fromkeys(ripe)
        self._met = {*stored}

    def _sweep_next(self) -> None:
        job_id = next(iter(self._unswept))
        del self._unswept[job_id]
        try:
            sweep_orphans(self._engine, self._blobs, job_id)
        except BaseException:
            self._unswept[job_id] = None  # again with the next scan, behind the others
            raise

    def _remove_doomed(self) -> None:
        """Remove blobs that no row shows any more; the marks go last, so that a crash between only repeats."""
        if self._clock() < self._rests_until:
            return
        with allowed(self._settings.home) as is_allowed:
            if not is_allowed:
                return
            with reading(self._engine) as session:
                keys = [blob.key for blob in list_doomed(session)]
            removed = [*self._remove(keys)]
        if removed:
            crash_point("deletion.between")
            with writing(self._engine) as session:
                forget_doomed(session, removed)

    def _remove(self, keys: Sequence[str]) -> Iterator[str]:
        """Remove blobs for about as long as a scan may take, and yield their keys; leave a store alone that is away."""
        until = self._clock() + self._settings.scan_s
        for key in keys:
            try:
                self._blobs.delete(key)
            except StorageAway as error:
                self._rests_until = self._clock() + self._settings.wake_again_s
                self._log.warning("storage away, no blobs removed", error=str(error))
                return
            except OSError as error:
                self._log.warning("blob not removed", key=key, error=str(error))
            else:
                yield key
            if self._clock() > until:
                return

    def _mend(self) -> None:
        """Do what in normal life leaves nothing to do, and announce the jobs, data sets and orders that wait."""
        with writing(self._engine) as session:
            transitions.apply_desired(session)
        with reading(self._engine) as session:
            waiting = transitions.next_claimable(session, devices=_ANY_DEVICE, limit=1)
            unprepared = preparation.next_to_prepare(session, limit=1)
            ordered = orders.next_orders(session)
        if waiting:
            self._wakeups.announce()
        if unprepared:
            self._wakeups.announce(INGEST)
        if ordered:
            self._wakeups.announce(SAMPLE)
