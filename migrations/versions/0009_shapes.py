"""What jobs have in common that may be trained together."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("shape", sa.String(64), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "shape")
