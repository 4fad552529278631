"""The index of an owner's jobs by state leads on to their ids, so that a list of one state is read in its order."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_jobs_owner_id_state", "jobs")
    op.create_index("ix_jobs_owner_id_state_id", "jobs", ["owner_id", "state", "id"])
