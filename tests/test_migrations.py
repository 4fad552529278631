"""The migrations build the schema of the models, on both databases."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, select, text

from service.clock import now
from service.db import alembic_config, make_engine, migrate, reading, schema_revision, writing
from service.models import IdempotencyKey, Job, Owner
from service.store.keys import LOCAL_OWNER

OLD_JOB = """
INSERT INTO jobs
  (id, owner_id, priority, device, spec, resolved_spec, state, desired, version, event_seq, attempt, beat,
   losses_in_row, losses_in_all, step, max_steps, samples_seen, trained_s, created_at)
VALUES ('job_1', :owner, 0, 'auto', '{}', '{}', 'succeeded', 'run', 1, 0, 1, 1, 0, 0, 1, 1, 64, 0.1, '2026-01-01')
"""


def test_migrated_schema_shows_no_drift_from_the_models(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})

        assert compare_metadata(context, Job.metadata) == []


def test_migrating_twice_changes_nothing(database_url: str, engine: Engine) -> None:
    before = schema_revision(engine)

    migrate(database_url)

    assert schema_revision(engine) == before is not None


def test_first_migration_brings_the_local_owner(engine: Engine) -> None:
    with reading(engine) as session:
        assert session.scalars(select(Owner.id)).all() == [LOCAL_OWNER]


def test_answers_that_outlived_their_jobs_end_with_the_migration_that_ties_them_together(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/old.db"
    command.upgrade(alembic_config(url), "0001")
    engine = make_engine(url)
    answer = {"owner_id": LOCAL_OWNER, "request_sha256": "0" * 64, "answer": b"{}", "created_at": now()}
    with writing(engine) as session:
        session.execute(text(OLD_JOB), {"owner": LOCAL_OWNER})
        session.add(IdempotencyKey(key="of a job", job_id="job_1", **answer))
        session.add(IdempotencyKey(key="of a deleted job", job_id="job_deleted", **answer))

    migrate(url)

    with reading(engine) as session:
        assert session.scalars(select(IdempotencyKey.key)).all() == ["of a job"]
    engine.dispose()
