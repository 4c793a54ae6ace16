"""Uploads may be tables: the names of their columns of numbers.

Revision: 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("corpora", sa.Column("columns", sa.Text(), nullable=False, server_default="[]"))


def downgrade() -> None:
    op.drop_column("corpora", "columns")
