"""How often an owner has asked for a checkpoint, so that one of before a wish does not take it back."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("saves_asked", sa.BigInteger(), server_default="0", nullable=False))
    op.execute("UPDATE jobs SET saves_asked = 1 WHERE save_wanted")
