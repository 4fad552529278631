"""How many samples of an order are made while a worker is at it."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The default is for the code of before, which does not name the column in what it inserts.
    op.add_column("orders", sa.Column("made", sa.BigInteger(), nullable=False, server_default="0"))
