"""Claims orders for samples and exports and hands them to a warm process. Loads no torch."""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Engine
from sqlalchemy.orm import Session

from service.blobs import BlobStore
from service.clock import monotonic_s
from service.db import DATABASE_AWAY, reading, writing, writing_lightly
from service.errands import AT_ONCE_S, Errand
from service.errors import AttemptOver
from service.models import Order
from service.orphans import sweep_orphans
from service.settings import Settings
from service.store import orders
from worker.attempt import LastWords
from worker.calls import Calls
from worker.forkserver import ForkedProcess, ForkServer, make_channel
from worker.rendering import Answer, Request, receive, render_on_demand

QUICK_S = 0.1
_LOOK_S = 0.5  # between two looks while nothing happens
_MENDABLE = {"crashed"}  # by another attempt
_HINDRANCES = {"drained", "no_storage"}  # that are no fault of the order


class Drained(Exception):
    """The worker stops: what it has begun is given back."""


@dataclass
class _Hold:
    """An attempt at an order, which is this worker's once it is claimed."""

    order: Order  # as it was seen to wait
    attempt: int
    is_claimed: bool = False
    is_errand: bool = False  # perhaps not stored yet
    made: int = 0  # samples so far

    @property
    def order_id(self) -> str:
        return self.order.id


@dataclass(frozen=True)
class _Warm:
    """The process that draws, and the connection by which it is asked."""

    process: ForkedProcess
    channel: Connection


class Sampler:
    """A place of a worker, beside its slots, where orders for samples and exports are carried out, one after the other.

    A worker has two, one for small orders and one for all others, so that nobody waits for another's large ones. In
    either, owners take turns.

    What takes less than quick_s is not claimed before it is done. A claim is a write that is waited for, and a disk may
    take longer over it than a generator over a few samples; two workers that draw the same store the same bytes. With 0
    everything is claimed first, as is right where it takes long: whoever loses then has drawn nothing in vain.
    """

    def __init__(
        self,
        engine: Engine,
        blobs: BlobStore,
        fork_server: ForkServer,
        tell: Callable[[str], None],  # who waits for an order of this id
        *,
        settings: Settings,
        worker_id: str,
        takes: ColumnElement[bool],
        quick_s: float = QUICK_S,
    ) -> None:
        self._engine, self._blobs, self._fork_server, self._tell = engine, blobs, fork_server, tell
        self._settings, self._worker_id = settings, worker_id
        self._waiting, self._quick_s = orders.query_next(takes), quick_s
        self._turns: dict[str, int] = {}  # the number of each owner's last turn here
        self._warm: _Warm | None = None
        self._draining = threading.Event()
        self._calls = Calls()
        self._log = structlog.get_logger().bind(worker=worker_id)

    def work(self) -> None:
        """Carry out waiting orders one after the other until there is none; return at once when that goes on."""
        self._calls.follow(self._try_to_work_off)

    @property
    def is_busy(self) -> bool:
        """Whether something is being drawn here."""
        return self._calls.working.locked()

    def run(self, errand: Errand, answer: Callable[[str, dict[str, Any] | None], None]) -> None:
        """Draw what a request waits for and answer with the stored file, None where it is to be drawn in its turn.

        Once that takes long, the order is written down, and claimed like any other. Where something else is drawn that
        does not end soon, the errand is left to others while it is still waited for.
        """
        is_mine = self._calls.working.acquire(timeout=AT_ONCE_S / 2)
        file = None
        try:
            if is_mine and not self._draining.is_set():
                file = self._run(errand)
        except DATABASE_AWAY as error:
            self._log.warning("database away, an errand dropped", order=errand.order_id, error=str(error))
        except (OSError, EOFError) as error:
            self._log.warning("no fork server, an errand dropped", order=errand.order_id, error=repr(error))
        finally:
            answer(errand.order_id, file)
            self._tell(errand.order_id)
            if is_mine:
                self._calls.working.release()
        if file is None or self._calls.are_left:  # it is written down, perhaps, or whoever called meanwhile has gone
            self.work()

    def _run(self, errand: Errand) -> dict[str, Any] | None:
        """Return the stored file of an errand, None if it was claimed or came to nothing."""
        hold, began_s = _Hold(Order(id=errand.order_id, attempt=0), 1, is_errand=True), monotonic_s()
        try:
            answer = self._ask(self._ensure_warm(), hold, Request(hold.order_id, 1, errand.generator, errand.drawing))
            if not hold.is_claimed and monotonic_s() - began_s > AT_ONCE_S / 2:
                self._keep(hold)  # the process had to be started: whoever sent the errand may be gone by now
            if hold.is_claimed:
                self._record(hold, answer)
        except AttemptOver:
            self._sweep(hold.order_id)
            return None
        except Drained:
            self._give_back(hold)
            return None
        return None if hold.is_claimed else answer.file

    def drain(self) -> None:
        """Claim nothing more and give back what is being drawn. Safe in a signal handler."""
        self._draining.set()

    def join(self) -> None:
        """Wait until nothing is being drawn, and end the warm process; call after `drain`."""
        with self._calls.working:
            self._end_warm()

    def _try_to_work_off(self) -> None:
        try:
            self._work_off()
        except DATABASE_AWAY as error:
            self._log.warning("database away, nothing drawn", error=str(error))
        except (OSError, EOFError) as error:
            self._log.warning("no fork server, nothing drawn", error=repr(error))

    def _work_off(self) -> None:
        while not self._draining.is_set():
            order = self._next()
            if order is None or not self._carry_out(order):
                return

    def _next(self) -> Order | None:
        """Return what comes next: the oldest order of the owner whose turn is longest ago."""
        with reading(self._engine) as session:
            waiting = session.scalars(self._waiting).all()
        if not waiting:
            return None
        order = min(waiting, key=lambda each: self._turns.get(each.owner_id, 0))
        self._turns[order.owner_id] = max(self._turns.values(), default=0) + 1
        return order

    def _carry_out(self, order: Order) -> bool:
        """Carry out an order and record how that ended; False when this worker had better wait."""
        hold = _Hold(order, order.attempt + 1)
        warm = self._ensure_warm()
        try:
            answer = self._ask(warm, hold, Request(order.id, hold.attempt, order.generator, order.drawing))
            self._record(hold, answer)
        except AttemptOver:
            self._log.warning("the attempt is over, nothing is kept", order=order.id, attempt=hold.attempt)
            self._sweep(order.id)
            return True
        except Drained:
            self._give_back(hold)
            return False
        return answer.refusal is None or answer.refusal.reason != "no_storage"

    def _give_back(self, hold: _Hold) -> None:
        if hold.is_claimed:
            with suppress(AttemptOver):  # it has been given to somebody else already
                self._record(hold, Answer(refusal=LastWords("drained", "The worker stops.")))

    def _ask(self, warm: _Warm, hold: _Hold, request: Request) -> Answer:
        """Let the warm process draw; claim the order once that takes long, and beat for it.

        Who is at an order that is not wanted any more is ended; who has drawn one goes on with the next.
        """
        until, look_s = monotonic_s() + self._settings.sample_s, min(_LOOK_S, self._settings.flush_s)
        if not self._quick_s:
            self._keep(hold)
        try:
            request.send(warm.channel)
            look_at = monotonic_s() + (self._quick_s or look_s)
            while True:
                if warm.channel.poll(max(0.0, look_at - monotonic_s())):
                    told = receive(warm.channel)
                    if isinstance(told, Answer):
                        return told
                    hold.made = told
                    continue
                look_at = monotonic_s() + look_s
                self._keep(hold)
                if monotonic_s() > until:
                    self._end_warm()
                    message = f"It took more than {self._settings.sample_s:g} s; of samples, ask for fewer."
                    return Answer(refusal=LastWords("samples_too_slow", message))
        except (OSError, EOFError):
            code = self._end_warm()
            return Answer(refusal=LastWords("crashed", f"The process that draws ended with exit code {code}."))
        except BaseException:
            self._end_warm()  # or whoever asks next would be given the answer that is still to come
            raise

    def _keep(self, hold: _Hold) -> None:
        """Say that the attempt goes on; raise Drained or AttemptOver when it is not to."""
        if self._draining.is_set():
            raise Drained
        try:
            with writing(self._engine) as session:
                if hold.is_claimed:
                    orders.beat_order(session, hold.order_id, hold.attempt, made=hold.made)
                elif hold.is_errand and not orders.is_stored(session, hold.order_id):
                    return  # who sent it is about to write it down
                else:
                    self._claim(session, hold)
        except DATABASE_AWAY as error:
            self._log.warning("database away", error=str(error))
        else:
            hold.is_claimed = True

    def _claim(self, session: Session, hold: _Hold) -> None:
        orders.claim_order(session, hold.order_id, hold.attempt, worker=self._worker_id)

    def _record(self, hold: _Hold, answer: Answer) -> None:
        """Write down how an attempt has ended; waits for the database, for its outage is not to be charged."""
        while True:
            try:
                self._end(hold, answer)
                break
            except DATABASE_AWAY as error:
                self._log.warning("database away at the end of an order", order=hold.order_id, error=str(error))
                if self._draining.wait(_LOOK_S):
                    raise
        self._tell(hold.order_id)
        if answer.refusal is not None:
            self._log.info("order not carried out", order=hold.order_id, why=answer.refusal.message)
            self._sweep(hold.order_id)

    def _end(self, hold: _Hold, answer: Answer) -> None:
        """End an attempt in one transaction; what took no time is only now seen to have been begun."""
        attempt, refusal, quota_bytes = (hold.order_id, hold.attempt), answer.refusal, self._settings.sample_quota_bytes
        # A file that is forgotten is drawn again, but what became of an attempt that failed is to be known.
        with (writing if answer.file is None else writing_lightly)(self._engine) as session:
            if not hold.is_claimed:
                if answer.file is not None and orders.finish_waiting(
                    session, hold.order, hold.attempt, file=answer.file, quota_bytes=quota_bytes
                ):
                    return
                self._claim(session, hold)
            if answer.file is not None:
                orders.finish_order(session, *attempt, file=answer.file, quota_bytes=quota_bytes)
            elif refusal is None or refusal.reason in _HINDRANCES:
                orders.release_order(session, *attempt)
            elif refusal.reason in _MENDABLE:
                most, message = self._settings.losses_in_row, refusal.message
                orders.lose_order(session, *attempt, code="sampling_failed", message=message, most_losses=most)
            else:
                orders.fail_order(session, *attempt, code=refusal.reason, message=refusal.message)

    def _ensure_warm(self) -> _Warm:
        """Return the warm process, started anew where there is none; raises OSError or EOFError."""
        if self._warm is None or self._warm.process.wait(0):
            self._end_warm()
            self._fork_server.get_warm()
            ours, theirs = make_channel()
            with theirs:
                process = self._fork_server.fork(render_on_demand, theirs, self._settings)
            self._warm = _Warm(process, ours)
        return self._warm

    def _end_warm(self) -> int | None:
        """End the warm process if there is one; return its exit code."""
        if self._warm is None:
            return None
        warm, self._warm = self._warm, None
        warm.process.kill()
        code, _ = warm.process.end()
        warm.channel.close()
        return code

    def _sweep(self, order_id: str) -> None:
        try:
            sweep_orphans(self._engine, self._blobs, order_id)
        except OSError as error:
            self._log.warning("orphans not swept", order=order_id, error=str(error))
