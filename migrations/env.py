"""Alembic's entry: runs the revisions on one connection, in batch mode where SQLite needs it."""

from alembic import context

from service.db import make_engine
from service.models import Job
from service.settings import Settings


def run() -> None:
    url = context.config.attributes.get("url") or Settings().database
    engine = make_engine(url)
    with engine.connect().execution_options(ganymede_writes=True) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL statement_timeout TO 0")  # a large table takes as long as it takes
        context.configure(connection=connection, target_metadata=Job.metadata, render_as_batch=True, compare_type=True)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run()
