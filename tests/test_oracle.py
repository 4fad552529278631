"""The oracle sees every kind of broken promise: each is planted in an installation that keeps them all."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from chaos.ledger import keep_ledger
from chaos.oracle import Outcome, Promise, judge, outcome_of, unfinished_files
from service.blobs import BlobStore, make_blobs, store_file
from service.db import writing
from service.models import Job, State
from service.spec.columns import recorded_columns
from service.spec.resolve import parse_spec
from service.store import history, transitions
from service.store.transitions import Progress
from tests.building import add_job, claim_next, save_checkpoint

STEPS = 30


@dataclass
class Installation:
    """A database with its ledger and its blobs, and one job that has succeeded at its second attempt."""

    engine: Engine
    blobs: BlobStore
    root: Path
    promise: Promise
    expected: Outcome

    def run(self, statement: str) -> None:
        with self.engine.begin() as connection:
            json = "JSON" if self.engine.dialect.name == "postgresql" else "TEXT"
            given = {"id": self.promise.job_id} if ":id" in statement else {}
            connection.execute(text(statement.format(json=json)), given)

    def findings(self) -> list[str]:
        return [
            *judge(self.engine, self.blobs, [self.promise], {self.promise.recipe: self.expected}),
            *unfinished_files(self.root),
        ]


@pytest.fixture
def installation(engine: Engine, tmp_path: Path) -> Installation:
    keep_ledger(engine)
    root = tmp_path / "blobs"
    blobs = make_blobs(f"file://{root}")
    with writing(engine) as session:
        add_job(session)
        first = claim_next(session)
        transitions.release(session, first.id, first.attempt)
    with writing(engine) as session:
        job = claim_next(session)
        record(session, job, blobs)
        transitions.finish(session, job.id, job.attempt, State.SUCCEEDED, reason="max_steps")
    return Installation(engine, blobs, root, Promise(job.id, "ring", "key"), outcome_of(engine, job.id))


def record(session: Session, job: Job, blobs: BlobStore) -> None:
    """Let an attempt take its steps and save them."""
    columns = recorded_columns(parse_spec(job.resolved_spec))
    rows = np.arange(STEPS * len(columns), dtype=np.float32).reshape(STEPS, -1)
    history.append_rows(session, job.id, attempt=job.attempt, first_step=1, columns=columns, rows=rows)
    transitions.flush(session, job.id, job.attempt, Progress(STEPS, STEPS * 64, 1.0, None, None))
    files = {
        name: store_file(blobs, job_id=job.id, attempt=job.attempt, name=f"{name}.bin", pieces=[name.encode()])
        for name in ("all", "generator")
    }
    save_checkpoint(session, job, step=STEPS, files=files)


def damage(installation: Installation) -> None:
    key = next(key for key in installation.blobs.list() if "/all" in key)
    (installation.root / key).write_bytes(b"damaged")


def leave_an_orphan(installation: Installation) -> None:
    installation.blobs.put(f"{installation.promise.job_id}/1/late.bin", b"late")


def leave_a_temporary_file(installation: Installation) -> None:
    (installation.root / ".tmp-1").write_bytes(b"half")


def accept_a_cancel(installation: Installation) -> None:
    installation.promise.cancel_accepted = True


def change_a_loss(installation: Installation) -> None:
    installation.expected = Outcome(STEPS, "other", installation.expected.generator_sha256)


def run(*statements: str) -> Callable[[Installation], None]:
    def commit(installation: Installation) -> None:
        for statement in statements:
            installation.run(statement)

    return commit


def become(*states: str) -> Callable[[Installation], None]:
    return run(*(f"UPDATE jobs SET state = '{state}' WHERE id = :id" for state in states))


ZOMBIE_KEY = "UPDATE checkpoints SET files = CAST(REPLACE(CAST(files AS TEXT), '/2/', '/1/') AS {json})"
CRIMES: dict[str, tuple[str, Callable[[Installation], object]]] = {
    "an attempt number that goes back": ("I1", run("UPDATE jobs SET attempt = 1 WHERE id = :id")),
    "a claim that counts twice": (
        "I1",
        run("UPDATE jobs SET state = 'queued'", "UPDATE jobs SET state = 'running', attempt = 4"),
    ),
    "losses written by an attempt that is over": ("I2", run("UPDATE segments SET attempt = 1")),
    "a file shown by an attempt that is over": ("I2", run(ZOMBIE_KEY)),
    "an end that was not for good": ("I3", become("cancelled", "succeeded")),
    "a step that is missing": ("I4", run("UPDATE segments SET last_step = last_step - 1")),
    "a step that stands twice": ("I4", run("UPDATE segments SET first_step = 0")),
    "a damaged file": ("I5", damage),
    "a job that is gone": ("I6", run("DELETE FROM jobs WHERE id = :id")),
    "a job that nobody acknowledged": ("I6", lambda place: setattr(place.promise, "deletion_accepted", True)),
    "a job that is stuck": ("I6", become("queued")),
    "an event that is missing": ("I7", run("DELETE FROM events WHERE seq = 2")),
    "an end without an event": ("I7", run("UPDATE events SET type = 'note' WHERE type = 'succeeded'")),
    "a cancel that was not heard": ("I8", accept_a_cancel),
    "a blob that no row shows": ("I9", leave_an_orphan),
    "a temporary file": ("I9", leave_a_temporary_file),
    "a history that differs": ("R6", change_a_loss),
}


def test_an_installation_that_keeps_every_promise_is_found_to(installation: Installation) -> None:
    assert installation.findings() == []


@pytest.mark.parametrize("crime", CRIMES)
def test_every_kind_of_broken_promise_is_seen(installation: Installation, crime: str) -> None:
    invariant, commit = CRIMES[crime]

    commit(installation)

    assert {finding.split()[0] for finding in installation.findings()} & {invariant}


def test_a_zombie_is_seen_where_the_fence_is_down(engine: Engine, tmp_path: Path) -> None:
    keep_ledger(engine)
    blobs = make_blobs(f"file://{tmp_path / 'blobs'}")
    with writing(engine) as session:
        add_job(session)
        zombie = claim_next(session)
        transitions.release(session, zombie.id, zombie.attempt)
        job = claim_next(session)
        columns = recorded_columns(parse_spec(job.resolved_spec))
        # What a trainer of the first attempt would append if nothing asked whether it is over.
        history.append_rows(session, job.id, attempt=1, first_step=1, columns=columns, rows=np.zeros((1, len(columns))))

    found = judge(engine, blobs, [Promise(job.id, "ring", "key")], {"ring": Outcome(0, "", "")})

    assert f"I2 {job.id}: attempt 1 wrote segments under attempt 2" in found
