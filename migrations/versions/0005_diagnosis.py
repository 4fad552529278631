"""What goes on between the players of a job, and how often it was rolled back."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The default is for the code of before, which names no rollbacks in what it inserts.
    op.add_column("jobs", sa.Column("rollbacks", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("diagnosis", sa.JSON(), nullable=True))
