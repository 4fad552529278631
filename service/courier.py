"""The courier: sends the messages that wait for webhooks. One in each web process; two never clash.

A message is sent at least once: who dies between an answer and its record sends it again. Waits are counted on this
process's monotonic clock while the database answers, as the reconciler counts leases.
"""

import secrets
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

import structlog
from sqlalchemy import Engine

from service.clock import monotonic_s, now
from service.db import DATABASE_AWAY, reading, writing
from service.leases import Stillness
from service.outgoing import Poster
from service.settings import Settings
from service.signing import sign
from service.store import deliveries
from service.store.deliveries import BackOff, Letter

LONGEST_WAIT_S = 3600.0
JITTER = 0.2  # of a wait, either way, so that what failed together is not tried together
HANDS = 4  # webhooks that one process sends to at once
MOST_HANDS_OF_OWNER = 2  # so that the slow receivers of one leave some for everybody else
MOST_IN_ROUND = 20  # messages that one of them sends before it is another webhook's turn
ROUND_S = 5.0  # after which it is as well; the message that is on its way may take as long again
_random = secrets.SystemRandom()

Target = tuple[str, str]
"""The owner of a webhook, and the webhook."""


class Courier:
    """Looks again and again, in a thread of its own, for messages that are due, and has a few others send them."""

    def __init__(
        self, engine: Engine, settings: Settings, poster: Poster, *, clock: Callable[[], float] = monotonic_s
    ) -> None:
        self._engine, self._settings, self._poster, self._clock = engine, settings, poster, clock
        self._back_off = BackOff(settings.webhook_back_off_s, LONGEST_WAIT_S, settings.webhook_give_up_s)
        self._holds = Stillness()
        self._last_look_at: float | None = None  # None after a failure: the time since then does not count
        self._rounds: dict[Target, Future[None]] = {}  # a webhook is sent one message at a time
        self._turns: dict[Target, float] = {}  # when those that still have something due had their last one
        self._hands = ThreadPoolExecutor(HANDS, thread_name_prefix="courier")
        self._look_again = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)
        self._log = structlog.get_logger()

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for the messages that are on their way, each of which has but seconds."""
        self._stopping.set()
        self._look_again.set()
        self._thread.join()
        self._hands.shutdown(cancel_futures=True)

    def look(self) -> None:
        """Look once and have sent what is due. Raises when the database is away."""
        elapsed_s = self._elapsed()
        self._end_holds(elapsed_s)
        self._rounds = {target: future for target, future in self._rounds.items() if not future.done()}
        with reading(self._engine) as session:
            due = deliveries.list_due(session, most=MOST_IN_ROUND)
        self._last_look_at = self._clock()
        self._begin_rounds(_by_webhook(due))

    def _begin_rounds(self, due: Mapping[Target, Sequence[Letter]]) -> None:
        """Give each webhook a hand whose owner has one left, first those that have waited longest for it."""
        self._turns = {target: at_s for target, at_s in self._turns.items() if target in due}
        for target in sorted(due, key=lambda each: self._turns.get(each, -float("inf"))):
            owner_id, webhook_id = target
            hands = sum(owner == owner_id for owner, _ in self._rounds)
            if target not in self._rounds and hands < MOST_HANDS_OF_OWNER:
                self._turns[target] = self._clock()
                self._rounds[target] = self._hands.submit(self._send_round, webhook_id, due[target])
                self._rounds[target].add_done_callback(lambda _: self._look_again.set())

    def join(self) -> None:
        """Wait until all that was looked up is sent or put off."""
        wait(self._rounds.values())

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.look()
            except DATABASE_AWAY as error:
                self._log.warning("database away, no messages are sent", error=str(error))
            except Exception:  # noqa: BLE001 (the rim of this thread, which must outlive every fault)
                self._log.exception("looking for messages failed")
            self._look_again.wait(self._settings.scan_s)
            self._look_again.clear()

    def _elapsed(self) -> float:
        last, self._last_look_at = self._last_look_at, None
        return 0.0 if last is None else min(self._clock() - last, 2 * self._settings.scan_s)

    def _end_holds(self, elapsed_s: float) -> None:
        with reading(self._engine) as session:
            held = deliveries.list_held(session)
        self._holds.look({(message_id, attempt): 0 for message_id, attempt, _ in held}, elapsed_s)
        over = [(each, attempt) for each, attempt, hold_s in held if self._holds.of((each, attempt)) >= hold_s]
        if over:
            with writing(self._engine) as session:
                for message_id, attempt in over:
                    deliveries.end_hold(session, message_id, attempt)

    def _send_round(self, webhook_id: str, letters: Sequence[Letter]) -> None:
        """Send what is due to one webhook, until it refuses one or has taken its time: then it is another's turn."""
        until_s = self._clock() + ROUND_S
        try:
            for letter in letters:
                if self._stopping.is_set() or not self._send(letter) or self._clock() > until_s:
                    break
            with writing(self._engine) as session:
                deliveries.forget_old(session, webhook_id)
        except DATABASE_AWAY as error:
            self._log.warning("database away, a message may be sent twice", webhook=webhook_id, error=str(error))
        except Exception:  # noqa: BLE001 (the rim of this thread)
            self._log.exception("sending failed", webhook=webhook_id)

    def _send(self, letter: Letter) -> bool:
        """Send a message that nobody else is at; False when it was not accepted."""
        with writing(self._engine) as session:
            address = deliveries.claim(session, letter)
        if address is None:
            return True
        headers = sign(address.secret, letter.id, now(), letter.body)
        outcome = self._poster.post(address.url, letter.body, headers)
        stretch = 1 + _random.uniform(-JITTER, JITTER)
        with writing(self._engine) as session:
            if outcome.error is None:
                deliveries.settle(session, letter, outcome)
            else:
                deliveries.put_off(session, letter, outcome, back_off=self._back_off, stretch=stretch)
        self._log.debug("message sent", delivery=letter.id, webhook=letter.webhook_id, status=outcome.status_code)
        return outcome.error is None


def _by_webhook(letters: Iterable[Letter]) -> dict[Target, list[Letter]]:
    rounds: dict[Target, list[Letter]] = {}
    for letter in letters:
        rounds.setdefault((letter.owner_id, letter.webhook_id), []).append(letter)
    return rounds
