"""The bin, deletions that take their time, and the one service that works with the database.

Revision: 0003, after 0002.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("binned_at", "deleted_at"):
        op.add_column("runs", sa.Column(name, sa.BigInteger(), nullable=True))
        op.create_index(f"ix_runs_{name}", "runs", [name], unique=False)
    op.create_table(
        "owner",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("machine", sa.String(length=200), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("started", sa.Double(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_owner")),
    )


def downgrade() -> None:
    op.drop_table("owner")
    for name in ("deleted_at", "binned_at"):
        op.drop_index(f"ix_runs_{name}", "runs")
        op.drop_column("runs", name)
