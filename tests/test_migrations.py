"""The migrations build the schema of the models, on both databases."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, select

from service.db import migrate, reading, schema_revision
from service.models import Owner, Table
from service.store.keys import LOCAL_OWNER


def test_migrated_schema_shows_no_drift_from_the_models(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})

        assert compare_metadata(context, Table.metadata) == []


def test_migrating_twice_changes_nothing(database_url: str, engine: Engine) -> None:
    before = schema_revision(engine)

    migrate(database_url)

    assert schema_revision(engine) == before is not None


def test_first_migration_brings_the_local_owner(engine: Engine) -> None:
    with reading(engine) as session:
        assert session.scalars(select(Owner.id)).all() == [LOCAL_OWNER]
