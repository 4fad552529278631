"""Jobs that continue from a checkpoint of another one, blobs that several jobs show, and saving when it is asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("parent_id", sa.String(length=32), nullable=True))
    op.add_column("jobs", sa.Column("parent_step", sa.BigInteger(), nullable=True))
    op.add_column("jobs", sa.Column("parent_seq", sa.BigInteger(), nullable=True))
    op.add_column("jobs", sa.Column("save_wanted", sa.Boolean(), server_default=sa.false(), nullable=False))
    forks = sa.text("parent_id IS NOT NULL")
    op.create_index("ix_jobs_parent_id_id", "jobs", ["parent_id", "id"], sqlite_where=forks, postgresql_where=forks)
    op.create_table(
        "blob_holds",
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_blob_holds_job_id_jobs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key", "job_id", name=op.f("pk_blob_holds")),
    )
