"""An index by which an owner's jobs that have not ended are counted without a look at all that have."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_jobs_owner_id_state", "jobs", ["owner_id", "state"])
