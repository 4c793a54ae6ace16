"""What an upload was declared to be, how a table was read, and its columns as numbers.

Revision: 0004, after 0003.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("corpora", sa.Column("kind", sa.String(length=8), nullable=False, server_default="text"))
    op.add_column("corpora", sa.Column("reading", sa.Text(), nullable=True))
    op.execute("UPDATE corpora SET kind = 'table' WHERE columns <> '[]'")
    op.create_table(
        "corpus_columns",
        sa.Column("corpus", sa.String(length=32), nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["corpus"], ["corpora.id"], name=op.f("fk_corpus_columns_corpus"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("corpus", "place", name=op.f("pk_corpus_columns")),
    )


def downgrade() -> None:
    op.drop_table("corpus_columns")
    op.drop_column("corpora", "reading")
    op.drop_column("corpora", "kind")
