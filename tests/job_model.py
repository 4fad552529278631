"""The life of a job as its owner is promised it, in plain Python: no table, no session, no clock."""

from collections.abc import Callable
from dataclasses import dataclass, field

TTL_S, SCAN_S = 4.0, 2.0
LOSSES_IN_ROW, LOSSES_IN_ALL = 3, 4
BACK_OFF_S, BACK_OFF_MAX_S = 2.0, 3.0
KEEP_LAST = 2

ENDED = frozenset({"succeeded", "failed", "cancelled"})


class Refused(Exception):
    """What was asked for cannot be; the text names the error that says so."""


@dataclass
class Life:
    """One job. Steps are told apart by the attempt that took them: history[n] is the attempt of step n + 1."""

    max_steps: int
    state: str = "queued"
    desired: str = "run"
    reason: str | None = None
    attempt: int = 0
    step: int = 0
    losses_in_row: int = 0
    losses_in_all: int = 0
    hold_s: float | None = None
    history: list[int] = field(default_factory=list)
    checkpoints: dict[int, int] = field(default_factory=dict)  # step: attempt
    samples: dict[int, int] = field(default_factory=dict)
    events: list[str] = field(default_factory=lambda: ["created"])
    deleted: bool = False
    quiet_s: float | None = None  # as long as a reconciler has heard nothing; None when it has heard since it looked
    waited_s: float | None = None  # of the hold

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED

    @property
    def is_claimable(self) -> bool:
        return not self.deleted and self.state == "queued" and self.hold_s is None

    @property
    def status(self) -> str:
        if self.state != "running":
            return self.state
        return {"run": "running", "pause": "pausing", "cancel": "cancelling"}[self.desired]

    def is_run_by(self, attempt: int) -> bool:
        return not self.deleted and self.state == "running" and self.attempt == attempt

    # The owner

    def cancel(self) -> None:
        if self.deleted:
            raise Refused("NotFound")
        if self.state == "cancelled":
            return
        if self.has_ended:
            raise Refused("Conflict")
        self._want("cancel")

    def pause(self) -> None:
        self._refuse_unless_live()
        self._want("pause")

    def resume(self) -> None:
        self._refuse_unless_live()
        self._want("run")

    def change(self, max_steps: int | None) -> None:
        """Change the name alone, or max_steps."""
        if self.deleted:
            raise Refused("NotFound")
        if max_steps is not None:
            self._set_max_steps(max_steps)
        self.events.append("note")

    def _set_max_steps(self, max_steps: int) -> None:
        if self.has_ended:
            raise Refused("Conflict")
        if max_steps < self.step:
            raise Refused("InvalidInput")
        self.max_steps = max_steps

    def delete(self) -> None:
        if self.deleted:
            raise Refused("NotFound")
        if not self.has_ended:
            raise Refused("Conflict")
        self.deleted = True
        self.checkpoints, self.samples = {}, {}

    def _refuse_unless_live(self) -> None:
        if self.deleted:
            raise Refused("NotFound")
        if self.has_ended or self.desired == "cancel":
            raise Refused("Conflict")

    def _want(self, desired: str) -> None:
        if self.desired == desired:
            return
        self.desired = desired
        if self.state == "running":
            self.events.append("status")
        else:
            self._set_aside()

    # A worker

    def claim(self, *, seen_attempt: int, from_step: int) -> None:
        if not self.is_claimable or self.attempt != seen_attempt:
            raise Refused("TooLate")
        self.state, self.reason, self.quiet_s = "running", None, None
        self.attempt += 1
        self.step = from_step
        if len(self.history) > from_step:
            self.events.append("rollback")
        self.history = self.history[:from_step]
        self.checkpoints = {step: attempt for step, attempt in self.checkpoints.items() if step <= from_step}
        self.samples = {step: attempt for step, attempt in self.samples.items() if step <= from_step}
        self.events.append("resumed" if from_step else "started")

    def flush(self, attempt: int, step: int) -> None:
        self._refuse_unless_run_by(attempt)
        self.history += [attempt] * (step - len(self.history))
        self.step = step
        self.quiet_s = None

    def show_checkpoint(self, step: int) -> None:
        if step not in self.checkpoints:
            self.checkpoints[step] = self.attempt
            self.checkpoints = dict(sorted(self.checkpoints.items())[-KEEP_LAST:])
            self.losses_in_row = 0
            self.events.append("checkpoint")

    def show_sample(self, step: int) -> None:
        if step not in self.samples:
            self.samples[step] = self.attempt
            self.events.append("sample")

    def conclude(self, why: str | None) -> None:
        """End the attempt if what stopped the loop still holds; a cancel goes before everything."""
        if self.desired == "cancel":
            self._end("cancelled", "user_request")
        elif why in {"diverged", "unhealthy", "bad_dataset"}:
            self._end("failed", why)
        elif why in {"max_seconds", "early_stop"} or (why == "max_steps" and self.step >= self.max_steps):
            self._end("succeeded", why)
        elif why == "drain" or (why == "pause" and self.desired == "pause"):
            self._set_aside()

    def lose(self, attempt: int, reason: str) -> None:
        self._refuse_unless_run_by(attempt)
        self.losses_in_row += 1
        self.losses_in_all += 1
        self.events.append("lost")
        too_many = self.losses_in_row >= LOSSES_IN_ROW or self.losses_in_all >= LOSSES_IN_ALL
        if self.desired == "run" and too_many:
            self._end("failed", reason)
            return
        self._set_aside()
        if self.state == "queued":
            self.reason = reason
            self.hold_s = min(BACK_OFF_S * 2 ** (self.losses_in_row - 1), BACK_OFF_MAX_S)
            self.waited_s = None

    def end_hold(self, attempt: int) -> None:
        if self.deleted or self.hold_s is None or self.attempt != attempt:
            raise Refused("TooLate")
        self.hold_s = None

    def _refuse_unless_run_by(self, attempt: int) -> None:
        if not self.is_run_by(attempt):
            raise Refused("AttemptOver")

    def _set_aside(self) -> None:
        """Stand where the owner wants it, not running."""
        if self.desired == "cancel":
            self._end("cancelled", "user_request")
        elif self.desired == "pause":
            self._move("paused", "user_request")
        else:
            self._move("queued", None)

    def _move(self, state: str, reason: str | None) -> None:
        self.state, self.reason, self.hold_s = state, reason, None
        self.events.append(state)

    def _end(self, state: str, reason: str) -> None:
        if state == "cancelled":
            self.desired = "cancel"
        self._move(state, reason)

    # A reconciler

    def is_looked_at(self, elapsed_s: float) -> None:
        """A reconciler looks, so long after its last look: silence is a death, a back-off has an end."""
        if self.state == "running":
            self.quiet_s = 0.0 if self.quiet_s is None else self.quiet_s + elapsed_s
            if self.quiet_s >= TTL_S:
                self.lose(self.attempt, "worker_lost")
        if self.hold_s is not None:
            self.waited_s = 0.0 if self.waited_s is None else self.waited_s + elapsed_s
            if self.waited_s >= self.hold_s:
                self.hold_s = None


@dataclass
class Trainer:
    """A process that carries out an attempt, by what it knows itself: an answer that was lost, it has not heard."""

    job_id: str
    attempt: int
    origin_step: int
    max_steps: int  # by its newest orders
    step: int
    written: int  # step up to which it knows its history to be stored
    is_alive: bool = True
    to_show: list[tuple[str, int]] = field(default_factory=list)  # checkpoints and samples that wait for a flush
    saved: dict[str, int] = field(default_factory=dict)  # newest step of each kind; that of its origin stands already

    def take_steps(self, count: int) -> None:
        self.step = max(self.step, min(self.step + count, self.max_steps))

    def save(self, kind: str) -> None:
        if self.step > self.saved.get(kind, self.origin_step):
            self.saved[kind] = self.step
            self.to_show.append((kind, self.step))

    def write(self, life: Life, why: str | None) -> None:
        """Do to a life what a flush of all that is unwritten does."""
        life.flush(self.attempt, self.step)
        shows: dict[str, Callable[[int], None]] = {"checkpoint": life.show_checkpoint, "sample": life.show_sample}
        for kind, step in self.to_show:
            shows[kind](step)
        life.conclude(why)
