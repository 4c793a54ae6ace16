"""The database's tables, portable between SQLite and PostgreSQL.

Times are microseconds since 1970 UTC in integers: SQLite has no type for them, and integers sort.
Rows of a run carry its small integer ``number``, not its UUID.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _run() -> Column[int]:
    return Column("run", ForeignKey("runs.number", ondelete="CASCADE"), primary_key=True, autoincrement=False)


runs = Table(
    "runs",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Uuid, nullable=False, unique=True),
    Column("name", String(120), nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text),
    Column("attempt", Integer, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("model", String(120), nullable=False),
    Column("task", String(120), nullable=False),
    Column("config", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Column("validation", Double),  # the summary's best validation loss, to order by
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("place", BigInteger),  # in the queue, while queued
    Column("idempotency_key", String(200), unique=True),
    Column("launch_hash", String(64), nullable=False),
    Column("binned_at", BigInteger),  # in the bin since then
    Column("deleted_at", BigInteger),  # seen by nobody since then; its rows go a few at a time
    Index("ix_runs_binned_at", "binned_at"),
    Index("ix_runs_deleted_at", "deleted_at"),
    Index("ix_runs_state", "state", "place"),
    Index("ix_runs_name", "name", "number"),
    Index("ix_runs_validation", "validation", "number"),
    Index("ix_runs_step", "step", "number"),
    Index("ix_runs_model", "model"),
    Index("ix_runs_task", "task"),
    sqlite_autoincrement=True,  # a deleted run's number, and so its colour, is not given out again
)

tags = Table(
    "tags",
    metadata,
    _run(),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("tag", String(40), nullable=False),
    Index("ix_tags_tag", "tag", "run"),
    sqlite_with_rowid=False,
)

attempts = Table(
    "attempts",
    metadata,
    _run(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("state", String(16), nullable=False),
    Column("reason", Text),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("pid", BigInteger),
    Column("last_report_at", BigInteger),
    Column("next_sequence", BigInteger, nullable=False),
    Column("stop_requested_at", BigInteger),
    Index("ix_attempts_state", "state"),
    sqlite_with_rowid=False,
)

names = Table(
    "names",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
)
"""Of metrics and of vectors, so that their rows carry an integer."""

metrics = Table(
    "metrics",
    metadata,
    _run(),
    Column("key", ForeignKey("names.id"), primary_key=True, autoincrement=False),
    Column("first_step", BigInteger, primary_key=True, autoincrement=False),
    Column("last_step", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),  # (4, n) little-endian float64, see store/metrics.py
)

vectors = Table(
    "vectors",
    metadata,
    _run(),
    Column("key", ForeignKey("names.id"), primary_key=True, autoincrement=False),
    Column("step", BigInteger, primary_key=True, autoincrement=False),
    Column("norms", LargeBinary, nullable=False),  # little-endian float32; also of eigenvalues
)

samples = Table(
    "samples",
    metadata,
    _run(),
    Column("step", BigInteger, primary_key=True, autoincrement=False),
    Column("index", Integer, primary_key=True, autoincrement=False),
    Column("content", Text, nullable=False),
)

log = Table(
    "log",
    metadata,
    _run(),
    Column("line", Integer, primary_key=True, autoincrement=False),  # 1, 2, 3, … over all attempts
    Column("attempt", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("level", String(8), nullable=False),
    Column("text", Text, nullable=False),
    sqlite_with_rowid=False,
)

checkpoints = Table(
    "checkpoints",
    metadata,
    _run(),
    Column("step", BigInteger, primary_key=True, autoincrement=False),
    Column("sha256", String(64), nullable=False),
    Column("validation_loss", Double),
    Column("is_best", Boolean, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

corpora = Table(
    "corpora",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(120), nullable=False),
    Column("characters", BigInteger, nullable=False),
    Column("vocabulary", Integer, nullable=False),
    Column("preview", Text, nullable=False),
    Column("columns", Text, nullable=False, server_default="[]"),  # names as a JSON list
    Column("created_at", BigInteger, nullable=False),
    Column("text", LargeBinary, nullable=False),  # UTF-8; a blob, so that listing need not read it
    Column("kind", String(8), nullable=False, server_default="text"),  # as declared: text or table
    Column("reading", Text),  # how a table was read, as JSON; of a table from before, NULL until it is used
)

corpus_columns = Table(
    "corpus_columns",
    metadata,
    Column("corpus", ForeignKey("corpora.id", ondelete="CASCADE"), primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),  # in the reading's columns
    Column("rows", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),  # see trainer/tables/stored.py
)

owner = Table(
    "owner",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # 1: there is one row at most
    Column("key", String(64), nullable=False),
    Column("host", String(255), nullable=False),
    Column("machine", String(200), nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("started", Double, nullable=False),
    Column("data", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
)
"""The service that works with this database; its times are the database's own."""
