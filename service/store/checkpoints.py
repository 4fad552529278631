"""Rows of saved training states. Their files are written and verified before a row shows them."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.clock import now
from service.errors import NotFound, NotYet
from service.models import Checkpoint, Job
from service.store.doomed import doom_rows
from service.store.events import add_event
from service.store.orders import steps_in_demand
from service.store.pages import Page, decode_number_cursor, make_page
from service.store.quality import best_steps
from service.store.steps import find_at_step


def add_checkpoint(
    session: Session,
    job: Job,
    *,
    step: int,
    samples_seen: int,
    trained_s: float,
    losses: dict[str, Any],
    files: dict[str, Any],
    saves_heard: int = 0,
) -> Checkpoint:
    """Show a durable checkpoint of a fenced job; it clears the count of losses in a row.

    It fulfils those wishes for one that had been heard when it was taken, not one that came while it was stored.
    """
    checkpoint = Checkpoint(
        job_id=job.id,
        step=step,
        attempt=job.attempt,
        samples_seen=samples_seen,
        trained_s=trained_s,
        losses=losses,
        files=files,
        created_at=now(),
    )
    session.add(checkpoint)
    job.losses_in_row = 0
    job.save_wanted = job.save_wanted and job.saves_asked > saves_heard
    add_event(session, job, "checkpoint", f"Checkpoint at step {step}.", {"step": step})
    return checkpoint


def list_checkpoints(session: Session, job_id: str, *, limit: int = 50, cursor: str | None = None) -> Page[Checkpoint]:
    """Return a job's checkpoints, ascending by step."""
    after = decode_number_cursor(cursor) if cursor else -1
    query = select(Checkpoint).where(Checkpoint.job_id == job_id, Checkpoint.step > after)
    rows = session.scalars(query.order_by(Checkpoint.step).limit(limit + 1)).all()
    return make_page(rows, limit, [row.step for row in rows])


def newest_checkpoints(session: Session, job_id: str) -> Sequence[Checkpoint]:
    """Return a job's checkpoints, newest first: the order in which a resume tries them."""
    query = select(Checkpoint).where(Checkpoint.job_id == job_id).order_by(Checkpoint.step.desc())
    return session.scalars(query).all()


def get_checkpoint(session: Session, job_id: str, which: str) -> Checkpoint:
    """Return the checkpoint at a step, `latest` or `best`; raise NotFound, or NotYet where a live job may save it."""
    if which == "best":
        which = str(_best_step(session, job_id))
    return find_at_step(session, Checkpoint, job_id, which)


def _best_step(session: Session, job_id: str) -> int:
    best = best_steps(session, job_id, 1)
    if best:
        return best[0]
    job = session.get_one(Job, job_id)
    if job.is_terminal:
        raise NotFound("checkpoint", "best: no quality metric was measured at one that is kept")
    if not job.resolved_spec.get("quality", {}).get("every_steps"):
        raise NotFound("checkpoint", "best: the spec has no quality measured (quality.every_steps)")
    raise NotYet("There is no checkpoint best yet: no quality metric has been measured at one.", code="no_best_yet")


def why_kept(
    steps: Iterable[int],
    *,
    keep_last: int,
    keep_every: int | None,
    best: Sequence[int] = (),
    look_back: int | None = None,
    wanted: Sequence[int] = (),
    branch: int | None = None,
) -> dict[int, list[str]]:
    """Return for the step of each checkpoint the reasons for which it stays; those without any are to go.

    look_back is from before how many steps one is wanted to roll back to; wanted are the steps that samples are still
    to be drawn from. branch is the step that a fork begins from, as other jobs begin from their specs.
    """
    newest_first = sorted(steps, reverse=True)
    healthy = _to_roll_back_to(newest_first, look_back)
    reasons = {}
    for rank, step in enumerate(newest_first):
        holds = {
            "latest": rank == 0,
            "recent": rank < keep_last,
            "multiple": keep_every is not None and step % keep_every == 0,
            "best": step in best,
            "healthy": step in healthy,
            "wanted": step in wanted,
            "branch": step == branch,
        }
        reasons[step] = [reason for reason, does_hold in holds.items() if does_hold]
    return reasons


def _to_roll_back_to(newest_first: Sequence[int], look_back: int | None) -> Sequence[int]:
    """Return the newest that is old enough, and the oldest of the others, which will be the next."""
    if look_back is None or not newest_first:
        return ()
    limit = newest_first[0] - look_back
    old = [step for step in newest_first if step <= limit]
    young = [step for step in newest_first[1:] if step > limit]
    return old[:1] + young[-1:]


def retire_checkpoints(
    session: Session,
    job: Job,
    *,
    keep_last: int,
    keep_every: int | None = None,
    keep_best: int = 0,
    look_back: int | None = None,
) -> None:
    """Drop the checkpoints of a job that nothing keeps."""
    rows = newest_checkpoints(session, job.id)
    kept = why_kept(
        [row.step for row in rows],
        keep_last=keep_last,
        keep_every=keep_every,
        best=best_steps(session, job.id, keep_best),
        look_back=look_back,
        wanted=steps_in_demand(session, job.id),
        branch=job.parent_step,
    )
    doom_rows(session, [row for row in rows if not kept[row.step]])
