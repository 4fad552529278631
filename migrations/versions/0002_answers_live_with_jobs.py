"""Answers to requests with an Idempotency-Key go with their job, no longer by age."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_idempotency_keys_created_at", table_name="idempotency_keys")
    op.create_index("ix_idempotency_keys_job_id", "idempotency_keys", ["job_id"], unique=False)
    # Until now age alone removed the answers of deleted jobs, and from now on nothing would.
    op.execute("DELETE FROM idempotency_keys WHERE job_id NOT IN (SELECT id FROM jobs)")
