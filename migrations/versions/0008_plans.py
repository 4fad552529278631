"""How the steps of a job are carried out, kept with it."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("plan", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "plan")
